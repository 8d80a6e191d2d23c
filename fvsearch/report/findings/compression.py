"""Finding 1: pooled stages save memory and time for little accuracy."""

from fvsearch.report.findings import kin
from fvsearch.report.findings.comparing import compare, cost_note, cost_ratio, judged, turned, what_would_tell
from fvsearch.report.findings.pairs import Known, Pair
from fvsearch.report.intervals import Estimate
from fvsearch.report.verdicts import Aspect, Verdict, all_of, is_below

SMALL = 0.02
"""What pooling may cost in top-1 and still be called little: just above the most that the report saw, 1.7 points."""


def compression(known: Known) -> tuple[Aspect, ...]:
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
                return all_of([gains, is_below(turned(found["validation top-1"]), SMALL)])

            comparisons.append(compare(pair, ["validation top-1"], judge, cost_note(pair)))
        wanted = what_would_tell(pairs, told, f"the baseline, and its twin pooled {'once' if count == 1 else 'twice'} by 2 and mean")
        return judged(says, tuple(comparisons), wanted)

    return aspect("two stages", 1), aspect("three stages", 2)


def _gains(pair: Pair) -> Verdict:
    memory, throughput = cost_ratio(pair.first, pair.second, "memory"), cost_ratio(pair.first, pair.second, "throughput")
    if memory is None or throughput is None:
        return "cannot tell"
    return "found" if memory[0] < 1 < throughput[0] else "not found"
