"""Rungs: whether a trial goes on, by the front of (accuracy so far, costs) of all trials that have reached the same epoch.

Asynchronous: a trial is judged when it reaches a rung, against those that were there by then, and the decision stands. So no worker
waits, and what is decided is the same however the search was interrupted.
"""

from collections.abc import Iterable

from fvsearch.fronts.standing import turned
from fvsearch.ledger.records import RungDecision, TrialRecord
from fvsearch.records import Record
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


class Rung:
    """The trials that have reached a rung, and the gap of each: by how much the best of those that cost no more is better; 0 on the front.

    One more is compared with all once, so that a judgement costs no more than that.

    Args:
        study: For its objectives.
        epochs: After which the rung is.
    """

    def __init__(self, study: Study, epochs: int) -> None:
        import numpy as np

        costs = sum(objective.name not in LEARNED for objective in study.objectives)
        self._study, self._epochs = study, epochs
        self._places: dict[int, int] = {}
        self._values, self._costs, self._gaps = np.empty(0), np.empty((0, costs)), np.empty(0)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, record: TrialRecord) -> None:
        """Add a trial, if its first repeat has done so many epochs; one that is there stays as it is."""
        import numpy as np

        if record.number in self._places:
            return
        for one in reached_rung(self._study, self._epochs, (record,)):
            index = len(self._places)
            if index == len(self._values):
                more = max(16, index)
                self._values, self._gaps = (np.concatenate([array, np.empty(more)]) for array in (self._values, self._gaps))
                self._costs = np.concatenate([self._costs, np.empty((more, self._costs.shape[1]))])
            values, costs, gaps = self._values[:index], self._costs[:index], self._gaps[:index]
            cheaper, dearer = (costs <= one.costs).all(axis=1), (costs >= one.costs).all(axis=1)
            gaps[dearer] = np.maximum(gaps[dearer], values[dearer] - one.value)
            self._gaps[index] = max(0.0, float((one.value - values[cheaper]).max(initial=0.0)))
            self._values[index], self._costs[index] = one.value, one.costs
            self._places[record.number] = index

    def gap(self, number: int) -> float:
        """Of a trial."""
        return float(self._gaps[self._places[number]])

    def nearer(self, number: int) -> int:
        """How many have a smaller gap than a trial."""
        return int((self._gaps[: len(self._places)] < self.gap(number)).sum())


def judge(study: Study, rule: EarlyStopping, record: TrialRecord, rung: Rung) -> RungDecision:
    """Whether a trial that has just reached a rung goes on; it is added to the rung.

    It does if no trial that costs at most as much in every cost objective was better at this rung, that is, if it is on the rung's front;
    if the share of trials with a smaller gap than its own is below `rule.keep`; or while fewer than `rule.min_trials` have reached the
    rung. The baseline always goes on.

    Args:
        study: For its objectives.
        rule: When to stop.
        record: The trial, trained as far as the rung.
        rung: The trials that reached it before.
    """
    epochs = record.epochs_done
    rung.add(record)
    gap = rung.gap(record.number)
    stays = gap == 0 or rung.nearer(record.number) < rule.keep * len(rung) or len(rung) < rule.min_trials
    return RungDecision(
        epochs=epochs,
        value=record.repeats[0].epochs[epochs - 1][learned_objective(study)],
        gap=gap,
        among=len(rung),
        goes_on=stays or record.is_baseline,
    )


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
