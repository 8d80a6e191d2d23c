"""From what is known of trials to what the surrogate sees: observations, and the features of their archs in units of the space's spread."""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fvsearch.archs.arch import Arch
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.front.archs import Archs, costs_of, drawn_archs
from fvsearch.engines.front.features import Scale, features
from fvsearch.engines.front.surrogate import Evidence, Inputs
from fvsearch.study import CHANCE, LEARNED, Study

Numbers: TypeAlias = NDArray[np.float64]

_LOOKED_AT = 20_000
"""Archs that the spread of features is taken from."""

_FARTHEST = 2.0
"""Spreads from the middle beyond which an arch's size says no more of how its trainings differ.

On the digits of docs/search.md seeds differ by about one and a half times as much at the smaller end as at the larger, and not surely by
more beyond it. Without an end the smallest archs of a large space, five spreads out, were taken for six times as noisy as the middle."""


class Observation(NamedTuple):
    """What trainings told of an arch.

    Attributes:
        arch: Whose.
        value: Of the learned objective, turned so that less is better; the mean over the trainings.
        trainings: How many.
        epochs: After which, where they were not trained to the end; else none.
        scatter: Sum of the squares by which the trainings differ from their mean; none where that is not known.
    """

    arch: Arch
    value: float
    trainings: int = 1
    epochs: int | None = None
    scatter: float | None = None


class Encoder:
    """Features of archs as a surrogate sees them: in units of their spread over the archs of a study that meet its budget by formula.

    Args:
        study: Whose archs.
    """

    def __init__(self, study: Study) -> None:
        self._shape = study.data.image_shape
        self.stages = len(study.space.stages) if study.space else max(len(arch.stages) for arch in study.engine.archs)
        self._scale = Scale(features(_reference(study), self._shape))
        (learned,) = (objective for objective in study.objectives if objective.name in LEARNED)
        self._chance = CHANCE[learned.name](study.data.num_classes) * (1 if learned.direction == "minimize" else -1)

    def archs(self, archs: Sequence[Arch]) -> Archs:
        """As rows of the width that the study's archs have; an arch from outside its space may want more."""
        return Archs.of(archs, self.stages)

    def inputs(self, archs: Archs) -> Numbers:
        """(archs, features)."""
        return self._scale(features(archs, self._shape))

    def promise(self, inputs: Inputs) -> Numbers:
        """(archs,) of (archs, features): how good each is expected to be before anything is seen, in standard deviations."""
        return np.asarray(inputs @ self._scale.slopes, float)

    def evidence(self, observations: Sequence[Observation]) -> Evidence:
        """Observations as the surrogate takes them."""
        rungs = sorted({one.epochs for one in observations if one.epochs is not None})
        archs = self.archs([one.arch for one in observations])
        return Evidence(
            inputs=self.inputs(archs),
            # All that is worse than having learned nothing is alike: a loss of 1e9 says no more of other archs than one of 20.
            values=np.minimum(np.array([one.value for one in observations], float), self._chance),
            trainings=np.array([one.trainings for one in observations], float),
            rungs=np.array([0 if one.epochs is None else 1 + rungs.index(one.epochs) for one in observations], np.int64),
            sizes=np.clip(self._scale.plain(features(archs, self._shape), "macs"), -_FARTHEST, _FARTHEST),
            # What is learned falls as accuracy rises.
            slopes=-self._scale.slopes,
            scatter=np.array([math.nan if one.scatter is None else one.scatter for one in observations], float),
        )


def _reference(study: Study) -> Archs:
    """Archs that span what is searched: the list, or a draw of the space, as far as they meet the budget."""
    archs = drawn_archs(study.space, _LOOKED_AT, np.random.default_rng(0)) if study.space else Archs.of(study.engine.archs)
    predictor = Predictor.unmeasured(study)
    broken = predictor.violations(costs_of(archs, predictor))  # type: ignore[arg-type]  # its arithmetic takes arrays
    meets = np.all([np.broadcast_to(value <= 0, len(archs)) for value in broken.values()] or [np.ones(len(archs), bool)], axis=0)
    # What spans next to nothing tells no spread.
    return archs.take(meets) if meets.sum() >= min(100, len(archs)) else archs
