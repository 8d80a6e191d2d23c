"""What a search counts of its trials, one trial at a time: neither time nor memory grows with the trials that have ended.

Of these it keeps the fronts' points and what they took all together, for their records are in the ledger.
"""

from collections.abc import Iterable
from pathlib import Path

from fvsearch import pareto
from fvsearch.fronts.rungs import Rung
from fvsearch.fronts.standing import Standing, minimised, standing_alone
from fvsearch.fronts.volume import MOST_OBJECTIVES, Reference, Units, baseline_units, growing_front, in_units
from fvsearch.ledger import QuietPass, TrialRecord
from fvsearch.search.underway import Spendings, seconds_left, spent, tells_time, underway
from fvsearch.study import Study


class Tally:
    """The trials of a study that have not ended, and what is asked of all of them.

    Args:
        study: Whose trials.
        point: That hypervolume is measured from.
        quiet: Throughputs measured with nothing else running.

    Attributes:
        started: How many are the study's own; those taken over from another are extra.
        done: How many of the study's own have ended, for now or for good.
        stopped: How many a rung stopped, or are paused.
        has_begun: Whether there is a trial at all.
        has_completed: Whether there is a front, or one that broke its budget.
        rungs: Who reached each rung, by the epochs after which it is.
    """

    def __init__(self, study: Study, point: Reference, quiet: QuietPass) -> None:
        self._study, self._point, self._quiet = study, point, quiet
        self.started = self.done = self.stopped = 0
        self.has_begun = self.has_completed = False
        self._ended = bytearray()
        self._running: dict[int, TrialRecord] = {}
        self._paused: dict[str, TrialRecord] = {}
        self._front, self._volume = pareto.GrowingFront(), growing_front(study, point)
        self._units: Units | None = None
        self._early: list[Standing] | None = []
        self._spent, self._baselines = Spendings(), Spendings()
        self.rungs = {epochs: Rung(study, epochs) for epochs in study.rung_epochs}

    def hear(self, record: TrialRecord) -> None:
        """Take in a trial that is new, or stands otherwise than before; an end is for good."""
        if self._has_ended(record.number):
            return
        before = self._running.get(record.number) or self._paused.get(record.arch_hash)
        if before is not None:
            self._remove(before)
        self._add(record)

    def measure(self, quiet: QuietPass, records: Iterable[TrialRecord]) -> None:
        """Compare the trials anew, with what was measured with nothing else running.

        Args:
            quiet: The throughputs.
            records: The trials; the baseline at least once it has ended.
        """
        self._quiet, self._early = quiet, []
        self._front, self._volume = pareto.GrowingFront(), growing_front(self._study, self._point)
        for record in records:
            standing = standing_alone(self._study, record, None, quiet)
            if record.is_baseline:
                self._learn_units(standing)
            self._compare(standing)

    def _has_ended(self, number: int) -> bool:
        return number < len(self._ended) and bool(self._ended[number])

    def _remove(self, record: TrialRecord) -> None:
        """Take out a trial that had not ended."""
        self._running.pop(record.number, None)
        self._paused.pop(record.arch_hash, None)
        self.started -= not record.imported
        if record.state == "paused":
            self.stopped -= 1
            self.done -= not record.imported

    def _add(self, record: TrialRecord) -> None:
        self.has_begun = True
        self.started += not record.imported
        for rung in self.rungs.values():
            rung.add(record)
        standing = standing_alone(self._study, record, None, self._quiet)
        if record.is_baseline:
            self._learn_units(standing)
        if record.state == "running":
            self._running[record.number] = record
            return
        self.done += not record.imported
        self.stopped += standing.place == "stopped"
        if record.state == "paused":
            self._paused[record.arch_hash] = record
            return
        # A byte for each, by number.
        self._ended.extend(bytes(max(0, record.number + 1 - len(self._ended))))
        self._ended[record.number] = 1
        self.has_completed |= record.state == "completed"
        if tells_time(record):
            (self._baselines if record.is_baseline else self._spent).add(spent(record))
        self._compare(standing)

    def _learn_units(self, baseline: Standing) -> None:
        """The baseline's costs are every trial's unit: those that ended before it are kept until it has, and measured by it again."""
        self._units = baseline_units((baseline,))
        early, self._volume = self._early or [], growing_front(self._study, self._point)
        for standing in early:
            self._add_volume(standing)
        if baseline.place != "running":
            self._early = None

    def _compare(self, standing: Standing) -> None:
        """Add a trial to the fronts, if it is feasible."""
        if standing.place != "dominated":
            return
        self._front.add(minimised(self._study, standing.values))
        if self._early is not None:
            self._early.append(standing)
        self._add_volume(standing)

    def _add_volume(self, standing: Standing) -> None:
        if self._units is not None and self._has_volume:
            self._volume.add(minimised(self._study, in_units(self._study, standing, self._units)))

    @property
    def _has_volume(self) -> bool:
        return len(self._study.objectives) <= MOST_OBJECTIVES

    @property
    def is_full(self) -> bool:
        """Whether as many trials have started as were asked for."""
        return self.started >= self._study.trials

    @property
    def has_paused(self) -> bool:
        """Whether an engine may ask for more of a trial."""
        return bool(self._paused)

    @property
    def running(self) -> tuple[TrialRecord, ...]:
        """The trials that have not ended and are not paused, by number."""
        return tuple(self._running[number] for number in sorted(self._running))

    @property
    def on_front(self) -> int:
        """Trials on the front."""
        return len(self._front.points)

    @property
    def hypervolume(self) -> float | None:
        """Of the feasible trials by now; none where it is not known."""
        return self._volume.volume if self._front.points and self._has_volume and self._units else None

    def paused(self, arch_hash: str) -> TrialRecord | None:
        """The paused trial of an arch."""
        return self._paused.get(arch_hash)

    def seconds_left(self, folder: Path, workers: int, until: float | None) -> float | None:
        """As underway.time_left.

        Args:
            folder: Of the study.
            workers: Trainings at a time.
            until: Seconds after which no further trial starts; none is no limit.
        """
        running = [underway(self._study, folder, record) for record in self.running]
        sample = self._spent if self._spent.count else self._baselines
        return seconds_left(sample, running, self._study.trials - self.started, workers, until)
