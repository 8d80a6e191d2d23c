"""How far predicted costs err, learned from what was measured: what is over budget in truth, and how sure that is."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fvsearch.engines.front.surrogate import PRIORS, Evidence, Inputs, Prior, Surrogate

Numbers: TypeAlias = NDArray[np.float64]

_USUAL, _WORTH = 0.01, 2
"""What predictions err by before anything was measured, and how many measurements that belief is worth."""

_NINE_OF_TEN = 1.645
"""Standard deviations within which nine of ten normal numbers lie."""

_LEARNABLE = 8
"""Measurements from which on errors are looked for that depend on the arch."""

_VISIBLE = 0.01
"""Errors whose standard deviation is below this are taken for the same of every arch."""

_MOST = 0.25
"""What is over budget by more counts as over by this: where a device runs out of memory, how far over it was is not known."""


_PRIORS = PRIORS | {"noise": Prior(0.2, 0.8)}
"""What is measured repeats itself better than accuracies do."""


class Measured(NamedTuple):
    """What was measured of an arch against a budget.

    Attributes:
        inputs: (features,) of the arch.
        excess: How far above its predicted share of the budget its measured one is, as a logarithm; or its violation as told, where no
            prediction is known.
    """

    inputs: Numbers
    excess: float


def excess(kind: str, told: float, predicted: float | None) -> float:
    """The error of a prediction, so that above 0 is worse than predicted.

    Args:
        kind: "memory", an upper limit, or "throughput", a lower one.
        told: Violation as measured.
        predicted: Violation as predicted; none where it was not.
    """
    told = min(told, _MOST)
    return told if predicted is None else float(share(kind, told) - share(kind, predicted))


def share(kind: str, violation: Any) -> Any:
    """The logarithm of how much of its budget an arch uses, of a number or of many: 0 is all of it."""
    if kind == "throughput":
        return -np.log(np.maximum(1 - violation, 1e-6))
    return np.log(np.maximum(1 + violation, 1e-6))


class Errors:
    """The errors of one kind of prediction.

    Args:
        measured: So far; there may be none.
        predicted: Whether they are errors of predictions, which are small as long as nothing else is known.
        margin: Nine of ten predictions err less; 0 where that is not known.
    """

    def __init__(self, measured: Sequence[Measured], *, predicted: bool = True, margin: float = 0.0) -> None:
        values = np.array([one.excess for one in measured])
        worth, usual = (_WORTH, max(_USUAL, margin / _NINE_OF_TEN)) if predicted else (1, 0.5)
        self._mean = float(values.sum() / (len(values) + worth))
        squares = ((values - self._mean) ** 2).sum() + worth * usual**2
        self._deviation = float(np.sqrt(squares / (len(values) + worth)))
        self._surrogate: Surrogate | None = None
        if len(values) >= _LEARNABLE and values.std() > _VISIBLE:
            self._surrogate = Surrogate(Evidence.of(np.stack([one.inputs for one in measured]), values), priors=_PRIORS)

    def of(self, inputs: Inputs) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation of the error of each arch: (archs,) both.

        Args:
            inputs: (archs, features).
        """
        if self._surrogate is None:
            return np.full(len(inputs), self._mean), np.full(len(inputs), self._deviation)
        mean, deviation = self._surrogate.posterior(inputs)
        return mean, np.hypot(deviation, self._surrogate.noise)


def corrected(costs: Mapping[str, Numbers], errors: Mapping[str, Errors], inputs: Inputs) -> dict[str, Numbers]:
    """Predicted costs by name, with what is known of their errors."""
    found = dict(costs)
    for kind in errors.keys() & costs.keys():
        mean, _ = errors[kind].of(inputs)
        found[kind] = costs[kind] * np.exp(mean if kind == "memory" else -mean)
    return found


def chance_to_meet(errors: Mapping[str, Errors], predicted: Mapping[str, Numbers], inputs: Inputs) -> Numbers:
    """(archs,) probability that each meets every budget as measured.

    Args:
        errors: By budget; of one that is not predicted, the violations themselves.
        predicted: Violations by budget, (archs,).
        inputs: (archs, features).
    """
    found = np.ones(len(inputs))
    for kind, error in errors.items():
        mean, deviation = error.of(inputs)
        found *= ndtr(-((share(kind, predicted[kind]) if kind in predicted else 0.0) + mean) / deviation)
    return found
