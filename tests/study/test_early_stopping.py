import pytest

from fvsearch.study import EarlyStopping


@pytest.mark.parametrize(
    ("rungs", "total", "epochs"), [((0.25, 0.5), 12, (3, 6)), ((0.1, 0.15, 0.5), 8, (1, 4)), ((0.5, 0.9), 2, (1,)), ((0.5,), 1, ())]
)
def test_rungs_are_whole_epochs_below_the_end_each_once(rungs: tuple[float, ...], total: int, epochs: tuple[int, ...]) -> None:
    assert EarlyStopping(rungs=rungs).epochs(total) == epochs
