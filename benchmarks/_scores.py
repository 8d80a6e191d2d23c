"""What the archs that a search has trained are worth: hypervolume of their true values, over that of the best front there is."""

import functools
from typing import NamedTuple

import numpy as np
from _landscapes import Numbers, landscape
from numpy.typing import NDArray

from fvsearch.costs.predictor import Predictor
from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.mixture import Mixture
from fvsearch.fronts.volume import reference
from fvsearch.pareto import front, hypervolume
from fvsearch.study.budgets import is_met, violations

FEWEST = 4
"""Trials from which on there are posterior means, as in the project's reports."""


class Score:
    """One search's trials, as they end.

    Args:
        name: Of the landscape.
        believes: Whether its front is made of posterior means, as the engine "front" has them.

    Attributes:
        found: After each trial, by what counts as found: the front of observed values ("seen"), all that was trained ("trained") and, where
            it believes, the front of posterior means ("believed").
    """

    def __init__(self, name: str, *, believes: bool) -> None:
        self._name, self._scale, self._true = name, scale(name), true_points(name)
        self._encoder = Encoder(landscape(name).study) if believes else None
        self._rows: list[int] = []
        self._points: list[list[float]] = []
        self.found: dict[str, list[float]] = {what: [] for what in ("seen", "trained", *(["believed"] if believes else []))}

    def add(self, row: int, values: tuple[float, ...]) -> None:
        """A trial was completed with these values, in the objectives' order."""
        self._rows.append(row)
        self._points.append(self._scale.points(np.array([values]))[0].tolist())

    def close(self) -> None:
        """A trial has ended, completed or not."""
        self.found["seen"].append(self._worth(front(self._points)))
        self.found["trained"].append(self._worth(range(len(self._rows))))
        if self._encoder is not None:
            self.found["believed"].append(self._worth(front(self._believed(self._encoder))))

    def _worth(self, kept: "range | list[int]") -> float:
        return volume(self._name, tuple(sorted(self._rows[index] for index in kept))) / optimum(self._name)

    def _believed(self, encoder: Encoder) -> list[list[float]]:
        """The points with posterior means for observed accuracies."""
        if len(self._rows) < FEWEST:
            return self._points
        archs = landscape(self._name).archs
        observations = [Observation(archs[row], point[0]) for row, point in zip(self._rows, self._points, strict=True)]
        mean, _ = Mixture(encoder.evidence(observations)).observed()
        return [[float(value), *point[1:]] for value, point in zip(mean, self._points, strict=True)]


@functools.lru_cache(maxsize=1024)
def volume(name: str, rows: tuple[int, ...]) -> float:
    """Hypervolume of a landscape's archs at their true values; from trial to trial they are often the same."""
    points = true_points(name)[list(rows)].tolist()
    return hypervolume([points[index] for index in front(points)], scale(name).reference)


class Scale(NamedTuple):
    """How objectives are counted: less is better, costs in multiples of the baseline's, or their logarithms.

    Attributes:
        units: (objectives,) what values are divided by.
        logarithmic: (objectives,) which are counted by their logarithm.
        signs: (objectives,) -1 where more is better.
        reference: As the project's hypervolume has it: having learned nothing, at the most that may be spent.
    """

    units: Numbers
    logarithmic: list[bool]
    signs: Numbers
    reference: list[float]

    def points(self, values: Numbers) -> Numbers:
        """(n, objectives) of raw values (n, objectives)."""
        found = values / self.units
        found[:, self.logarithmic] = np.log(found[:, self.logarithmic])
        return np.asarray(found * self.signs)


@functools.cache
def scale(name: str) -> Scale:
    """Of a landscape."""
    land = landscape(name)
    names = [objective.name for objective in land.study.objectives]
    baseline = Predictor(land.study).baseline
    logarithmic = [land.logarithmic and objective != "top1" for objective in names]
    signs = np.array([-1.0 if objective.direction == "maximize" else 1.0 for objective in land.study.objectives])
    unscaled = Scale(np.array([1.0 if name == "top1" else baseline[name] for name in names]), logarithmic, signs, [])
    worst = reference(land.study).point
    point = np.array([[worst[name] * unit for name, unit in zip(names, unscaled.units, strict=True)]])
    return unscaled._replace(reference=unscaled.points(point)[0].tolist())


@functools.cache
def true_points(name: str) -> Numbers:
    """(archs, objectives) of a landscape, to minimise."""
    land = landscape(name)
    values = {"top1": land.top1, "memory": land.memory, "throughput": land.throughput}
    return scale(name).points(np.column_stack([values[objective.name] for objective in land.study.objectives]))


@functools.cache
def true_front(name: str) -> list[int]:
    """Rows of the true front of all that is feasible in truth."""
    points = true_points(name)
    kept: list[int] = []
    for row in sorted(np.flatnonzero(feasible(name)).tolist(), key=lambda row: tuple(points[row])):
        if not (points[kept] <= points[row]).all(axis=1).any():
            kept.append(row)
    return kept


@functools.cache
def optimum(name: str) -> float:
    """Hypervolume of the true front."""
    return hypervolume(true_points(name)[true_front(name)].tolist(), scale(name).reference)


def feasible_share(name: str) -> float:
    """Share of a landscape's archs that meet the budget in truth."""
    return float(feasible(name).mean())


def feasible(name: str) -> NDArray[np.bool_]:
    """(archs,) which meet the budget in truth."""
    land = landscape(name)
    baseline = Predictor(land.study).baseline
    return np.array([is_met(violations(land.study.budget, {"memory": memory}, baseline)) for memory in land.memory.tolist()])
