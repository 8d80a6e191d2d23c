"""The front engine without one of its parts: what each is worth. Of use to a benchmark alone, so they change the engine from outside."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from fvsearch.engines.front.acquisition import Front, Numbers, Rows
from fvsearch.engines.front.features import SLOPES, WEIGHTS
from fvsearch.engines.front.surrogate import PRIORS, Prior

_NOTHING = Prior(1e-3, 1e-2)
"""Of a part's standard deviation: the part is not there."""

_SURE = 1e-3
"""Of a standard deviation: as good as none."""


@contextmanager
def _greedy() -> Iterator[Any]:
    whole = Front.leaders

    def leaders(self: Front, mean: Numbers, deviation: Numbers, *others: Any) -> tuple[Rows, Numbers]:
        return whole(self, mean, deviation * _SURE, *others)

    with patch.object(Front, "leaders", leaders):
        yield


CHANGES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "front-flat": lambda: patch.dict(SLOPES, clear=True),
    "front-alike": lambda: patch.dict(WEIGHTS, clear=True),
    "front-trend": lambda: patch.dict(PRIORS, residual=_NOTHING),
    "front-smooth": lambda: patch.dict(PRIORS, linear=_NOTHING),
    "front-greedy": _greedy,
}
"""By name: nothing is expected of larger archs beforehand; every feature counts alike; a linear trend alone; a smooth process about what is
expected alone; what is not known of an arch does not count in its favour."""

VARIANTS = (*CHANGES, "front-drawn")
"""All; the last is the engine as it is, with a draw of the space in view and not the whole."""
