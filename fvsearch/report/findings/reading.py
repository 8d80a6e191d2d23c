"""All findings of a study: each with what the report says, and what the study's trainings say of it."""

from collections.abc import Callable, Iterable, Sequence

from fvsearch.archs.arch import Arch
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.report.findings.compression import compression
from fvsearch.report.findings.convergence import convergence
from fvsearch.report.findings.evidence import Evidence, gather
from fvsearch.report.findings.more_data import more_data
from fvsearch.report.findings.pairs import Known
from fvsearch.report.findings.pooling import pooling
from fvsearch.report.findings.reinvestment import reinvestment
from fvsearch.report.verdicts import Aspect, Finding, of_finding


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


def read_findings(evidence: Sequence[Evidence], baseline: Arch, epochs: int, train_share: float = 1.0) -> tuple[Finding, ...]:
    """Findings 1, 2, 4, 5 and 6 of the report.

    Args:
        evidence: Trainings by arch and share of the training split.
        baseline: The unpooled arch of which others are twins.
        epochs: Of the recipe.
        train_share: What the study calls its whole training split.
    """
    known = Known(evidence, baseline, epochs, train_share)
    return tuple(
        Finding(number=number, paper=paper, verdict=of_finding([aspect.verdict for aspect in aspects]), aspects=aspects)
        for number, (paper, look) in FINDINGS.items()
        for aspects in [look(known)]
    )


FINDINGS: dict[int, tuple[str, Callable[[Known], tuple[Aspect, ...]]]] = {
    1: (
        "Two stages: 25.8% less memory, 1.3 times the steps/s, 0.22 points of top-1. Three stages: 40% less, 1.6 times, 0.7 to 1.7 points.",
        compression,
    ),
    2: ("Mean pooling beats max. Stride 4 at one boundary is less stable than 2 twice.", pooling),
    4: (
        "Deeper or wider alone over-fits; wide shallow stages and thin deep ones do best, within 0.1 points of ViT; MLP size is the better "
        "knob than hidden width.",
        reinvestment,
    ),
    5: ("ViT and Funnel-ViT converge in the same number of steps: the gain is in steps/s. They disagree on some images.", convergence),
    6: ("A larger model needs more data: the gap between training and validation falls as the training set grows.", more_data),
}
