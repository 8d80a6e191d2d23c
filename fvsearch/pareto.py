"""Dominance, front, hypervolume and knee of points with several objectives, all turned to minimise.

A point is a sequence of numbers, one an objective. Infinities are numbers like others; NaN is none and is refused.
"""

import math
from collections.abc import Sequence

from fvsearch.errors import ConfigError
from fvsearch.study import Direction

Point = Sequence[float]


def minimise(values: Point, directions: Sequence[Direction]) -> tuple[float, ...]:
    """The values with those to maximise negated, so that less is better in each.

    Raises:
        ConfigError: Values and directions differ in number.
    """
    if len(values) != len(directions):
        raise ConfigError(f"a point must have one value for each direction, but got {len(values)} values and {len(directions)} directions")
    return tuple(-value if direction == "maximize" else value for value, direction in zip(values, directions, strict=True))


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better; equal points do not dominate each other.

    Raises:
        ConfigError: A NaN, or points of different dimension.
    """
    _require_points((a, b))
    return _dominates(a, b)


def front(points: Sequence[Point]) -> list[int]:
    """Indices, in order, of the points that no other dominates; of equal points on the front, all.

    Raises:
        ConfigError: A NaN, or points of different dimension.
    """
    _require_points(points)
    kept: list[int] = []
    # What dominates a point comes before it in this order, and where that is not kept, something kept dominates both.
    for index in sorted(range(len(points)), key=lambda i: tuple(points[i])):
        if not any(_dominates(points[other], points[index]) for other in kept):
            kept.append(index)
    return sorted(kept)


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Volume of all that some point dominates and that dominates the reference; exact in any dimension.

    It slices along the last objective and sums over the slices: O(n log n) for two objectives, O(n^2 log n) for three, n the points that
    lie below the reference. A point that is not better than the reference in every objective adds nothing.

    Raises:
        ConfigError: A NaN, or points of another dimension than the reference.
    """
    _require_points((reference, *points))
    if not len(reference):
        raise ConfigError("`reference` must have at least one objective, but it has none")
    return _volume(sorted({tuple(p) for p in points if all(x < r for x, r in zip(p, reference, strict=True))}), tuple(reference))


class GrowingFront:
    """A front to which points are added one by one, and its hypervolume; a point costs what the front holds, not what was added before.

    Args:
        reference: The point that volume is measured from; none, and there is no volume.

    Attributes:
        points: That no other dominates; of equal ones, all.
        volume: As `hypervolume`; 0 where there is no reference.
    """

    def __init__(self, reference: Point | None = None) -> None:
        self.points: list[tuple[float, ...]] = []
        self.volume = 0.0
        self._reference = None if reference is None else tuple(reference)

    def add(self, point: Point) -> bool:
        """Add a point; whether it is on the front.

        Raises:
            ConfigError: A NaN, or a point of another dimension than the others.
        """
        new = tuple(point)
        _require_points([*self.points[:1], new])
        if any(_dominates(old, new) for old in self.points):
            return False
        if self._reference is not None:
            self.volume += self._won(new, self._reference)
        self.points = [old for old in self.points if not _dominates(new, old)]
        self.points.append(new)
        return True

    def _won(self, new: tuple[float, ...], reference: tuple[float, ...]) -> float:
        """The volume that the new point alone dominates: all that it does, less what of this the others dominate too."""
        if not all(x < r for x, r in zip(new, reference, strict=True)):
            return 0.0
        shared = list({tuple(map(max, old, new)) for old in self.points})
        whole = math.prod(r - x for x, r in zip(new, reference, strict=True))
        return whole - hypervolume([shared[index] for index in front(shared)], reference)


def knee(points: Sequence[Point]) -> int:
    """Index of the point of the front where giving up a little of one objective stops gaining much in the others.

    Each objective is scaled so that over the front its best value is 0 and its worst 1 (all 0 where they are equal). Through the d points
    that are best in one objective and worst in the others, the extremes, goes the plane `sum(x) = d - 1`, a line for two objectives; the
    knee is the point that lies farthest from it on the side of the ideal point 0, which is the one of least sum. Of several such, the
    most balanced (least maximum), then the one better in the first objectives. So one point is its own knee, and of two points, which
    are both extremes, it is the one better in the first objective. Points that are not finite are passed over.

    Raises:
        ConfigError: There is no finite point, or a NaN, or points of different dimension.
    """
    finite = [index for index in range(len(points)) if all(x not in (math.inf, -math.inf) for x in points[index])]
    if not finite:
        raise ConfigError(f"a knee must be sought among finite points, but got {len(points)} points and none of them is finite")
    candidates = [finite[i] for i in front([points[index] for index in finite])]
    best = [min(values) for values in zip(*(points[i] for i in candidates), strict=True)]
    worst = [max(values) for values in zip(*(points[i] for i in candidates), strict=True)]

    def rank(index: int) -> tuple[float, float, list[float]]:
        scaled = [(x - low) / (high - low) if high > low else 0.0 for x, low, high in zip(points[index], best, worst, strict=True)]
        # Rounded, so that points on one line tie whatever their scale: 0.1 + 0.9 is not 0.3 + 0.7.
        return round(sum(scaled), 12), round(max(scaled, default=0.0), 12), scaled

    return min(candidates, key=rank)


def _dominates(a: Point, b: Point) -> bool:
    better = False
    for x, y in zip(a, b, strict=True):
        if x > y:
            return False
        better = better or x < y
    return better


def _volume(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Hypervolume of distinct points, sorted, each below the reference in every objective."""
    if not points:
        return 0.0
    if len(reference) == 1:
        return reference[0] - points[0][0]
    if len(reference) == 2:
        return _area(points, reference)
    volume = 0.0
    rising = sorted(points, key=lambda p: p[-1])
    for i, point in enumerate(rising):
        top = rising[i + 1][-1] if i + 1 < len(rising) else reference[-1]
        # Where two points lie at one level there is no slice between them; and -inf less -inf would be NaN.
        if top > point[-1]:
            slice_points = sorted({p[:-1] for p in rising[: i + 1]})
            volume += (top - point[-1]) * _volume(slice_points, reference[:-1])
    return volume


def _area(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    area, lowest = 0.0, reference[1]
    for x, y in points:
        if y < lowest:
            area += (reference[0] - x) * (lowest - y)
            lowest = y
    return area


def _require_points(points: Sequence[Point]) -> None:
    for index, point in enumerate(points):
        if len(point) != len(points[0]):
            raise ConfigError(f"points must have one dimension, but got {len(points[0])} at points[0] and {len(point)} at points[{index}]")
        for value in point:
            if math.isnan(value):
                raise ConfigError(f"a point must hold no NaN, but got {list(point)} at points[{index}]; leave out trials without values")
