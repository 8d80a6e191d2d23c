"""Findings as a reader sees them: each number with its unit and its interval, each comparison in a line."""

from collections.abc import Sequence
from typing import Any

from fvsearch.report.intervals import Estimate
from fvsearch.report.verdicts import Comparison, Finding, Sample
from fvsearch.report.words import NONE, percent, plural

NAMES = {
    "validation top-1": "validation top-1",
    "training top-1": "training top-1",
    "gap": "training less validation top-1",
    "fall": "fall from an epoch to the next",
    "epochs": "epochs to 95% of the final top-1",
}
"""Of what is compared, as a reader sees it."""


def finding_lines(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """What the page shows of each finding."""
    return [
        {
            "number": finding.number,
            "paper": finding.paper,
            "verdict": finding.verdict,
            "aspects": [
                {
                    "says": f"{aspect.says[0].upper()}{aspect.says[1:]}.",
                    "verdict": aspect.verdict,
                    "wanted": f"To tell: {aspect.wanted}." if aspect.wanted else "",
                    "comparisons": [_comparison(one) for one in aspect.comparisons],
                }
                for aspect in finding.aspects
            ],
        }
        for finding in findings
    ]


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "note": one.note,
        "samples": [_sample(sample) for sample in one.samples],
        "differences": [f"{NAMES[name]} {estimate(name, found, signed=True)}" for name, found in one.differences.items()],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "role": sample.role,
        "layout": sample.layout,
        "seeds": plural(sample.seeds, "seed")
        + (f", {percent(sample.train_share, 0)} of the training images" if sample.train_share < 1 else ""),
        "means": [f"{NAMES[name]} {estimate(name, found)}" for name, found in sample.means.items()],
    }


def estimate(quantity: str, found: Estimate, signed: bool = False) -> str:
    """`61.2% (60.1 to 62.3)`, `+0.8 points (-0.3 to +1.9)`, `4.2 (3.9 to 4.5)`."""
    sign = "+" if signed else ""
    scale, digits, unit = (1.0, 1, "") if quantity == "epochs" else (100.0, 2 if quantity == "fall" else 1, " points" if signed else "%")

    def show(value: float | None) -> str:
        return NONE if value is None else f"{round(scale * value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0: no -0.0

    interval = f" ({show(found.low)} to {show(found.high)})" if found.low is not None else ""
    return f"{show(found.value)}{unit}{interval}"
