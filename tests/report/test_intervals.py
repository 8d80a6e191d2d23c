"""Intervals against SciPy's own, and where a few trainings say nothing."""

import pytest
from scipy import stats

from fvsearch.report.intervals import contrast, difference, mean

A, B = [0.61, 0.64, 0.60, 0.63], [0.55, 0.59, 0.58]


def test_a_mean_has_student_s_interval() -> None:
    low, high = stats.t.interval(0.95, len(A) - 1, loc=sum(A) / 4, scale=stats.sem(A))
    found = mean(A)
    assert (found.value, found.low, found.high) == pytest.approx((0.62, low, high))


def test_a_difference_has_welch_s_interval() -> None:
    found = difference(A, B)
    interval = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.value == pytest.approx(sum(A) / 4 - sum(B) / 3)


def test_a_contrast_of_two_differences_is_wider_than_either() -> None:
    one, both = difference(A, B), contrast([A, B, B, A], [1, -1, -1, 1])
    assert both.value == pytest.approx(2 * one.value)
    assert both.low is not None and both.high is not None and one.low is not None and one.high is not None
    assert both.high - both.low > 1.1 * (one.high - one.low)


def test_one_training_has_no_interval_and_equal_ones_a_point() -> None:
    assert (mean([0.5]).low, difference(A, [0.5]).high) == (None, None)
    found = difference([0.5, 0.5], [0.4, 0.4])
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))
