"""Costs as axes of a front, against plain formulas."""

import math

import numpy as np
import pytest

from fvsearch.engines.front.axes import Axes
from fvsearch.study import Objective

TOP1, MEMORY, THROUGHPUT = (
    Objective(name=name, direction=direction)
    for name, direction in (("top1", "maximize"), ("memory", "minimize"), ("throughput", "maximize"))
)


def along(axes, **costs):
    return axes({name: np.array(values, float) for name, values in costs.items()}, len(next(iter(costs.values()))))


def test_less_is_better_from_the_cheapest_to_the_dearest():
    axes = Axes((MEMORY, TOP1, THROUGHPUT), {"memory": np.array([4.0, 1.0]), "throughput": np.array([10.0, 1000.0])})
    assert axes.names == ("memory", "throughput")
    assert along(axes, memory=[1, 4], throughput=[1000, 10]) == pytest.approx(np.array([[0, 0], [1, 1]]))
    assert (axes.limits > 1).all()
    # Half plain and half logarithm, beyond the ends too.
    found = along(axes, memory=[2, 8], throughput=[100, 100])
    assert found[:, 0] == pytest.approx([0.5 / 3 + 0.25, 3.5 / 3 + 0.75])
    assert found[:, 1] == pytest.approx([0.5 * 900 / 990 + 0.25] * 2)


def test_a_cost_of_zero_has_no_logarithm():
    axes = Axes((TOP1, MEMORY), {"memory": np.array([0.0, 4.0])})
    assert along(axes, memory=[0, 1, 4])[:, 0].tolist() == [0, 0.25, 1]
    # And one that was measured as nothing is far beyond the cheapest, but no infinity.
    known = Axes((TOP1, MEMORY), {"memory": np.array([1.0, 4.0])})
    assert along(known, memory=[0])[0, 0] == pytest.approx(-0.5 / 3 + 0.5 * math.log(1e-3) / math.log(4))


def test_equal_costs_are_no_axis_to_gain_on():
    axes = Axes((TOP1, MEMORY), {"memory": np.array([3.0, 3.0])})
    assert along(axes, memory=[3, 3])[:, 0].tolist() == [0, 0]


def test_accuracy_alone_has_none():
    axes = Axes((TOP1,), {"macs": np.array([1.0, 2.0])})
    assert axes({}, 4).shape == (4, 0)
    assert axes.limits.shape == (0,)
