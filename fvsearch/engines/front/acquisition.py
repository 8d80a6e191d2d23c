"""Expected hypervolume improvement where one objective is uncertain and every other is known: exact, and of many candidates at once.

Everything is minimised. A candidate of known costs c whose uncertain value turns out as y adds what lies in [y, r] x [c, r'] and is not
dominated yet, r and r' being the reference. Cut at a height u of the uncertain objective, that is the area A(u, c) of [c, r'] that none
of the front's points of value at most u dominates; and the height u counts if y <= u. So, exactly,

    E = integral over u < r of P(y <= u) A(u, c) du.

Between two neighbouring values of the front A does not change, so E is a sum over them: A times a difference of

    psi(u) = integral over v < u of P(y <= v) dv = (u - m) Phi(z) + s phi(z),   z = (u - m) / s.

And between two neighbouring costs of the front A is linear in each cost, so it is known everywhere from its values on the grid that the
front's points span: a table, from which candidates are interpolated. Where the table would be large, A is cut along its last cost into
slabs, each with the table of one cost less that the points which reach into it span.

Of many candidates few matter. Rounding the front's costs up to some of their own values leaves more to gain, and a small table: a bound
that is cheap for all, below which most are out.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Numbers: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]

_TABLE = 4_000_000
"""Numbers of a table that is made whole."""

_BLOCK, _CHUNK = 32_768, 2048
"""Candidates that a table is made for, and of them such as are judged at once: what is held of these fits a core's cache."""

_STEPS = 16
"""Values of each cost that a front is rounded up to for a bound."""

_PROMISING = 64
"""Candidates of the highest bounds, whose gains tell which bounds are too low."""


class Front:
    """Points that an improvement is measured against.

    Args:
        values: (points,) of the uncertain objective, less being better; what is beyond the reference or dominated does no harm.
        costs: (points, costs) of the known objectives, less being better; there may be none.
        reference: Of the uncertain objective.
        cost_reference: (costs,) of the others.

    Attributes:
        values: (points,) of those that count, ascending.
        costs: (points, costs) of those that count.
    """

    def __init__(self, values: Numbers, costs: Numbers, reference: float, cost_reference: Numbers) -> None:
        inside = np.flatnonzero((values < reference) & (costs < cost_reference).all(axis=1))
        order = inside[np.argsort(values[inside], kind="stable")]
        kept = order[_undominated(costs[order])]
        self.values, self.costs = values[kept], costs[kept]
        self._reference, self._cost_reference = reference, cost_reference

    def expected_improvement(self, mean: Numbers, deviation: Numbers, costs: Numbers) -> Numbers:
        """(candidates,) expected hypervolume that each would add.

        Args:
            mean: (candidates,) of the uncertain objective, which is normal.
            deviation: (candidates,) its standard deviation, above 0.
            costs: (candidates, costs); a candidate that is not below the reference in each adds nothing.
        """
        found = np.zeros(len(mean))
        rows = np.flatnonzero((costs < self._cost_reference).all(axis=1))
        heights = np.append(self.values, self._reference)
        for block in _pieces(rows, _BLOCK):
            free = _free(self.costs, self._cost_reference, costs[block])
            for some, areas in zip(_pieces(block, _CHUNK), _pieces(free, _CHUNK), strict=True):
                between = np.diff(_integral(heights, mean[some], deviation[some]), axis=1, prepend=0.0)
                found[some] = np.einsum("cl,cl->c", areas, between)
        return found

    def leaders(self, mean: Numbers, deviation: Numbers, costs: Numbers, weight: Numbers, count: int) -> tuple[Rows, Numbers]:
        """The candidates of most weighted expected improvement, best first, and what it is: (count,) both, or as many as gain at all.

        Args:
            mean: (candidates,) of the uncertain objective, which is normal.
            deviation: (candidates,) its standard deviation, above 0.
            costs: (candidates, costs) of the others.
            weight: (candidates,) of each improvement; 0 for who is not asked for.
            count: How many.
        """

        def gains(rows: Rows) -> Numbers:
            return weight[rows] * self.expected_improvement(mean[rows], deviation[rows], costs[rows])

        bounds = weight * self._rounded_up().expected_improvement(mean, deviation, costs)
        promising = np.argsort(-bounds, kind="stable")[: max(count, _PROMISING)]
        least = np.sort(gains(promising))[-count:].min(initial=np.inf)
        # A bound may fall short of what it bounds by rounding errors.
        rows = np.flatnonzero((bounds > 0) & (bounds * (1 + 1e-9) >= least))
        exact = gains(rows)
        best = np.argsort(-exact, kind="stable")[:count]
        best = best[exact[best] > 0]
        return rows[best], exact[best]

    def _rounded_up(self) -> "Front":
        """With costs rounded up to some of the points' own: what a candidate adds to that front is no less than what it adds to this."""
        costs = self.costs.copy()
        for column in costs.T:
            steps = np.quantile(column, np.linspace(0, 1, _STEPS), method="higher") if len(column) else column
            column[:] = steps[np.searchsorted(steps, column)]
        return Front(self.values, costs, self._reference, self._cost_reference)


def _undominated(costs: Numbers) -> Rows:
    """Rows of the points that none before them dominates in all costs; of equal ones the first."""
    dominates = (costs[:, None, :] <= costs[None, :, :]).all(axis=2)
    return np.flatnonzero(~np.triu(dominates, 1).any(axis=0))


def _free(points: Numbers, reference: Numbers, costs: Numbers) -> Numbers:
    """(candidates, heights): the area from each candidate's costs to the reference that is not dominated just below each height.

    Below the height of number l, counted from 0, lie the front's first l points.

    Args:
        points: (points, costs) of the front, ascending in value.
        reference: (costs,).
        costs: (candidates, costs), below the reference.
    """
    edges = [
        np.unique(np.concatenate([[column.min()], known[known > column.min()], [limit]]))
        for column, known, limit in zip(costs.T, points.T, reference, strict=True)
    ]
    if len(edges) < 2 or math.prod(map(len, edges)) * (len(points) + 1) <= _TABLE:
        return _interpolated(_table(points, edges), edges, costs)
    found = np.zeros((len(costs), len(points) + 1))
    for low, high in itertools.pairwise(edges[-1]):
        rows = np.flatnonzero(costs[:, -1] < high)
        reaching = np.flatnonzero(points[:, -1] <= low)
        reaching = reaching[_undominated(points[reaching, :-1])]
        # How many of those that reach into the slab lie below each height.
        below = np.searchsorted(reaching, np.arange(len(points) + 1))
        areas = _free(points[reaching, :-1], reference[:-1], costs[rows, :-1])
        found[rows] += (high - np.maximum(costs[rows, -1], low))[:, None] * areas[:, below]
    return found


def _table(points: Numbers, edges: list[Numbers]) -> Numbers:
    """(vertices of the grid, heights): the area from a vertex to the reference that is not dominated just below each height."""
    # By cell, which the vertex of its least costs names: the first of the points that dominates it.
    dominating = np.full([len(edge) for edge in edges], len(points), np.int64)
    for number in range(len(points) - 1, -1, -1):
        from_here = tuple(slice(int(np.searchsorted(edge, cost)), None) for edge, cost in zip(edges, points[number], strict=True))
        dominating[from_here] = number
    areas = (np.arange(len(points) + 1) <= dominating[..., None]).astype(float)
    for axis, edge in enumerate(edges):
        widths = np.append(np.diff(edge), 0.0).reshape([-1 if other == axis else 1 for other in range(areas.ndim)])
        areas = np.flip(np.cumsum(np.flip(areas * widths, axis), axis), axis)
    return areas.reshape(-1, len(points) + 1)


def _interpolated(table: Numbers, edges: list[Numbers], costs: Numbers) -> Numbers:
    """(candidates, heights) of a table, between the vertices of the cell that each candidate lies in."""
    found = np.empty((len(costs), table.shape[1]))
    for some in _pieces(np.arange(len(costs)), _CHUNK):
        found[some] = np.sum([weight[:, None] * table[vertex] for vertex, weight in _corners(edges, costs[some])], axis=0)
    return found


def _corners(edges: list[Numbers], costs: Numbers) -> list[tuple[NDArray[np.int64], Numbers]]:
    """The vertices of the cell that each candidate lies in, by number, each with its weight in an interpolation: (candidates,) both."""
    cells, shares = [], []
    for edge, column in zip(edges, costs.T, strict=True):
        cell = np.clip(np.searchsorted(edge, column, side="right") - 1, 0, len(edge) - 2)
        cells.append(cell)
        shares.append((column - edge[cell]) / (edge[cell + 1] - edge[cell]))
    found = []
    for sides in itertools.product((0, 1), repeat=len(edges)):
        vertex, weight = np.zeros(len(costs), np.int64), np.ones(len(costs))
        for edge, cell, share, side in zip(edges, cells, shares, sides, strict=True):
            vertex = vertex * len(edge) + cell + side
            weight = weight * (share if side else 1 - share)
        found.append((vertex, weight))
    return found


def _integral(heights: Numbers, mean: Numbers, deviation: Numbers) -> Numbers:
    """The integral psi: (candidates, heights)."""
    gap = heights[None, :] - mean[:, None]
    z = gap / deviation[:, None]
    return gap * ndtr(z) + deviation[:, None] * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _pieces(numbers: NDArray[Any], most: int) -> Iterator[NDArray[Any]]:
    """Of so many rows each, at most."""
    return (numbers[start : start + most] for start in range(0, len(numbers), most))
