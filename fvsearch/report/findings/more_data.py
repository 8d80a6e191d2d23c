"""Finding 6: what a larger training set changes for a model, and for a larger one."""

from fvsearch.report.findings import kin
from fvsearch.report.findings.comparing import aspect, judged, sample, values
from fvsearch.report.findings.evidence import Evidence
from fvsearch.report.findings.pairs import Known, Pair
from fvsearch.report.intervals import contrast
from fvsearch.report.verdicts import Aspect, Comparison, is_above


def more_data(known: Known) -> tuple[Aspect, ...]:
    """Finding 6."""
    by_arch = {one.layout: one for one in known.whole}
    small = {}
    for one in sorted(known.parts, key=lambda one: one.train_share, reverse=True):
        if one.seeds > 1 and one.train_share < known.train_share and one.layout in by_arch and by_arch[one.layout].seeds > 1:
            small[one.layout] = one
    gaps = [Pair(part, by_arch[layout], ("least data", "all data")) for layout, part in small.items()]
    shares = "one arch on two shares of the training split (`train_shares` of [confirm])"
    related: tuple[kin.Related, ...] = (kin.is_deeper, kin.is_wider, kin.has_larger_mlps)
    larger = [
        (large, less)
        for large in small.values()
        for less in small.values()
        if large.train_share == less.train_share and any(is_larger(large.arch, less.arch) for is_larger in related)
    ]
    return (
        aspect(
            "the gap between training and validation top-1 falls as the training set grows",
            gaps,
            shares,
            ["gap", "validation top-1", "training top-1"],
            lambda found: is_above(found["gap"]),
        ),
        judged(
            "a larger model needs more data: what it wins over a smaller one in validation top-1 grows with the training set",
            tuple(_more_from_data(large, less, by_arch) for large, less in larger),
            "more seeds, or a wider range of shares"
            if larger
            else f"{shares}, and one that is only deeper or wider, each with two seeds or more",
        ),
    )


def _more_from_data(large: Evidence, less: Evidence, whole: dict[str, Evidence]) -> Comparison:
    """(larger less smaller on all data) less (the same on the least): four means."""
    four = [whole[large.layout], whole[less.layout], large, less]
    roles = ["larger, all data", "smaller, all data", "larger, least data", "smaller, least data"]
    name = "validation top-1"
    grown = contrast([values(one, name) for one in four], [1.0, -1.0, -1.0, 1.0])
    samples = tuple(sample(one, role, [name]) for one, role in zip(four, roles, strict=True))
    return Comparison(verdict=is_above(grown), samples=samples, differences={name: grown})
