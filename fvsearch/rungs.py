"""Rungs: whether a trial goes on, by the front of (accuracy so far, costs) of all trials that have reached the same epoch.

Asynchronous: a trial is judged when it reaches a rung, against those that were there by then, and the decision stands. So no worker
waits, and what is decided is the same however the search was interrupted.
"""

from collections.abc import Iterable, Sequence

from fvsearch.ledger.records import RungDecision, TrialRecord
from fvsearch.records import Record
from fvsearch.standing import turned
from fvsearch.study import LEARNED, EarlyStopping, Study


class Reached(Record, frozen=True, kw_only=True):
    """A trial at a rung.

    Attributes:
        number: Of the trial.
        value: The study's first learned objective after the rung's epochs, turned so that less is better.
        costs: The objectives that are costs, turned likewise, in the study's order.
    """

    number: int
    value: float
    costs: tuple[float, ...]


def judge(study: Study, rule: EarlyStopping, record: TrialRecord, others: Iterable[TrialRecord]) -> RungDecision:
    """Whether a trial that has just reached a rung goes on.

    It does if no trial that costs at most as much in every cost objective was better at this rung, that is, if it is on the rung's front;
    if the share of trials with a smaller gap than its own is below `rule.keep`; or while fewer than `rule.min_trials` have reached the
    rung. The gap is by how much the best of those trials was better. The baseline always goes on.

    Args:
        study: For its objectives.
        rule: When to stop.
        record: The trial, trained as far as the rung.
        others: The study's trials; it may be among them.
    """
    epochs = record.epochs_done
    reached = reached_rung(study, epochs, [record, *(other for other in others if other.number != record.number)])
    gaps = [gap(trial, reached) for trial in reached]
    nearer = sum(other < gaps[0] for other in gaps)
    stays = gaps[0] == 0 or nearer < rule.keep * len(gaps) or len(reached) < rule.min_trials
    return RungDecision(
        epochs=epochs,
        value=record.repeats[0].epochs[epochs - 1][learned_objective(study)],
        gap=gaps[0],
        among=len(reached),
        goes_on=stays or record.is_baseline,
    )


def gap(trial: Reached, reached: Sequence[Reached]) -> float:
    """By how much the best of the trials that cost no more is better than this one; 0 on the front."""
    cheaper = (other for other in reached if all(a <= b for a, b in zip(other.costs, trial.costs, strict=True)))
    return max((trial.value - other.value for other in cheaper), default=0.0)


def reached_rung(study: Study, epochs: int, records: Iterable[TrialRecord]) -> list[Reached]:
    """The trials whose first repeat has done so many epochs, in the order given."""
    costs = [objective.name for objective in study.objectives if objective.name not in LEARNED]
    learned = learned_objective(study)
    found = []
    for record in records:
        if record.repeats and len(record.repeats[0].epochs) >= epochs:
            known = record.predicted | record.measured
            value = record.repeats[0].epochs[epochs - 1][learned]
            found.append(
                Reached(
                    number=record.number,
                    value=turned(study, learned, value),
                    costs=tuple(turned(study, name, known[name]) for name in costs),
                )
            )
    return found


def learned_objective(study: Study) -> str:
    """The first objective that only training tells."""
    return next(objective.name for objective in study.objectives if objective.name in LEARNED)
