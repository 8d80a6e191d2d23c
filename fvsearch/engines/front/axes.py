"""Known costs as axes of a front: scaled so that a step means as much at the cheap end as at the dear one."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fvsearch.study import LEARNED, Objective

Numbers: TypeAlias = NDArray[np.float64]

_LINEAR = 0.5
"""Share of the plain cost in an axis; the rest is its logarithm. Some want a hypervolume of one scale, some of the other: half and half
loses little by either."""

LIMIT = 1.02
"""Where the axes end, the dearest candidate being at 1: a little beyond, for it too is worth having."""


class Axes:
    """The objectives that are costs, turned so that less is better: from 0 for the cheapest candidate to 1 for the dearest.

    Args:
        objectives: The study's.
        costs: By name, (candidates,).

    Attributes:
        names: Of the costs, in the objectives' order.
    """

    def __init__(self, objectives: Sequence[Objective], costs: Mapping[str, Numbers]) -> None:
        turned = [(objective.name, objective.direction == "minimize") for objective in objectives if objective.name not in LEARNED]
        self.names = tuple(str(name) for name, _ in turned)
        self._ends = [(float(costs[name].min()), float(costs[name].max()))[:: 1 if less else -1] for name, less in turned]

    def __call__(self, costs: Mapping[str, Numbers], count: int) -> Numbers:
        """(archs, costs) of so many archs' costs by name."""
        found = np.zeros((count, len(self.names)))
        for column, name, (best, worst) in zip(found.T, self.names, self._ends, strict=True):
            plain = (costs[name] - best) / ((worst - best) or 1.0)
            if min(best, worst) <= 0:
                column[:] = plain
                continue
            logarithm = np.log(np.maximum(costs[name], 1e-3 * min(best, worst)) / best) / (np.log(worst / best) or 1.0)
            column[:] = _LINEAR * plain + (1 - _LINEAR) * logarithm
        return found

    @property
    def limits(self) -> Numbers:
        """(costs,): where the axes end."""
        return np.full(len(self.names), LIMIT)
