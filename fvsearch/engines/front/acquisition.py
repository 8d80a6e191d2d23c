"""Expected hypervolume improvement where one objective is uncertain and every other is known: exact, and of many candidates at once.

Everything is minimised. A candidate of known costs c whose uncertain value turns out as y adds what lies in [y, r] x [c, r'] and is not
dominated yet, r and r' being the reference. Cut at a height u of the uncertain objective, that is the area A(u, c) of [c, r'] that none
of the front's points of value at most u dominates; and the height u counts if y <= u. So, exactly,

    E = integral over u < r of P(y <= u) A(u, c) du.

Between two neighbouring values of the front A does not change, so E is a sum over them: A times a difference of

    psi(u) = integral over v < u of P(y <= v) dv = (u - m) Phi(z) + s phi(z),   z = (u - m) / s.

And between two neighbouring costs of the front A is linear in each cost, so it is known everywhere from its values on the grid that the
front's points span: a table, from which candidates are interpolated.
"""

import itertools
import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Numbers: TypeAlias = NDArray[np.float64]

_TABLE = 4_000_000
"""Numbers of a table that are held at once."""

_CHUNK = 2048
"""Candidates that are judged at once: what is held of them fits a core's cache."""


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
        values, costs = values[order], costs[order]
        kept = [index for index in range(len(values)) if not (costs[:index] <= costs[index]).all(axis=1).any()]
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
        if not len(rows):
            return found
        edges = [
            np.unique(np.concatenate([[least], points[points > least], [limit]]))
            for least, points, limit in zip(costs[rows].min(axis=0), self.costs.T, self._cost_reference, strict=True)
        ]
        heights = np.append(self.values, self._reference)
        block = max(1, _TABLE // math.prod(map(len, edges)))
        for first in range(0, len(heights), block):
            # From the height below the block's first, or from where nothing is.
            levels = heights[max(0, first - 1) : first + block]
            table = self._free(edges, first, len(heights[first : first + block]))
            for start in range(0, len(rows), _CHUNK):
                some = rows[start : start + _CHUNK]
                up_to = _integral(levels, mean[some], deviation[some])
                between = np.diff(up_to, axis=1, prepend=0.0 if first == 0 else up_to[:, :1])[:, first > 0 :]
                free = np.sum([weight[:, None] * table[vertex] for vertex, weight in _corners(edges, costs[some])], axis=0)
                found[some] += np.einsum("cl,cl->c", free, between)
        return found

    def _free(self, edges: list[Numbers], first: int, count: int) -> Numbers:
        """(vertices of the grid, heights): the area from a vertex to the reference that is not dominated just below each height.

        Below the height of number l, counted from 0, lie the front's first l points.

        Args:
            edges: Of the grid, by cost.
            first: Number of the first height.
            count: How many heights.
        """
        # By cell, which the vertex of its least costs names: the first of the front's points that dominates it.
        dominating = np.full([len(edge) for edge in edges], len(self.values), np.int64)
        for number in range(len(self.values) - 1, -1, -1):
            from_here = tuple(slice(int(np.searchsorted(edge, cost)), None) for edge, cost in zip(edges, self.costs[number], strict=True))
            dominating[from_here] = number
        areas = (first + np.arange(count) <= dominating[..., None]).astype(float)
        for axis, edge in enumerate(edges):
            widths = np.append(np.diff(edge), 0.0).reshape([-1 if other == axis else 1 for other in range(areas.ndim)])
            areas = np.flip(np.cumsum(np.flip(areas * widths, axis), axis), axis)
        return areas.reshape(-1, count)


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
