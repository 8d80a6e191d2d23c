import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvsearch.errors import ConfigError
from fvsearch.pareto import GrowingFront, dominates, front, hypervolume, knee, minimise

INF = math.inf


def clouds(dimensions, elements, most=8):
    """Lists of points of one dimension, with ties."""
    return st.sampled_from(dimensions).flatmap(lambda d: st.lists(st.tuples(*[elements] * d), min_size=1, max_size=most))


small = st.integers(0, 5).map(float)
wild = st.one_of(small, st.sampled_from([INF, -INF]), st.floats(-1e6, 1e6))


# dominates


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 1), (2, 2), True),
        ((1, 2), (2, 2), True),
        ((2, 2), (2, 2), False),
        ((1, 3), (2, 2), False),
        ((3, 1), (2, 2), False),
        ((1,), (2,), True),
        ((-INF, 1), (0, 1), True),
        ((0, 1), (INF, 1), True),
        ((INF, 1), (INF, 1), False),
        ((INF, 1), (INF, 2), True),
        ((INF, 1), (0, 2), False),
    ],
)
def test_dominates_means_nowhere_worse_and_somewhere_better(a, b, expected):
    assert dominates(a, b) is expected


@given(clouds([1, 2, 3], wild, most=3).filter(lambda points: len(points) == 3))
def test_dominance_is_a_strict_order(points):
    a, b, c = points
    assert not dominates(a, a)
    assert not (dominates(a, b) and dominates(b, a))
    assert not (dominates(a, b) and dominates(b, c)) or dominates(a, c)


# front


def test_the_front_of_nothing_and_of_one():
    assert front([]) == []
    assert front([(3.0, 4.0)]) == [0]
    assert front([(INF, INF)]) == [0]


def test_the_front_keeps_the_order_of_the_points():
    assert front([(5, 0), (3, 3), (0, 5), (2, 2), (4, 4)]) == [0, 2, 3]


def test_of_equal_points_all_are_kept_or_none():
    assert front([(1, 2), (2, 1), (1, 2)]) == [0, 1, 2]
    assert front([(1, 2), (0, 0), (1, 2)]) == [1]


def test_a_tie_in_one_objective_is_decided_by_the_other():
    assert front([(1, 3), (1, 2), (2, 2)]) == [1]


def test_infinite_points_are_compared_like_others():
    assert front([(-INF, 5), (0, 0), (INF, -INF), (INF, 3)]) == [0, 1, 2]


@given(clouds([1, 2, 3, 4], wild))
def test_the_front_is_what_no_point_dominates(points):
    assert front(points) == [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def optunas_front(points, directions):
    """Indices of the best trials of a study whose trials have these values."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=directions)
    study.add_trials([optuna.trial.create_trial(values=list(point)) for point in points])
    return sorted(trial.number for trial in study.best_trials)


def drawn(rng, dimension, size, values=(0.0, 1.0, 2.0, 3.0, INF, -INF)):
    """Points with many ties, and infinities where they are among the values."""
    return [tuple(rng.choice(values) for _ in range(dimension)) for _ in range(size)]


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 9])
def test_the_front_agrees_with_optunas_also_with_ties_and_infinities(dimension, size):
    rng = random.Random(10 * dimension + size)
    directions = [rng.choice(["minimize", "maximize"]) for _ in range(dimension)]
    for _ in range(20):
        points = drawn(rng, dimension, size)
        assert front([minimise(point, directions) for point in points]) == optunas_front(points, directions)


# hypervolume


def staircase(dimension, n):
    """The points of a grid whose coordinates sum to n - 1: with n at the reference, they dominate the cells that sum to as much or more."""
    heads = itertools.product(range(n), repeat=dimension - 1)
    return [(*head, n - 1 - sum(head)) for head in heads if sum(head) < n]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
def test_the_volume_of_a_staircase_is_a_triangular_number(n):
    assert hypervolume(staircase(2, n), (n, n)) == n * (n + 1) / 2


@pytest.mark.parametrize(("dimension", "n"), [(3, 1), (3, 2), (3, 3), (3, 10), (4, 2), (4, 5), (5, 3)])
def test_the_volume_above_a_staircase_is_a_cube_less_a_simplex(dimension, n):
    assert hypervolume(staircase(dimension, n), (n,) * dimension) == n**dimension - math.comb(n - 2 + dimension, dimension)


def test_in_one_dimension_it_is_a_length():
    assert hypervolume([(3.0,), (1.5,), (9.0,)], (4.0,)) == 2.5


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_of_one_point_it_is_a_box(dimension):
    assert hypervolume([(1.0,) * dimension], (3.0,) * dimension) == 2.0**dimension


def test_points_that_are_not_better_than_the_reference_add_nothing():
    assert hypervolume([], (1, 1)) == 0
    assert hypervolume([(1, 0), (0, 1), (2, -5), (INF, 0)], (1, 1)) == 0
    assert hypervolume([(0, 0), (1, 0), (0, 1), (INF, -INF)], (1, 1)) == 1


def test_an_infinitely_good_point_has_infinite_volume():
    assert hypervolume([(-INF, 0)], (1, 1)) == INF
    assert hypervolume([(-INF, 0), (-INF, -1), (0, -INF)], (1, 1)) == INF
    assert hypervolume([(0, 0, -INF), (0, -1, -INF), (-1, 0, 0)], (1, 1, 1)) == INF
    assert hypervolume([(0, 0)], (1, INF)) == INF
    assert hypervolume([(0, 0), (-1, 1)], (INF, INF)) == INF


def boxes_counted(points, reference):
    """The volume by cutting space at every coordinate and counting the dominated cells; for few points."""
    cuts = [sorted({min(p[i], r) for p in points} | {r}) for i, r in enumerate(reference)]
    volume = 0.0
    for cell in itertools.product(*(itertools.pairwise(axis) for axis in cuts)):
        corner = [low for low, _ in cell]
        if any(all(x <= y for x, y in zip(p, corner, strict=True)) for p in points):
            volume += math.prod(high - low for low, high in cell)
    return volume


def by_inclusion_and_exclusion(points, reference):
    """The volume as the sum over all subsets of the boxes that they share, with alternating sign."""
    volume = 0.0
    for size in range(1, len(points) + 1):
        for subset in itertools.combinations(points, size):
            corner = [max(axis) for axis in zip(*subset, strict=True)]
            volume -= (-1) ** size * math.prod(max(0.0, r - x) for x, r in zip(corner, reference, strict=True))
    return volume


@given(clouds([1, 2, 3, 4], small, most=6))
def test_the_volume_agrees_with_two_other_ways_to_count(points):
    reference = (4.0,) * len(points[0])
    assert hypervolume(points, reference) == boxes_counted(points, reference) == by_inclusion_and_exclusion(points, reference)


@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_the_volume_agrees_with_optuna(dimension):
    import numpy
    from optuna._hypervolume import compute_hypervolume

    rng = random.Random(dimension)
    for size in (1, 7, 40):
        points = [tuple(rng.gauss(0, 1) for _ in range(dimension)) for _ in range(size)]
        reference = (1.5,) * dimension
        inside = [p for p in points if max(p) < 1.5]
        expected = compute_hypervolume(numpy.array(inside), numpy.array(reference)) if inside else 0.0
        assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize("values", [(0.0, 1.0, 2.0), (0.0, 1.0, INF), (0.0, 1.0, 2.0, INF, -INF)], ids=["ties", "bad", "good and bad"])
def test_the_volume_agrees_with_optuna_with_ties_and_infinities(dimension, values):
    import numpy
    from optuna._hypervolume import compute_hypervolume

    rng = random.Random(dimension)
    for size in (1, 2, 5, 12) * 5:
        points = drawn(rng, dimension, size, values)
        # Optuna takes no points beyond the reference; at it, they add nothing.
        inside = [point for point in points if max(point) < 2.0]
        with numpy.errstate(invalid="ignore"):  # its inf - inf, which it turns into the volume it is, inf
            expected = compute_hypervolume(numpy.array(inside), numpy.full(dimension, 2.0)) if inside else 0.0
        assert hypervolume(points, (2.0,) * dimension) == pytest.approx(expected)


@given(clouds([1, 2, 3], wild), st.randoms(use_true_random=False))
def test_the_volume_is_the_fronts_whatever_the_order(points, rng):
    reference = (7.0,) * len(points[0])
    shuffled = rng.sample(points, len(points))
    volume = hypervolume(points, reference)
    assert volume >= 0
    assert hypervolume(shuffled, reference) == pytest.approx(volume)
    assert hypervolume([points[i] for i in front(points)], reference) == pytest.approx(volume)


@given(clouds([1, 2, 3], small).filter(lambda points: len(points) > 1))
def test_one_more_point_never_shrinks_the_volume(points):
    reference = (6.0,) * len(points[0])
    less, more = hypervolume(points[1:], reference), hypervolume(points, reference)
    assert more >= less
    if not any(q == points[0] or dominates(q, points[0]) for q in points[1:]):
        assert more > less


# knee


def test_the_knee_of_one_and_of_two_points():
    assert knee([(7.0, 7.0)]) == 0
    assert knee([(5.0, 1.0), (1.0, 5.0)]) == 1
    assert knee([(1.0, 5.0), (5.0, 1.0)]) == 0


def test_the_knee_bends_farthest_from_the_line_through_the_extremes():
    assert knee([(0, 10), (1, 2), (5, 1), (10, 0)]) == 1
    assert knee([(0, 10), (4, 9), (9, 0.5), (10, 0)]) == 2


def test_the_knee_does_not_depend_on_units():
    points = [(0, 10), (1, 2), (5, 1), (10, 0)]
    assert knee([(x * 1e9 - 3, y * 1e-6) for x, y in points]) == knee(points)


def test_the_knee_is_on_the_front():
    assert knee([(0, 10), (10, 0), (1, 9), (2, 9.5), (1.5, 10)]) == 2
    assert knee([(3, 3), (2, 2), (9, 9)]) == 1


def test_of_points_on_a_line_the_middle_one_is_the_knee():
    assert knee([(0.0, 1.0), (0.1, 0.9), (0.5, 0.5), (0.7, 0.3), (1.0, 0.0)]) == 2


def test_the_knee_in_three_dimensions():
    extremes = [(0, 1, 1), (1, 0, 1), (1, 1, 0)]
    assert knee([*extremes, (0.3, 0.3, 0.3)]) == 3
    assert knee([*extremes, (0.9, 0.9, 0.05)]) == 3  # 0.15 below the plane of the extremes, sum(x) = 2


def test_an_objective_in_which_all_are_equal_does_not_count():
    assert knee([(0, 10, 4), (1, 2, 4), (10, 0, 4)]) == 1
    assert knee([(4, 4), (4, 4)]) == 0


def test_infinite_points_are_no_knee():
    assert knee([(-INF, 0), (3, 3), (INF, -INF)]) == 1
    with pytest.raises(ConfigError, match="none of them is finite"):
        knee([(-INF, 0)])
    with pytest.raises(ConfigError, match="got 0 points"):
        knee([])


@given(clouds([1, 2, 3], st.floats(-1e6, 1e6)), st.randoms(use_true_random=False))
def test_the_knee_is_a_point_of_the_front_whatever_the_order(points, rng):
    shuffled = rng.sample(points, len(points))
    assert knee(points) in front(points)
    assert tuple(shuffled[knee(shuffled)]) == tuple(points[knee(points)])


# laws


@pytest.mark.parametrize(
    "call",
    [
        lambda p: dominates(p, (0.0, 0.0)),
        lambda p: front([(0.0, 0.0), p]),
        lambda p: hypervolume([p], (1.0, 1.0)),
        lambda p: hypervolume([(0.0, 0.0)], p),
        lambda p: knee([(0.0, 0.0), p]),
    ],
)
def test_nan_is_refused(call):
    with pytest.raises(ConfigError, match="a point must hold no NaN"):
        call((0.0, math.nan))


@pytest.mark.parametrize("call", [lambda: dominates((1,), (1, 2)), lambda: front([(1, 2), (1,)]), lambda: hypervolume([(1,)], (2, 2))])
def test_points_of_different_dimension_are_refused(call):
    with pytest.raises(ConfigError, match="points must have one dimension"):
        call()


def test_a_reference_without_objectives_is_refused():
    with pytest.raises(ConfigError, match="at least one objective"):
        hypervolume([], ())


def test_minimise_negates_what_is_to_be_maximised():
    assert minimise((0.9, 2e9), ("maximize", "minimize")) == (-0.9, 2e9)
    with pytest.raises(ConfigError, match="1 values and 2 directions"):
        minimise((0.9,), ("maximize", "minimize"))


# a front that grows


@given(clouds((1, 2, 3), small, most=14))
def test_a_front_that_grows_holds_the_front_and_its_volume(points):
    reference = (4.0,) * len(points[0])
    growing = GrowingFront(reference)
    for count, point in enumerate(points, start=1):
        growing.add(point)
        assert sorted(growing.points) == sorted(tuple(points[index]) for index in front(points[:count]))
        assert growing.volume == pytest.approx(hypervolume(points[:count], reference))


def test_a_front_without_a_reference_has_no_volume():
    growing = GrowingFront()
    assert [growing.add(point) for point in ((1, 2), (2, 1), (2, 2), (0, 0))] == [True, True, False, True]
    assert (growing.points, growing.volume) == ([(0, 0)], 0.0)


def test_a_point_that_is_none_does_not_enter():
    growing = GrowingFront((1.0, 1.0))
    growing.add((0.5, 0.5))
    with pytest.raises(ConfigError):
        growing.add((math.nan, 0.0))
    with pytest.raises(ConfigError):
        growing.add((0.0,))
