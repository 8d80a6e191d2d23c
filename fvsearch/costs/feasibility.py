"""What a budget leaves of a space, as predicted: the feasible share, whether anything is feasible at all, and members that are."""

import itertools
import math
import random
from collections.abc import Container, Iterable, Iterator

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.archs.space import Param, Space
from fvsearch.costs.predictor import Predictor
from fvsearch.errors import EmptySpaceError
from fvsearch.records import Record
from fvsearch.study import Study
from fvsearch.study.budgets import is_met
from fvsearch.units import show_share

ENUMERABLE = 20_000
"""Spaces up to this size are looked through whole where a member is wanted; of larger ones, the extremes and a sample."""

_SAMPLE = 4_000


class Feasible(Record, frozen=True, kw_only=True):
    """How much of a space meets the budget, as predicted.

    Attributes:
        size: Distinct archs of the space.
        spanned: Distinct archs of the space's domains, rules aside.
        looked_at: Of the space's archs, how many were predicted.
        feasible: Of those, how many meet the budget.
    """

    size: int
    spanned: int
    looked_at: int
    feasible: int

    @property
    def exact(self) -> bool:
        """Whether every arch was looked at."""
        return self.looked_at == self.size

    @property
    def share(self) -> float:
        """Of the archs looked at."""
        return self.feasible / self.looked_at


def feasible_share(study: Study, predictor: Predictor) -> Feasible:
    """How much of the study's archs meet the budget: exact up to twice _SAMPLE archs, else from a sample in which each is as likely."""
    space = study.space
    if space is None:
        archs, size, spanned = list(study.engine.archs), len(study.engine.archs), len(study.engine.archs)
    else:
        size, spanned = space.size(), msgspec.structs.replace(space, rules=None).size()
        rng = random.Random(study.seed)
        archs = list(space.archs()) if size <= 2 * _SAMPLE else [space.sample_evenly(rng) for _ in range(_SAMPLE)]
    return Feasible(size=size, spanned=spanned, looked_at=len(archs), feasible=sum(predictor.meets(arch) for arch in archs))


def feasible_note(study: Study, predictor: Predictor) -> str:
    """The size of the space and of what the budget leaves of it, in a sentence; it takes about half a second."""
    found = feasible_share(study, predictor)
    archs = f"{found.size:,} archs" if study.space else f"{found.size:,} listed archs"
    if found.size < found.spanned:
        archs += f" ({show_share(found.size / found.spanned)} of the {found.spanned:,} that the domains span keep the rules)"
    limits = study.budget.limits()
    if not limits:
        return f"{archs}; no budget"
    if found.exact:
        left = f"{found.feasible:,} within budget as predicted"
    elif not found.feasible:
        left = f"none of a sample of {found.looked_at:,} within budget as predicted"
    else:
        left = f"{show_share(found.share)} within budget as predicted, from a sample of {found.looked_at:,}"
    return f"{archs}; {left}" + ("; images/s are not known before the baseline is measured" if predictor.is_blind else "")


def require_feasible(study: Study, predictor: Predictor) -> None:
    """The law that something in the study's space meets its budget.

    Raises:
        EmptySpaceError: Nothing does; the message names the binding budget and the smallest that would do.
    """
    limits = study.budget.limits()
    if not limits:
        return
    arch = nearest_feasible(study, predictor)
    costs = predictor.costs(arch)
    broken = predictor.violations(costs)
    if is_met(broken):
        return
    # What the nearest arch breaks most binds.
    kind = max(broken, key=lambda name: broken[name])
    limit = limits[kind]
    needed = costs[kind] / predictor.baseline[kind] if limit.relative else costs[kind]
    raise EmptySpaceError(
        f"nothing in {_name(study)} meets `budget.{kind}` = {getattr(study.budget, kind)!r} as predicted; "
        f"the smallest that would do is {_as_budget(kind, needed, limit.relative)!r}, for {format_layout(arch, study.data.image_shape[:2])}"
    )


def unseen_feasible(study: Study, predictor: Predictor, seen: Container[str], rng: random.Random) -> Arch | None:
    """A feasible arch whose hash is not among those seen; none where there is none (in a space too large to list: where none was drawn)."""
    if study.space is None:
        candidates: Iterable[Arch] = study.engine.archs
    elif study.space.size() <= ENUMERABLE:
        archs = list(study.space.archs())
        rng.shuffle(archs)
        candidates = archs
    else:
        candidates = itertools.chain((study.space.sample(rng) for _ in range(_SAMPLE)), _likely(study))
    return next((arch for arch in candidates if arch.arch_hash not in seen and predictor.meets(arch)), None)


def spread_over_memory(study: Study, predictor: Predictor, count: int) -> list[Arch]:
    """Up to `count` feasible archs whose predicted memory is spread evenly on a log scale, from the smallest found to the largest.

    A search that starts from them has seen both ends of the front before its engine draws; drawn at random, archs crowd in the middle.
    """
    feasible = [arch for arch in dict.fromkeys(_likely(study)) if predictor.meets(arch)] or [nearest_feasible(study, predictor)]
    memory = {arch: predictor.costs(arch)["memory"] for arch in feasible}
    low, high = math.log(min(memory.values())), math.log(max(memory.values()))
    found: list[Arch] = []
    for index in range(min(count, len(memory))):
        target = low + (high - low) * index / max(1, count - 1)
        arch = min(memory, key=lambda arch: abs(math.log(memory[arch]) - target))
        found.append(arch)
        del memory[arch]
    return found


def nearest_feasible(study: Study, predictor: Predictor) -> Arch:
    """The first arch found that meets the budget, or else the one that breaks it least.

    Of a space too large to list, the nearest of the likely ones is the beginning: from there on downhill, a param at a time. Rules may
    keep the extremes of its domains out, so that the cheapest member is none of them.
    """

    def broken(arch: Arch) -> float:
        return max(predictor.violations(predictor.costs(arch)).values(), default=0.0)

    best, least = study.baseline, math.inf
    for arch in _likely(study):
        if (violation := broken(arch)) < least:
            best, least = arch, violation
        if least <= 0:
            return best
    space = study.space
    improved = space is not None and space.size() > ENUMERABLE
    while improved and space is not None and least > 0:
        params = space.params(best)
        neighbours = [space.arch(params | {path: choice}) for path, choices in space.domains().items() for choice in choices]
        step = min(neighbours, key=broken)
        improved = broken(step) < least
        if improved:
            best, least = step, broken(step)
    return best


def _likely(study: Study) -> Iterator[Arch]:
    """Archs among which the cheapest is: all of a small space, else the extremes of every domain and a sample."""
    if study.space is None:
        yield from study.engine.archs
    elif study.space.size() <= ENUMERABLE:
        yield from study.space.archs()
    else:
        yield from _extremes(study.space)
        rng = random.Random(study.seed)
        yield from (study.space.sample(rng) for _ in range(_SAMPLE))


def _extremes(space: Space) -> Iterator[Arch]:
    """Archs whose every param is at its domain's least or greatest value, cheapest first; depth also at its least above 0.

    What breaks a rule of the space is repaired.
    """
    domains = space.domains()
    ends: dict[str, list[Param]] = {}
    for path, choices in domains.items():
        if isinstance(choices[0], str):
            ends[path] = [choices[0]]
            continue
        numbers = sorted(choice for choice in choices if not isinstance(choice, str))
        positive = [number for number in numbers if number > 0] or numbers
        order: list[Param] = [positive[0], positive[-1]]
        if path.endswith("pool_stride"):
            order.reverse()
        ends[path] = list(dict.fromkeys([0, *order] if 0 in numbers and path.endswith("depth") else order))
    for values in itertools.islice(itertools.product(*ends.values()), ENUMERABLE):
        yield space.arch(dict(zip(ends, values, strict=True)))


def _as_budget(kind: str, needed: float, relative: bool) -> str:
    """The text of a budget that `needed` just meets, rounded to the side that does."""
    up = kind == "memory"
    scale = 2**20 if up and not relative else 1
    digits = 0 if not up and not relative else 3
    scaled = needed / scale * 10**digits
    rounded = (int(scaled) + 1 if up else int(scaled)) / 10**digits
    unit = "x" if relative else " MiB" if up else " images/s"
    return f"{rounded:.10g}{unit}"


def _name(study: Study) -> str:
    return f"the space {study.space.name!r}" if study.space else f"the list of the study {study.name!r}"
