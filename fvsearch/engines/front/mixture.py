"""A posterior that does not take the surrogate's hyper-parameters for known: a mixture over points about their most probable values.

With few observations much of what is not known is how smooth accuracy is, and how noisy; a posterior at the most probable values alone is
too sure of itself. Along each axis of their posterior, as its curvature at the top has it, stand two points, so far out that together they
have its mean and covariance if it is normal; what it is instead, their weights correct.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from fvsearch.engines.front.surrogate import Evidence, Inputs, Surrogate

Numbers: TypeAlias = NDArray[np.float64]

_STEP = 1e-3
"""Of a hyper-parameter's logarithm, for the curvature."""

_LEAST_CURVATURE = 0.3
"""Below it the posterior is wider than any prior, and the point would lie where nothing was looked at."""

_MOST_WEIGHT = 2.0
"""Logarithm of how much more than its share a point may count."""


class Mixture:
    """The posterior, given evidence, over several settings of the hyper-parameters.

    Args:
        evidence: At least one observation.

    Attributes:
        noise: Standard deviation of one training's value about its arch's own, for an arch of average size, at the most probable setting.
    """

    def __init__(self, evidence: Evidence) -> None:
        best = Surrogate(evidence)
        self.noise, self._count = best.noise, len(evidence.values)
        settings, self._weights = _settings(best)
        self._parts = [best.at(setting) for setting in settings]

    def observed(self) -> tuple[Numbers, Numbers]:
        """As `Surrogate.observed`."""
        found = [part.observed() for part in self._parts]
        means = np.stack([mean for mean, _ in found])
        off = means - self._weights @ means
        covariance = sum(weight * part for weight, (_, part) in zip(self._weights, found, strict=True))
        return self._weights @ means, covariance + (self._weights[:, None] * off).T @ off

    def posterior(self, inputs: Inputs) -> tuple[Numbers, Numbers]:
        """As `Surrogate.posterior`."""
        found = [part.posterior(inputs) for part in self._parts]
        means, deviations = (np.stack(part) for part in zip(*found, strict=True))
        mean = self._weights @ means
        return mean, np.sqrt(self._weights @ (deviations**2 + (means - mean) ** 2))

    def interval(self, mean: Numbers, deviation: Numbers, share: float = 0.95) -> tuple[Numbers, Numbers]:
        """The ends of the interval in which a value lies with this probability.

        By Student's distribution: the unit of all deviations is itself taken from so many observations.
        """
        times = float(student.ppf(0.5 + share / 2, self._count + 2))
        return mean - times * deviation, mean + times * deviation


def _settings(best: Surrogate) -> tuple[list[Numbers], Numbers]:
    """Logarithms of hyper-parameters, and their weights."""
    top = np.log(list(best.hyper.values()))
    size = len(top)
    steps = _STEP * np.eye(size)
    curvature = np.stack([(best.loss(top + step)[1] - best.loss(top - step)[1]) / (2 * _STEP) for step in steps])
    roots, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    reach = math.sqrt(size) * axes / np.sqrt(np.maximum(roots, _LEAST_CURVATURE))
    settings = [top + sign * reach[:, axis] for axis in range(size) for sign in (1, -1)]
    # A normal density falls by size / 2 out to there.
    least = best.loss(top)[0]
    excess = np.array([least - best.loss(setting)[0] + size / 2 for setting in settings])
    weights = np.exp(np.minimum(excess, _MOST_WEIGHT))
    return settings, weights / weights.sum()
