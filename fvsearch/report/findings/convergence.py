"""Finding 5: pooled or not, training takes as many steps."""

from fvsearch.report.findings.comparing import aspect
from fvsearch.report.findings.pairs import Known, Pair
from fvsearch.report.findings.quantities import REACHED
from fvsearch.report.verdicts import Aspect, is_within

STEPS = 0.1
"""Epochs that differ by no more than this share of the recipe's are the same number of steps."""


def convergence(known: Known) -> tuple[Aspect, ...]:
    """Finding 5."""
    margin = STEPS * known.epochs
    pairs = [Pair(twin, base, ("pooled", "baseline")) for twin in known.twins for base in known.base]
    return (
        aspect(
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
