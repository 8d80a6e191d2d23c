"""Errors of predictions against closed forms: what measurements teach, and how likely a budget is met."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fvsearch.engines.front.errors import Errors, Measured, chance_to_meet, corrected, excess

ARCHS = np.random.default_rng(0).standard_normal((5, 3))


def measured(*excesses, inputs=None):
    inputs = np.random.default_rng(1).standard_normal((len(excesses), 3)) if inputs is None else inputs
    return [Measured(one, value) for one, value in zip(inputs, excesses, strict=True)]


@pytest.mark.parametrize(
    ("kind", "told", "predicted", "ratio"),
    [
        # 0.99 of the limit as measured, 0.9 as predicted.
        ("memory", -0.01, -0.1, 0.99 / 0.9),
        # 1.1 times the least images/s as measured, 1.25 as predicted.
        ("throughput", -0.1, -0.25, 1.25 / 1.1),
        # How far over is not known where a device ran out of memory.
        ("memory", 1.0, 0.0, 1.25),
    ],
)
def test_an_error_is_the_logarithm_of_what_a_measurement_is_to_its_prediction(kind, told, predicted, ratio):
    assert excess(kind, told, predicted) == pytest.approx(math.log(ratio))


def test_what_is_not_predicted_is_as_told():
    assert excess("depth", 0.1, None) == 0.1
    assert excess("depth", 3.0, None) == 0.25


def test_before_anything_is_measured_predictions_err_by_little():
    mean, deviation = Errors([]).of(ARCHS)
    assert (mean.tolist(), deviation.tolist()) == ([0.0] * 5, [0.01] * 5)


def test_a_few_measurements_shift_and_widen_all_alike():
    mean, deviation = Errors(measured(0.3, 0.2, 0.1)).of(ARCHS)
    # As if two more had erred by nothing.
    assert mean == pytest.approx([0.6 / 5] * 5)
    squares = (0.3 - 0.12) ** 2 + (0.2 - 0.12) ** 2 + (0.1 - 0.12) ** 2
    assert deviation == pytest.approx([math.sqrt((squares + 2 * 0.01**2) / 5)] * 5)


def test_many_that_err_alike_are_taken_for_the_same_of_every_arch():
    mean, deviation = Errors(measured(*[0.2] * 50)).of(ARCHS)
    assert mean == pytest.approx([0.2] * 5, abs=0.01)
    assert (deviation < 0.04).all()


def test_errors_that_depend_on_the_arch_are_learned():
    inputs = np.random.default_rng(2).standard_normal((30, 3))
    mean, _ = Errors(measured(*(0.1 * inputs[:, 0]), inputs=inputs)).of(ARCHS)
    assert mean == pytest.approx(0.1 * ARCHS[:, 0], abs=0.04)


def test_costs_are_corrected_each_to_its_worse_side():
    errors = {"memory": Errors(measured(0.3, 0.3, 0.3)), "throughput": Errors(measured(0.3, 0.3, 0.3))}
    found = corrected({"memory": np.full(5, 10.0), "throughput": np.full(5, 10.0), "macs": np.full(5, 10.0)}, errors, ARCHS)
    times = math.exp(0.9 / 5)
    assert found["memory"] == pytest.approx([10 * times] * 5)
    assert found["throughput"] == pytest.approx([10 / times] * 5)
    assert found["macs"].tolist() == [10.0] * 5


def test_the_chance_to_meet_budgets_is_that_of_normal_errors():
    errors = {"memory": Errors([]), "throughput": Errors(measured(0.1, 0.1)), "depth": Errors(measured(-0.2), predicted=False)}
    predicted = {"memory": np.array([-0.5, -0.01, 0.0, 0.01, 0.5]), "throughput": np.array([-0.5, -0.1, -0.1, -0.1, -0.5])}
    of_throughput = errors["throughput"].of(ARCHS)[1][0]
    mean, deviation = (part[0] for part in errors["depth"].of(ARCHS))
    expected = norm.cdf(-np.log(1 + predicted["memory"]) / 0.01)
    expected *= norm.cdf((np.log(1 - predicted["throughput"]) - 0.05) / of_throughput)
    assert chance_to_meet(errors, predicted, ARCHS) == pytest.approx(expected * norm.cdf(-mean / deviation))
    assert chance_to_meet({}, {}, ARCHS).tolist() == [1.0] * 5
