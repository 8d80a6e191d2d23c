"""Two archs by what is taken of their trainings, and what all pairs together say of a claim."""

from collections.abc import Callable, Sequence

from fvsearch.report.findings.evidence import Evidence
from fvsearch.report.findings.pairs import Pair
from fvsearch.report.findings.quantities import QUANTITIES
from fvsearch.report.intervals import Estimate, difference, mean
from fvsearch.report.verdicts import Aspect, Comparison, Sample, Verdict, over_pairs


def compare(pair: Pair, quantities: Sequence[str], judge: Callable[[dict[str, Estimate]], Verdict], note: str = "") -> Comparison:
    """Two archs by some quantities, and what the judge makes of the differences."""
    differences = {name: difference(values(pair.first, name), values(pair.second, name)) for name in quantities}
    samples = tuple(sample(one, role, quantities) for one, role in zip((pair.first, pair.second), pair.roles, strict=True))
    return Comparison(verdict=judge(differences), samples=samples, differences=differences, note=note)


def values(one: Evidence, quantity: str) -> list[float]:
    """A quantity of each training of an arch."""
    return [QUANTITIES[quantity](run) for run in one.runs]


def sample(one: Evidence, role: str, quantities: Sequence[str]) -> Sample:
    """An arch by some quantities."""
    means = {name: mean(values(one, name)) for name in quantities}
    return Sample(role=role, layout=one.layout, train_share=one.train_share, seeds=one.seeds, means=means)


def aspect(
    says: str,
    pairs: Sequence[Pair],
    wanted: str,
    quantities: Sequence[str],
    judge: Callable[[dict[str, Estimate]], Verdict],
    together: Callable[[Sequence[Verdict]], Verdict] = over_pairs,
) -> Aspect:
    """A claim over all pairs of archs that have several seeds, whose verdicts are taken together."""
    told = [pair for pair in pairs if min(pair.first.seeds, pair.second.seeds) > 1]
    comparisons = tuple(compare(pair, quantities, judge, cost_note(pair)) for pair in told)
    return judged(says, comparisons, what_would_tell(pairs, told, wanted), together)


def judged(
    says: str, comparisons: tuple[Comparison, ...], wanted: str, together: Callable[[Sequence[Verdict]], Verdict] = over_pairs
) -> Aspect:
    """A claim with what its comparisons agree on, and where they do not tell, what would."""
    verdict = together([one.verdict for one in comparisons])
    return Aspect(says=says, verdict=verdict, comparisons=comparisons, wanted=wanted if verdict == "cannot tell" else "")


def what_would_tell(pairs: Sequence[Pair], told: Sequence[Pair], otherwise: str) -> str:
    """Which trainings would tell: more seeds where there are pairs, else the archs of one."""
    if told:
        return "more seeds of these archs, or more images to validate on, if their intervals are to part"
    if pairs:
        layouts = dict.fromkeys(one.layout for pair in pairs for one in (pair.first, pair.second) if one.seeds < 2)
        return f"a second seed or more of {' and '.join(list(layouts)[:4])}"
    return f"{otherwise}, each with two seeds or more"


def cost_note(pair: Pair) -> str:
    """The first's memory and throughput as multiples of the second's, and where both are from."""
    found = []
    for kind in ("memory", "throughput"):
        ratio = cost_ratio(pair.first, pair.second, kind)
        found += [f"{kind} {ratio[0]:.2f}x ({ratio[1]})"] if ratio else []
    return ", ".join(found)


def cost_ratio(first: Evidence, second: Evidence, kind: str) -> tuple[float, str] | None:
    """A cost of the first to the second's from the same source, measured if both were."""
    sides = [one.memory if kind == "memory" else one.throughput for one in (first, second)]
    source = next((name for name in ("measured", "predicted") if all(side.get(name) for side in sides)), None)
    return (sides[0][source] / sides[1][source], source) if source else None


def turned(estimate: Estimate) -> Estimate:
    """A difference the other way round."""
    low, high = estimate.low, estimate.high
    return Estimate(value=-estimate.value, low=None if high is None else -high, high=None if low is None else -low)
