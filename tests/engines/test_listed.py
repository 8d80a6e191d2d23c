import pytest

from fvsearch.engines import Completed, Done, Failed, Suggestion
from fvsearch.engines._listed import ListedEngine
from fvsearch.errors import ConfigError
from fvsearch.testing import EngineTestCase


class TestConformance(EngineTestCase):
    domains = {"index": tuple(range(50))}
    learns_feasibility = False

    def make(self, domains, directions, seed):
        return ListedEngine(len(domains["index"]))


def indices(engine):
    found = []
    while isinstance(answer := engine.ask(), Suggestion):
        found.append(answer.params["index"])
    return found, answer


def test_it_proposes_each_in_order_and_is_done():
    found, end = indices(ListedEngine(3))
    assert found == [0, 1, 2]
    assert isinstance(end, Done)
    assert "3" in end.reason


def test_it_stays_done():
    engine = ListedEngine(1)
    engine.ask()
    engine.tell({"index": 0}, Failed(reason="NaN"))
    assert isinstance(engine.ask(), Done)
    assert isinstance(engine.ask(), Done)


def test_it_leaves_out_what_it_was_told_of():
    engine = ListedEngine(4)
    engine.tell({"index": 0}, Completed(values=(1.0,)))
    engine.tell({"index": 2}, Failed(reason="NaN"))
    assert indices(engine)[0] == [1, 3]


@pytest.mark.parametrize("params", [{}, {"index": 3}, {"index": -1}, {"index": True}, {"index": "0"}, {"index": 0, "depth": 1}])
def test_other_params_are_refused(params):
    with pytest.raises(ConfigError, match="one `index` from 0 to 2"):
        ListedEngine(3).tell(params, Completed(values=(1.0,)))
