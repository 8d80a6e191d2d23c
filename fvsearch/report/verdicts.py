"""What a comparison of trainings says of a claim: found, not found, a tie, or that it cannot tell."""

from collections.abc import Sequence
from typing import Literal

from fvsearch.records import Record
from fvsearch.report.intervals import Estimate

Verdict = Literal["found", "found in part", "not found", "tie", "cannot tell"]

POINT = 0.01
"""One point of accuracy: two archs of which neither can be better by more are a tie."""


class Sample(Record, frozen=True, kw_only=True):
    """An arch in a comparison.

    Attributes:
        role: What it stands for, such as "pooled by mean".
        train_share: Share of the training split that it was trained on.
        seeds: Trainings.
        means: By quantity, over seeds, with their intervals.
    """

    role: str
    layout: str
    train_share: float
    seeds: int
    means: dict[str, Estimate]


class Comparison(Record, frozen=True, kw_only=True):
    """Archs that were compared, and what came out.

    Attributes:
        differences: By quantity: the first sample's mean less the second's, unless the aspect says otherwise.
        note: What else belongs to it, such as costs and where they are from.
    """

    verdict: Verdict
    samples: tuple[Sample, ...]
    differences: dict[str, Estimate]
    note: str = ""


class Aspect(Record, frozen=True, kw_only=True):
    """One claim of a finding.

    Attributes:
        says: The claim, with the rule by which it counts as found.
        wanted: Which trainings would tell; empty where it is told.
    """

    says: str
    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    wanted: str = ""


class Finding(Record, frozen=True, kw_only=True):
    """One of the report's findings, as this study sees it.

    Attributes:
        number: In the list of findings.
        paper: What the Funnel-ViT report found.
    """

    number: int
    paper: str
    verdict: Verdict
    aspects: tuple[Aspect, ...]


def is_above(estimate: Estimate, margin: float = POINT) -> Verdict:
    """Whether a difference is above zero; a tie if all of its interval is within the margin."""
    if estimate.low is None or estimate.high is None:
        return "cannot tell"
    if estimate.low > 0:
        return "found"
    if estimate.high < 0:
        return "not found"
    return "tie" if -margin < estimate.low and estimate.high < margin else "cannot tell"


def is_below(estimate: Estimate, most: float) -> Verdict:
    """Whether a difference is at most so much."""
    if estimate.low is None or estimate.high is None:
        return "cannot tell"
    return "found" if estimate.high <= most else "not found" if estimate.low > most else "cannot tell"


def is_within(estimate: Estimate, margin: float) -> Verdict:
    """Whether a difference is at most so much either way."""
    if estimate.low is None or estimate.high is None:
        return "cannot tell"
    if -margin <= estimate.low and estimate.high <= margin:
        return "found"
    return "not found" if estimate.low > margin or estimate.high < -margin else "cannot tell"


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Of conditions that must all hold: found if each is, not found if one is not (a tie is not), else it cannot be told."""
    if any(verdict in ("not found", "tie") for verdict in verdicts):
        return "not found"
    return "found" if verdicts and all(verdict == "found" for verdict in verdicts) else "cannot tell"


def over_pairs(verdicts: Sequence[Verdict]) -> Verdict:
    """Of one claim over several pairs: what those that tell agree on.

    A pair that cannot tell is no objection to one that can; where two that can disagree, the claim cannot be told.
    """
    told = {verdict for verdict in verdicts if verdict != "cannot tell"}
    if not told or {"found", "not found"} <= told:
        return "cannot tell"
    return "found" if "found" in told else "not found" if "not found" in told else "tie"


def of_finding(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a finding's aspects."""
    told = [verdict for verdict in verdicts if verdict != "cannot tell"]
    if not told:
        return "cannot tell"
    if all(verdict == "found" for verdict in verdicts):
        return "found"
    return "found in part" if "found" in told else "not found"
