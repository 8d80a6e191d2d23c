"""Expected improvement against closed forms, against Monte Carlo, and against the hypervolume that it is the expectation of."""

import math

import numpy as np
import pytest

from fvsearch import pareto
from fvsearch.engines.front.acquisition import Front


def volume(points, reference):
    return pareto.hypervolume([tuple(point) for point in points], reference)


def drawn(costs, points=7, seed=0):
    """A front's points and candidates in the unit cube, some of them beyond the reference or dominated."""
    rng = np.random.default_rng(seed)
    front = rng.random((points, 1 + costs)) * 1.1
    return front, rng.random(8), rng.random(8) * 0.4 + 0.02, rng.random((8, costs)) * 1.05


@pytest.mark.parametrize("costs", [0, 1, 2, 3])
def test_it_is_what_monte_carlo_finds(costs):
    points, mean, deviation, candidates = drawn(costs)
    reference = (1.0,) * (1 + costs)
    front = Front(points[:, 0], points[:, 1:], 1.0, np.ones(costs))
    exact = front.expected_improvement(mean, deviation, candidates)
    before = volume(points, reference)
    draws = np.random.default_rng(1).standard_normal(1500)
    for row in range(len(mean)):
        gained = [volume([*points, (mean[row] + deviation[row] * draw, *candidates[row])], reference) - before for draw in draws]
        assert exact[row] == pytest.approx(np.mean(gained), abs=4 * np.std(gained) / math.sqrt(len(draws)) + 2e-5)


@pytest.mark.parametrize("costs", [0, 1, 2, 3])
def test_a_value_that_is_all_but_known_gains_what_the_hypervolume_grows_by(costs):
    points, value, _, candidates = drawn(costs, seed=3)
    reference = (1.0,) * (1 + costs)
    exact = Front(points[:, 0], points[:, 1:], 1.0, np.ones(costs)).expected_improvement(value, np.full(8, 1e-9), candidates)
    grown = [volume([*points, (value[row], *candidates[row])], reference) - volume(points, reference) for row in range(8)]
    assert exact == pytest.approx(grown, abs=1e-8)


def test_without_costs_it_is_expected_improvement():
    # E[max(0, best - y)] of a standard normal at its mean.
    front = Front(np.array([0.3, 0.0]), np.zeros((2, 0)), 1.0, np.zeros(0))
    assert front.expected_improvement(np.array([0.0]), np.array([1.0]), np.zeros((1, 0))) == pytest.approx([1 / math.sqrt(2 * math.pi)])


def test_nothing_on_the_front_leaves_all_up_to_the_reference():
    front = Front(np.zeros(0), np.zeros((0, 2)), 1.0, np.ones(2))
    gained = front.expected_improvement(np.array([0.25]), np.array([1e-9]), np.array([[0.5, 0.2]]))
    assert gained == pytest.approx([0.75 * 0.5 * 0.8])


def test_what_costs_the_reference_or_more_gains_nothing():
    front = Front(np.array([0.5]), np.array([[0.5, 0.5]]), 1.0, np.ones(2))
    costs = np.array([[1.0, 0.1], [0.1, 1.2], [1.5, 1.5]])
    assert front.expected_improvement(np.zeros(3), np.ones(3), costs).tolist() == [0, 0, 0]


def test_equal_points_and_dominated_ones_change_nothing():
    points, mean, deviation, candidates = drawn(2)
    worse = points + 0.05
    plain = Front(points[:, 0], points[:, 1:], 1.0, np.ones(2))
    crowded = np.concatenate([points, points, worse])
    again = Front(crowded[:, 0], crowded[:, 1:], 1.0, np.ones(2))
    assert len(again.values) == len(plain.values) < len(points)
    assert again.expected_improvement(mean, deviation, candidates) == pytest.approx(
        plain.expected_improvement(mean, deviation, candidates), rel=1e-12
    )


@pytest.mark.parametrize("costs", [2, 3])
def test_slabs_are_what_the_table_is(costs, monkeypatch):
    points, mean, deviation, candidates = drawn(costs, points=20)
    front = Front(points[:, 0], points[:, 1:], 1.0, np.ones(costs))
    whole = front.expected_improvement(mean, deviation, candidates)
    monkeypatch.setattr("fvsearch.engines.front.acquisition._TABLE", 1)
    assert front.expected_improvement(mean, deviation, candidates) == pytest.approx(whole, rel=1e-12)


def test_candidates_in_blocks_are_what_they_are_at_once(monkeypatch):
    points, mean, deviation, candidates = drawn(2, points=20)
    front = Front(points[:, 0], points[:, 1:], 1.0, np.ones(2))
    whole = front.expected_improvement(mean, deviation, candidates)
    monkeypatch.setattr("fvsearch.engines.front.acquisition._BLOCK", 3)
    monkeypatch.setattr("fvsearch.engines.front.acquisition._CHUNK", 2)
    assert front.expected_improvement(mean, deviation, candidates) == pytest.approx(whole, rel=1e-12)


def crowd(costs, seed=0):
    """A front of many points, and two thousand candidates: means, deviations, costs."""
    rng = np.random.default_rng(seed)
    points = rng.random((60, 1 + costs))
    # On a front, as points of a search are: what costs more is better.
    points[:, 0] = 1 - points[:, 1:].sum(axis=1) / (1 + costs) + 0.1 * rng.random(60)
    candidates = rng.random((2000, costs)) * 1.05
    mean = 1.1 - candidates.sum(axis=1) / (1 + costs) + 0.1 * rng.random(2000)
    return Front(points[:, 0], points[:, 1:], 1.2, np.ones(costs)), mean, rng.random(2000) * 0.1 + 0.01, candidates


@pytest.mark.parametrize("count", [1, 8, 100])
@pytest.mark.parametrize("costs", [0, 1, 2, 3])
def test_leaders_are_the_best_of_all(costs, count):
    front, mean, deviation, candidates = crowd(costs)
    weight = np.random.default_rng(1).random(len(mean)) * (np.arange(len(mean)) % 3 > 0)
    gains = weight * front.expected_improvement(mean, deviation, candidates)
    rows, found = front.leaders(mean, deviation, candidates, weight, count)
    assert rows.tolist() == np.argsort(-gains, kind="stable")[:count].tolist()
    assert found == pytest.approx(gains[rows], rel=1e-9)


def test_few_are_judged_exactly(monkeypatch):
    front, mean, deviation, candidates = crowd(2)
    judged, whole = [], Front.expected_improvement

    def counting(self, mean, *others):
        judged.append(len(mean) if self is front else 0)
        return whole(self, mean, *others)

    monkeypatch.setattr(Front, "expected_improvement", counting)
    front.leaders(mean, deviation, candidates, np.ones(len(mean)), 1)
    assert 1 < sum(judged) < 700


def test_who_is_not_asked_for_or_gains_nothing_does_not_lead():
    front = Front(np.array([0.5]), np.array([[0.2]]), 1.0, np.ones(1))
    mean, deviation, costs = np.array([0.1, 0.2, 0.9, 0.1]), np.full(4, 1e-3), np.array([[0.5], [0.5], [0.5], [1.0]])
    rows, gains = front.leaders(mean, deviation, costs, np.array([0.0, 1.0, 1.0, 1.0]), 3)
    # Row 2 is dominated by 400 deviations, row 3 is beyond the reference.
    assert rows.tolist() == [1]
    assert gains == pytest.approx([0.3 * 0.5])
    assert [len(found) for found in front.leaders(mean, deviation, costs, np.zeros(4), 3)] == [0, 0]
