"""The archs that a calibration measures: designed, not drawn, for a few measurements must tell about the whole space."""

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable

from fvsearch.archs.arch import Arch
from fvsearch.costs.conditions import Conditions, Pattern, pattern
from fvsearch.costs.feasibility import ENUMERABLE
from fvsearch.study import Study

_DRAWN = 4_000
"""Candidates drawn of a space that is too large to look through."""


def designed_sample(study: Study, count: int) -> tuple[Arch, ...]:
    """Up to `count` archs of a study, the baseline first: spread over its stage patterns, and within each over its costs.

    After the baseline, the next arch is always of a pattern that has the fewest so far, and of those the one farthest from all of its
    pattern that were chosen, in standardised logarithms of memory, macs, parameters and blocks, all by formula. So the first n archs of
    a larger sample are the sample of n, and the same study gives the same sample.

    Args:
        count: Archs in all; a study that has fewer gives them all.
    """
    conditions = Conditions.of(study)
    # By hash, for the same network may be written in several ways.
    candidates = {arch.arch_hash: arch for arch in (study.baseline, *_candidates(study))}
    order = list(candidates.values())
    points = _standardised([_point(conditions, arch) for arch in order])
    groups: defaultdict[Pattern, list[int]] = defaultdict(list)
    for index, arch in enumerate(order):
        groups[pattern(arch, conditions.image_shape)].append(index)
    home = pattern(study.baseline, conditions.image_shape)
    chosen = [0]
    used = Counter({group: int(group == home) for group in groups})
    typical = [-math.hypot(*point) for point in points]
    nearest = {index: math.inf for members in groups.values() for index in members}
    _mark(nearest, points, groups[home], 0)
    while len(chosen) < min(count, len(order)):
        fewest = min(used[group] for group in groups if groups[group])
        open_to = [index for group in groups if used[group] == fewest for index in groups[group]]
        # The first of a pattern has no other to be far from: it is the pattern's typical one, the nearest to the mean of all.
        best = max(open_to, key=lambda index: (nearest[index], typical[index]))
        group = pattern(order[best], conditions.image_shape)
        chosen.append(best)
        used[group] += 1
        _mark(nearest, points, groups[group], best)
        if not groups[group]:
            del groups[group]
    return tuple(order[index] for index in chosen)


def _candidates(study: Study) -> Iterable[Arch]:
    if study.space is None:
        return study.engine.archs
    if study.space.size() <= ENUMERABLE:
        return study.space.archs()
    rng = random.Random(study.seed)
    return (study.space.sample(rng) for _ in range(_DRAWN))


def _point(conditions: Conditions, arch: Arch) -> tuple[float, ...]:
    cost = conditions.cost(arch)
    return math.log(cost.memory), math.log(cost.macs), math.log(cost.num_params), math.log(arch.depth)


def _standardised(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Each coordinate with mean 0 and standard deviation 1; one that does not vary is 0."""
    columns = []
    for column in zip(*points, strict=True):
        mean, spread = statistics.fmean(column), statistics.pstdev(column)
        columns.append([(value - mean) / spread if spread else 0.0 for value in column])
    return list(zip(*columns, strict=True))


def _mark(nearest: dict[int, float], points: list[tuple[float, ...]], members: list[int], chosen: int) -> None:
    """Take the chosen one out of its pattern, and tell the others how far they are from it."""
    members.remove(chosen)
    for index in members:
        nearest[index] = min(nearest[index], math.dist(points[index], points[chosen]))
