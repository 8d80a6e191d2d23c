"""The archs that an engine chooses from, with their features and what is known of their costs: a whole space, or a draw of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Space
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.base import Costs
from fvsearch.engines.front import DRAWN
from fvsearch.engines.front.archs import Archs, all_archs, costs_of, drawn_archs
from fvsearch.errors import ConfigError
from fvsearch.study import Study

Numbers: TypeAlias = NDArray[np.float64]

_FAR_WITHIN = -1.0
"""The violation of a budget of which nothing is used."""

_OVERDRAWN, _STRATA = 4, 64
"""How many times as many are drawn as are kept, and into how many strata of equal width in the logarithm of cost they are sorted."""


class Candidates:
    """Archs that meet the budget as predicted.

    Args:
        archs: To choose from.
        costs: Of them.

    Attributes:
        archs: Those that meet it.
        keys: (archs,) of `Archs.keys`.
        costs: By name, (archs,).
        violations: By budget, (archs,).
        whole: Whether they are all that there are.
    """

    def __init__(self, archs: Archs, costs: Costs, *, whole: bool = True) -> None:
        found = known_costs(archs, costs)
        broken = known_violations(costs, found, len(archs))
        meets = np.all([value <= 0 for value in broken.values()], axis=0) if broken else np.ones(len(archs), bool)
        self.archs = archs.take(meets)
        self.keys = self.archs.keys()
        self.costs = {name: values[meets] for name, values in found.items()}
        self.violations = {name: values[meets] for name, values in broken.items()}
        self.whole = whole

    def __len__(self) -> int:
        return len(self.archs)

    def take(self, rows: Any) -> "Candidates":
        """Those of these rows, or of a mask."""
        some = object.__new__(Candidates)
        some.archs, some.keys, some.whole = self.archs.take(rows), self.keys[rows], self.whole
        some.costs = {name: values[rows] for name, values in self.costs.items()}
        some.violations = {name: values[rows] for name, values in self.violations.items()}
        return some


class WithMacs:
    """Somebody's own costs, which need not tell more than the objectives, with multiply-adds by formula.

    Args:
        study: Whose archs.
        costs: Their own.
    """

    def __init__(self, study: Study, costs: Costs) -> None:
        self._formula, self._costs = Predictor.unmeasured(study), costs
        self._theirs: frozenset[str] = frozenset()

    def costs(self, arch: Arch) -> dict[str, float]:
        """Theirs, and macs where they have none."""
        told = self._costs.costs(arch)
        self._theirs = frozenset(told)
        return {"macs": self._formula.costs(arch)["macs"], **told}

    def violations(self, costs: Mapping[str, float]) -> Mapping[str, float]:
        """Theirs, of what they told."""
        return self._costs.violations({name: value for name, value in costs.items() if name in self._theirs})


def known_costs(archs: Archs, costs: Costs) -> dict[str, Numbers]:
    """By name, (archs,); by another's predictor arch by arch.

    Raises:
        ConfigError: Of one arch it tells other costs than of another, or something that is no finite number.
    """
    if isinstance(costs, Predictor):
        return costs_of(archs, costs)
    rows = [costs.costs(archs.arch(row)) for row in range(len(archs))]
    for row in rows:
        if row.keys() != rows[0].keys() or not all(_is_number(value) and math.isfinite(value) for value in row.values()):
            names = ", ".join(rows[0])
            raise ConfigError(f"`costs` must tell a finite number for each of {names}, of every arch, but told {dict(row)} of one")
    return {name: np.array([row[name] for row in rows], float) for name in (rows[0] if rows else ())}


def known_violations(costs: Costs, found: Mapping[str, Numbers], count: int) -> dict[str, Numbers]:
    """By budget, (archs,), of so many archs' costs by name; nothing of images/s as long as they are not known.

    Raises:
        ConfigError: Another's predictor tells something that is no number.
    """
    if isinstance(costs, Predictor):
        broken = costs.violations(found)  # type: ignore[arg-type]  # its arithmetic takes arrays
        known = {name: value for name, value in broken.items() if name != "throughput" or not costs.is_blind}
        return {name: np.broadcast_to(np.asarray(value), count) for name, value in known.items()}
    rows = [costs.violations({name: float(values[row]) for name, values in found.items()}) for row in range(count)]
    for row in rows:
        if not (isinstance(row, Mapping) and all(_is_number(value) and not math.isnan(value) for value in row.values())):
            raise ConfigError(f"`violations` must tell a number for each budget, at most 0 where it is met, but told {row!r} of one arch")
    # A budget that it only names where it is not met is met elsewhere, by far.
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, _FAR_WITHIN) for row in rows], float) for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number)


def of_list(archs: Sequence[Arch], costs: Costs) -> Candidates:
    """All of a list."""
    return Candidates(Archs.of(list(dict.fromkeys(arch.canonical() for arch in archs))), costs)


def of_space(space: Space, costs: Costs, most: int, cost: str, seed: Sequence[int]) -> Candidates:
    """All of a space where it has at most so many archs, else a draw of DRAWN or so, spread over the logarithm of a cost.

    Args:
        space: Of the archs.
        costs: Of them.
        most: That are looked at whole.
        cost: That a draw is spread over.
        seed: Of the draw.
    """
    if space.size() <= most:
        return Candidates(all_archs(space), costs)
    rng = np.random.default_rng(list(seed))
    keep = min(most, DRAWN)
    drawn = Candidates(drawn_archs(space, _OVERDRAWN * keep, rng), costs, whole=False)
    return drawn.take(spread(drawn.costs[cost], keep, rng)) if len(drawn) > keep else drawn


def neighbours(space: Space, archs: Archs) -> Archs:
    """The members of a space that differ from one of these archs in one param, each once; what breaks a rule is repaired."""
    found: dict[Arch, None] = {}
    for row in range(len(archs)):
        params = space.params(archs.arch(row))
        for path, choices in space.domains().items():
            for choice in choices:
                found[space.arch(params | {path: choice})] = None
    return Archs.of(list(found), len(space.stages))


def along(cost: Numbers, least: float) -> Numbers:
    """Where costs lie when archs are spread over them: by their logarithm, or as they are where the least candidate's has none."""
    return np.log(np.maximum(cost, 1e-3 * least)) if least > 0 else cost


def spread(cost: Numbers, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """About so many rows, as evenly as there are over strata of equal width in the logarithm of a cost."""
    position = along(cost, float(cost.min()))
    low, high = position.min(), position.max()
    stratum = np.minimum(_STRATA - 1, (_STRATA * (position - low) / max(high - low, 1e-12)).astype(int))
    order = rng.permutation(len(cost))
    order = order[np.argsort(stratum[order], kind="stable")]
    sizes = np.bincount(stratum, minlength=_STRATA)
    # What small strata do not use goes to the larger ones: the cap that lets in about `count`.
    caps = np.sort(sizes)
    total, cap = 0, count
    for index, size in enumerate(caps):
        cap = (count - total) // (len(caps) - index)
        if size > cap:
            break
        total += int(size)
    rank = np.arange(len(cost)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < cap])
