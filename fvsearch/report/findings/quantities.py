"""What is taken of a training when archs are compared: numbers of its curves."""

import itertools
from collections.abc import Callable

from fvsearch.report.findings.evidence import Run

REACHED = 0.95
"""Two archs are compared by the epochs that each needs to this share of its final validation top-1."""


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
