"""Which findings of the Funnel-ViT report a study found, did not find, or cannot tell, from whatever archs it trained with several seeds.

Evidence in, verdicts out. Comparisons are found by how archs are related (`kin`), so they need no list, and a study that trained none
of a kind is told which trainings would tell. Intervals are 95% each, Student's or Welch's, and not corrected for their number.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from fvsearch.archs.arch import Arch
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.report import kin
from fvsearch.report.evidence import Evidence, Run, gather
from fvsearch.report.intervals import Estimate, contrast, difference, mean
from fvsearch.report.verdicts import (
    POINT,
    Aspect,
    Comparison,
    Finding,
    Sample,
    Verdict,
    all_of,
    is_above,
    is_below,
    is_within,
    of_finding,
    over_pairs,
)

SMALL = 0.02
"""What pooling may cost in top-1 and still be called little: just above the most that the report saw, 1.7 points."""
REACHED = 0.95
"""Two archs are compared by the epochs that each needs to this share of its final validation top-1."""
STEPS = 0.1
"""Epochs that differ by no more than this share of the recipe's are the same number of steps."""


def study_findings(ledger: Ledger, records: Iterable[TrialRecord]) -> tuple[Finding, ...]:
    """The findings of a ledger's study; none where it neither asks for several seeds of anything nor can tell of any finding.

    Args:
        ledger: Of the study.
        records: Its trials.
    """
    study = ledger.study
    findings = read_findings(gather(ledger, records), study.baseline, study.recipe.epochs, study.data.train_share)
    asked = study.confirm is not None
    return findings if asked or any(finding.verdict != "cannot tell" for finding in findings) else ()


class Pair(NamedTuple):
    """Two archs that are compared, with what each stands for."""

    first: Evidence
    second: Evidence
    roles: tuple[str, str]


def read_findings(evidence: Sequence[Evidence], baseline: Arch, epochs: int, train_share: float = 1.0) -> tuple[Finding, ...]:
    """Findings 1, 2, 4, 5 and 6 of the report.

    Args:
        evidence: Trainings by arch and share of the training split.
        baseline: The unpooled arch of which others are twins.
        epochs: Of the recipe.
        train_share: What the study calls its whole training split.
    """
    known = _Known(evidence, baseline, epochs, train_share)
    return tuple(
        Finding(number=number, paper=paper, verdict=of_finding([aspect.verdict for aspect in aspects]), aspects=aspects)
        for number, (paper, look) in _FINDINGS.items()
        for aspects in [look(known)]
    )


class _Known:
    """The evidence, sorted for looking up."""

    def __init__(self, evidence: Sequence[Evidence], baseline: Arch, epochs: int, train_share: float) -> None:
        self.epochs, self.train_share = epochs, train_share
        self.whole = [one for one in evidence if one.train_share == train_share]
        self.parts = [one for one in evidence if one.train_share != train_share]
        self.baseline = baseline.canonical()
        self.base = [one for one in self.whole if one.arch.canonical() == self.baseline]
        self.twins = [one for one in self.whole if kin.is_twin(one.arch, self.baseline)]

    def pairs(self, related: kin.Related, roles: tuple[str, str], others: Iterable[Evidence]) -> list[Pair]:
        """Archs that were trained on the whole split, by how they are related to others."""
        seconds = list(others)
        return [Pair(first, second, roles) for first in self.whole for second in seconds if related(first.arch, second.arch)]

    def kindred(self, related: kin.Related, roles: tuple[str, str], shared: Callable[[Arch], Hashable]) -> list[Pair]:
        """Archs that were trained on the whole split, by how they are related to each other.

        Args:
            related: How.
            roles: What each stands for.
            shared: What archs have in common that are so related: of thousands, few need to be compared.
        """
        groups: defaultdict[Hashable, list[Evidence]] = defaultdict(list)
        for one in self.whole:
            groups[shared(one.arch)].append(one)
        return [
            Pair(first, second, roles) for first in self.whole for second in groups[shared(first.arch)] if related(first.arch, second.arch)
        ]


def top1(run: Run) -> float:
    """Validation top-1 at the end of a training."""
    return run[-1]["top1"]


def train_top1(run: Run) -> float:
    """Training top-1 over the last epoch."""
    return run[-1]["train_top1"]


def gap(run: Run) -> float:
    """By how much the training top-1 is above the validation's at the end."""
    return train_top1(run) - top1(run)


def fall(run: Run) -> float:
    """By how much validation top-1 falls from an epoch to the next, the mean over all, a rise counting nothing."""
    scores = [epoch["top1"] for epoch in run]
    return sum(max(0.0, a - b) for a, b in itertools.pairwise(scores)) / max(1, len(scores) - 1)


def epochs_to_reach(run: Run, share: float = REACHED) -> float:
    """Epochs until validation top-1 first is at this share of its final value, a straight line drawn from epoch to epoch, from 0 on."""
    scores = [0.0, *(epoch["top1"] for epoch in run)]
    wanted = share * scores[-1]
    index = next(index for index, score in enumerate(scores) if score >= wanted)
    if index == 0:
        return 0.0
    before, after = scores[index - 1], scores[index]
    return index - 1 + (wanted - before) / (after - before)


QUANTITIES: dict[str, Callable[[Run], float]] = {
    "validation top-1": top1,
    "training top-1": train_top1,
    "gap": gap,
    "fall": fall,
    "epochs": epochs_to_reach,
}
"""What is taken of a training. `gap` is training less validation top-1, `fall` how unsteady a curve is, `epochs` how fast it is."""


def _compare(pair: Pair, quantities: Sequence[str], judge: Callable[[dict[str, Estimate]], Verdict], note: str = "") -> Comparison:
    """Two archs by some quantities, and what the judge makes of the differences."""
    differences = {name: difference(_values(pair.first, name), _values(pair.second, name)) for name in quantities}
    samples = tuple(_sample(one, role, quantities) for one, role in zip((pair.first, pair.second), pair.roles, strict=True))
    return Comparison(verdict=judge(differences), samples=samples, differences=differences, note=note)


def _values(one: Evidence, quantity: str) -> list[float]:
    return [QUANTITIES[quantity](run) for run in one.runs]


def _sample(one: Evidence, role: str, quantities: Sequence[str]) -> Sample:
    means = {name: mean(_values(one, name)) for name in quantities}
    return Sample(role=role, layout=one.layout, train_share=one.train_share, seeds=one.seeds, means=means)


def _aspect(
    says: str,
    pairs: Sequence[Pair],
    wanted: str,
    quantities: Sequence[str],
    judge: Callable[[dict[str, Estimate]], Verdict],
    together: Callable[[Sequence[Verdict]], Verdict] = over_pairs,
) -> Aspect:
    """A claim over all pairs of archs that have several seeds, whose verdicts are taken together."""
    told = [pair for pair in pairs if min(pair.first.seeds, pair.second.seeds) > 1]
    return _judged(says, tuple(_compare(pair, quantities, judge, _costs(pair)) for pair in told), _wanted(pairs, told, wanted), together)


def _judged(
    says: str, comparisons: tuple[Comparison, ...], wanted: str, together: Callable[[Sequence[Verdict]], Verdict] = over_pairs
) -> Aspect:
    """A claim with what its comparisons agree on, and where they do not tell, what would."""
    verdict = together([one.verdict for one in comparisons])
    return Aspect(says=says, verdict=verdict, comparisons=comparisons, wanted=wanted if verdict == "cannot tell" else "")


def _wanted(pairs: Sequence[Pair], told: Sequence[Pair], otherwise: str) -> str:
    """Which trainings would tell: more seeds where there are pairs, else the archs of one."""
    if told:
        return "more seeds of these archs, or more images to validate on, if their intervals are to part"
    if pairs:
        layouts = dict.fromkeys(one.layout for pair in pairs for one in (pair.first, pair.second) if one.seeds < 2)
        return f"a second seed or more of {' and '.join(list(layouts)[:4])}"
    return f"{otherwise}, each with two seeds or more"


def _costs(pair: Pair) -> str:
    """The first's memory and throughput as multiples of the second's, and where both are from."""
    found = []
    for kind in ("memory", "throughput"):
        ratio = _ratio(pair.first, pair.second, kind)
        found += [f"{kind} {ratio[0]:.2f}x ({ratio[1]})"] if ratio else []
    return ", ".join(found)


def _ratio(first: Evidence, second: Evidence, kind: str) -> tuple[float, str] | None:
    """A cost of the first to the second's from the same source, measured if both were."""
    sides = [one.memory if kind == "memory" else one.throughput for one in (first, second)]
    source = next((name for name in ("measured", "predicted") if all(side.get(name) for side in sides)), None)
    return (sides[0][source] / sides[1][source], source) if source else None


def _compression(known: _Known) -> tuple[Aspect, ...]:
    """Finding 1."""

    def aspect(stages: str, count: int) -> Aspect:
        twins = [one for one in known.twins if kin.strides(one.arch) == (2,) * count and kin.poolings(one.arch) == {"mean"}]
        pairs = [Pair(twin, base, (stages, "baseline")) for twin in twins for base in known.base]
        says = (
            f"{stages} save memory and time for little accuracy: less memory and more images/s than the baseline, and the loss of "
            f"validation top-1 is at most {100 * SMALL:g} points, the end of its interval included"
        )
        told = [pair for pair in pairs if min(pair.first.seeds, pair.second.seeds) > 1]
        comparisons = []
        for pair in told:
            gains = _gains(pair)

            def judge(found: dict[str, Estimate], gains: Verdict = gains) -> Verdict:
                return all_of([gains, is_below(_turned(found["validation top-1"]), SMALL)])

            comparisons.append(_compare(pair, ["validation top-1"], judge, _costs(pair)))
        wanted = _wanted(pairs, told, f"the baseline, and its twin pooled {'once' if count == 1 else 'twice'} by 2 and mean")
        return _judged(says, tuple(comparisons), wanted)

    return aspect("two stages", 1), aspect("three stages", 2)


def _gains(pair: Pair) -> Verdict:
    memory, throughput = _ratio(pair.first, pair.second, "memory"), _ratio(pair.first, pair.second, "throughput")
    if memory is None or throughput is None:
        return "cannot tell"
    return "found" if memory[0] < 1 < throughput[0] else "not found"


def _turned(estimate: Estimate) -> Estimate:
    """The other way round."""
    low, high = estimate.low, estimate.high
    return Estimate(value=-estimate.value, low=None if high is None else -high, high=None if low is None else -low)


def _pooling(known: _Known) -> tuple[Aspect, ...]:
    """Finding 2."""
    kinds = known.kindred(kin.by_mean_and_max, ("mean", "max"), kin.apart_from_pooling)
    boundaries = known.kindred(kin.at_once_and_twice, ("stride 4 once", "stride 2 twice"), kin.apart_from_boundaries)
    return (
        _aspect(
            "mean pooling beats max: higher validation top-1 where nothing else differs",
            kinds,
            "an arch pooled by mean, and the same pooled by max",
            ["validation top-1"],
            lambda found: is_above(found["validation top-1"]),
        ),
        _aspect(
            "stride 4 at one boundary is less stable than 2 twice: validation top-1 falls more from an epoch to the next, on average",
            boundaries,
            "an arch pooled once by 4, and one of as many blocks of the same size pooled twice by 2",
            ["fall", "validation top-1"],
            lambda found: is_above(found["fall"], POINT / 10),
        ),
    )


def _reinvestment(known: _Known) -> tuple[Aspect, ...]:
    """Finding 4."""
    usual = [*known.base, *known.twins]
    deeper = known.pairs(kin.is_deeper, ("deeper", "as it was"), usual)
    wider = known.pairs(kin.is_wider, ("wider", "as it was"), usual)
    larger_mlps = known.pairs(kin.has_larger_mlps, ("larger MLPs", "as it was"), usual)
    thin = [one for one in known.whole if kin.is_wide_then_thin(one.arch, known.baseline)]
    over = {one.layout: one for pair in (*deeper, *wider, *larger_mlps) if (one := pair.first).arch.pools}
    knobs = [
        Pair(mlp.first, width.first, ("larger MLPs", "wider"))
        for mlp in larger_mlps
        for width in wider
        if width.second.arch == mlp.second.arch
    ]

    def over_fits(found: dict[str, Estimate]) -> Verdict:
        return all_of([is_above(found["training top-1"]), is_above(_turned(found["validation top-1"]))])

    both = ["training top-1", "validation top-1"]
    says = "{} alone over-fits: training top-1 up and validation top-1 down"
    return (
        _aspect(says.format("deeper"), deeper, "the baseline or a pooled twin of it, and the same with more blocks", both, over_fits),
        _aspect(
            says.format("wider"),
            wider,
            "the baseline or a pooled twin of it, and the same with larger hidden widths alone",
            both,
            over_fits,
        ),
        _aspect(
            says.format("larger in its MLPs"),
            larger_mlps,
            "the baseline or a pooled twin of it, and the same with larger MLPs alone",
            both,
            over_fits,
        ),
        _aspect(
            f"wide first and thin last is within {100 * POINT:g} point of the baseline's validation top-1, or above it",
            [Pair(one, base, ("wide, then thin", "baseline")) for one in thin for base in known.base],
            "the baseline, and a pooled arch that is wider than it at first and thinner at last",
            both,
            lambda found: is_below(_turned(found["validation top-1"]), POINT),
        ),
        _aspect(
            "wide first and thin last does better than each that is only deeper, wider or larger in its MLPs",
            [Pair(one, other, ("wide, then thin", "deeper or wider")) for one in thin for other in over.values()],
            "a pooled arch that is wide at first and thin at last, and one that is only deeper or wider",
            both,
            lambda found: is_above(found["validation top-1"]),
            together=all_of,
        ),
        _aspect(
            "MLP size is the better knob than hidden width: larger MLPs alone reach a higher validation top-1 than larger widths alone",
            knobs,
            "an arch with larger MLPs alone and one with larger widths alone, of the same twin of the baseline",
            both,
            lambda found: is_above(found["validation top-1"]),
        ),
    )


def _convergence(known: _Known) -> tuple[Aspect, ...]:
    """Finding 5."""
    margin = STEPS * known.epochs
    pairs = [Pair(twin, base, ("pooled", "baseline")) for twin in known.twins for base in known.base]
    return (
        _aspect(
            f"pooled or not, training takes as many steps: the epochs to {REACHED:.0%} of the final validation top-1 differ by at most "
            f"{margin:.1f} of {known.epochs}; the gain is in images/s",
            pairs,
            "the baseline, and a pooled twin of it",
            ["epochs"],
            lambda found: is_within(found["epochs"], margin),
        ),
        Aspect(
            says="they disagree on some images, both ways",
            verdict="cannot tell",
            wanted="predictions image by image, which a ledger does not keep",
        ),
    )


def _more_data(known: _Known) -> tuple[Aspect, ...]:
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
        _aspect(
            "the gap between training and validation top-1 falls as the training set grows",
            gaps,
            shares,
            ["gap", "validation top-1", "training top-1"],
            lambda found: is_above(found["gap"]),
        ),
        _judged(
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
    grown = contrast([_values(one, name) for one in four], [1.0, -1.0, -1.0, 1.0])
    samples = tuple(_sample(one, role, [name]) for one, role in zip(four, roles, strict=True))
    return Comparison(verdict=is_above(grown), samples=samples, differences={name: grown})


_FINDINGS: dict[int, tuple[str, Callable[[_Known], tuple[Aspect, ...]]]] = {
    1: (
        "Two stages: 25.8% less memory, 1.3 times the steps/s, 0.22 points of top-1. Three stages: 40% less, 1.6 times, 0.7 to 1.7 points.",
        _compression,
    ),
    2: ("Mean pooling beats max. Stride 4 at one boundary is less stable than 2 twice.", _pooling),
    4: (
        "Deeper or wider alone over-fits; wide shallow stages and thin deep ones do best, within 0.1 points of ViT; MLP size is the better "
        "knob than hidden width.",
        _reinvestment,
    ),
    5: ("ViT and Funnel-ViT converge in the same number of steps: the gain is in steps/s. They disagree on some images.", _convergence),
    6: ("A larger model needs more data: the gap between training and validation falls as the training set grows.", _more_data),
}
