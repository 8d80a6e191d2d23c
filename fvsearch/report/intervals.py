"""Means and differences of a few trainings, with 95% intervals: Student's for one mean, Welch's for what compares several."""

import math
import statistics
from collections.abc import Sequence

from fvsearch.records import Record

CONFIDENCE = 0.95


class Estimate(Record, frozen=True, kw_only=True):
    """A number and where it lies with 95% confidence.

    Attributes:
        value: The mean, or the difference of means.
        low, high: Its interval; none where one training stands for a mean, which says nothing of how seeds differ.
    """

    value: float
    low: float | None = None
    high: float | None = None


def mean(values: Sequence[float]) -> Estimate:
    """The mean of at least one value, with Student's interval."""
    return contrast([values], [1.0])


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """The mean of the first less that of the second, with Welch's interval."""
    return contrast([first, second], [1.0, -1.0])


def contrast(groups: Sequence[Sequence[float]], weights: Sequence[float]) -> Estimate:
    """A weighted sum of means of independent groups, whose variances may differ.

    The degrees of freedom are Welch's and Satterthwaite's: for one group the interval is Student's, for a difference Welch's.

    Args:
        groups: Each with at least one value.
        weights: One for each group.
    """
    value = sum(weight * statistics.fmean(group) for group, weight in zip(groups, weights, strict=True))
    if any(len(group) < 2 for group in groups):
        return Estimate(value=value)
    parts = [weight**2 * statistics.variance(group) / len(group) for group, weight in zip(groups, weights, strict=True)]
    total = sum(parts)
    if total == 0:
        return Estimate(value=value, low=value, high=value)
    freedom = total**2 / sum(part**2 / (len(group) - 1) for part, group in zip(parts, groups, strict=True))
    return _around(value, math.sqrt(total), freedom)


def _around(value: float, error: float, freedom: float) -> Estimate:
    from scipy import stats

    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Estimate(value=value, low=value - reach, high=value + reach)
