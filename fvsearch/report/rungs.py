"""How far an early look at a training tells its end: for each rung, the rank correlation with the final accuracy, in this very study.

A rung is worth stopping at only where its ranking resembles the last one. That depends on the data, the recipe and the noise between
seeds, so each study measures it by its own trials.
"""

import math
from collections.abc import Sequence

from fvsearch.fronts.rungs import learned_objective
from fvsearch.ledger import TrialRecord
from fvsearch.records import Record
from fvsearch.study import EarlyStopping, Study

FEWEST = 5
"""Pairs below which a rank correlation has no interval (its standard error is defined for more than four)."""


class RungRow(Record, frozen=True, kw_only=True):
    """One rung.

    Attributes:
        epochs: After which it is.
        share: Of the recipe's epochs.
        reached: Trials trained so far or further.
        stopped: Of them, how many ended here.
        pairs: Trials that were trained to the end: what `tau` is of. What was stopped has no end to compare with, so where trials are
            stopped `tau` is of those that looked good, and less than it would be of all.
        tau: Kendall's, of the learned objective after these epochs and after the last, first repeats; none for fewer than two pairs, or
            where one side has a single value.
        low, high: Its 95% interval, by Fisher's transformation with the standard error of Fieller, Hartley and Pearson (1957).
    """

    epochs: int
    share: float
    reached: int
    stopped: int
    pairs: int
    tau: float | None
    low: float | None = None
    high: float | None = None


def rung_rows(study: Study, trials: Sequence[TrialRecord]) -> tuple[RungRow, ...]:
    """A row for each rung of the study; of a study that stops nothing, for those that would be the default."""
    learned = learned_objective(study)
    total = study.recipe.epochs
    curves = [[epoch[learned] for epoch in trial.repeats[0].epochs] for trial in trials if trial.repeats]
    rows = []
    for epochs in study.rung_epochs or EarlyStopping().epochs(total):
        ended = [curve for curve in curves if len(curve) == total]
        tau, low, high = _tau([curve[epochs - 1] for curve in ended], [curve[-1] for curve in ended])
        rows.append(
            RungRow(
                epochs=epochs,
                share=epochs / total,
                reached=sum(len(curve) >= epochs for curve in curves),
                stopped=sum(trial.state == "stopped" and trial.epochs_done == epochs for trial in trials),
                pairs=len(ended),
                tau=tau,
                low=low,
                high=high,
            )
        )
    return tuple(rows)


def _tau(early: Sequence[float], late: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Kendall's tau-b and its interval."""
    from scipy.stats import kendalltau

    if len(early) < 2 or len(set(early)) == 1 or len(set(late)) == 1:
        return None, None, None
    tau = float(kendalltau(early, late).statistic)
    if len(early) < FEWEST or abs(tau) == 1:
        return tau, None, None
    around, error = math.atanh(tau), 1.96 * math.sqrt(0.437 / (len(early) - 4))
    return tau, math.tanh(around - error), math.tanh(around + error)
