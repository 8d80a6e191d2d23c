import math

import pytest

from fvsearch.engines import Completed, Infeasible, Stopped, make_engine
from fvsearch.errors import ConfigError
from fvsearch.study import Proposer
from fvsearch.testing import tiny_arch, tiny_study


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_must_be_finite(value):
    with pytest.raises(ConfigError, match="`values` must be finite"):
        Completed(values=(1.0, value))
    with pytest.raises(ConfigError, match="`values` must be finite"):
        Stopped(epochs=1, values=(value,))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_constraints_must_be_finite(value):
    with pytest.raises(ConfigError, match=r"at constraints\['memory'\]"):
        Completed(values=(1.0,), constraints={"memory": value})
    with pytest.raises(ConfigError, match="`constraints` must be finite"):
        Infeasible(constraints={"memory": value})


def test_infeasible_says_which_budget_is_broken():
    with pytest.raises(ConfigError, match="a constraint above 0"):
        Infeasible(constraints={"memory": 0.0, "throughput": -1.0})


def test_make_engine_picks_by_name():
    optuna = make_engine(tiny_study())
    listed = make_engine(tiny_study(space=None, engine=Proposer(name="listed", archs=(tiny_arch(),))))
    assert type(optuna).__name__ == "OptunaEngine"
    assert type(listed).__name__ == "ListedEngine"
