"""How far running trials are, read from their metrics files while workers write them, and how long the rest of a search may take."""

import heapq
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fvsearch.fronts.rungs import learned_objective
from fvsearch.ledger import TrialRecord
from fvsearch.records import Record
from fvsearch.study import Study
from fvsearch.training.metrics import EpochMetrics, MetricsFile


class Underway(Record, frozen=True, kw_only=True):
    """How far a trial is that has not ended.

    Attributes:
        epochs: Done, over all repeats.
        of: To do, over all repeats, unless a rung stops it; or as many as its engine asked for.
        latest: The first learned objective after the latest epoch.
        seconds: That the epochs took.
        started: ISO 8601, UTC.
        host: Whose coordinator it is with, where several share the study: the folder here may know no epochs of it.
    """

    number: int
    layout: str
    epochs: int
    of: int
    latest: float | None
    seconds: float
    started: str
    host: str = ""


class Spent(Record, frozen=True, kw_only=True):
    """What an ended trial took.

    Attributes:
        seconds: Of a worker: import, build, compile, train, measure.
        epochs: Trained, over all repeats.
    """

    seconds: float
    epochs: int


def underway(study: Study, folder: Path, record: TrialRecord, host: str = "") -> Underway:
    """How far a trial is.

    Args:
        study: Of the trial.
        folder: Of the study.
        record: Of the trial.
        host: As in Underway.
    """
    epochs = [epoch for repeat in written(study, folder, record.number) for epoch in repeat]
    return Underway(
        number=record.number,
        layout=record.layout,
        epochs=len(epochs),
        of=record.target or study.recipe.epochs * study.repeats,
        latest=getattr(epochs[-1], learned_objective(study)) if epochs else None,
        seconds=sum(epoch.seconds for epoch in epochs),
        started=record.started,
        host=host,
    )


def written(study: Study, folder: Path, number: int) -> list[tuple[EpochMetrics, ...]]:
    """The epochs of each repeat of a trial by now, from the files that workers write; what confirms it lies beside them and is no repeat.

    Args:
        study: Of the trial.
        folder: Of the study.
        number: Of the trial.
    """
    home = folder / "trials" / f"{number:04d}"
    repeats = [MetricsFile(home / f"repeat{index}" / "metrics.jsonl").read() for index in range(study.repeats)]
    return [repeat for repeat in repeats if repeat]


def spent(record: TrialRecord) -> Spent:
    """What an ended trial took."""
    return Spent(seconds=sum(record.seconds.values()), epochs=sum(len(repeat.epochs) for repeat in record.repeats))


class Spendings:
    """What ended trials took, all together: added to one by one, and asked at a price that does not grow with them.

    Args:
        ended: To begin with.

    Attributes:
        count: How many there are.
    """

    def __init__(self, ended: Iterable[Spent] = ()) -> None:
        self.count = 0
        self._seconds = 0.0
        self._pace, self._paced = 0.0, 0
        self._epochs: Counter[int] = Counter()
        for one in ended:
            self.add(one)

    def add(self, one: Spent) -> None:
        """One more."""
        self.count += 1
        self._seconds += one.seconds
        self._epochs[one.epochs] += 1
        if one.epochs:
            self._pace += one.seconds / one.epochs
            self._paced += 1

    @property
    def seconds(self) -> float:
        """Of one, on average."""
        return self._seconds / self.count

    @property
    def pace(self) -> float | None:
        """Seconds an epoch, the mean over the trials; none while nothing is known."""
        return self._pace / self._paced if self._paced else None

    def end(self, epochs: int) -> float | None:
        """Where those ended that got further than so many epochs, on average; none where none did."""
        further = {end: count for end, count in self._epochs.items() if end > epochs}
        return sum(end * count for end, count in further.items()) / sum(further.values()) if further else None


def sample_of(records: Iterable[TrialRecord]) -> Spendings:
    """What a study's own trials took, the baseline aside: it is no sample of the space, but it is the first to end."""
    own = [record for record in records if tells_time(record)]
    return Spendings(map(spent, [record for record in own if not record.is_baseline] or own))


def tells_time(record: TrialRecord) -> bool:
    """Whether what a trial took says how long others may take: what another study trained took nothing of this one's time."""
    return record.state not in ("running", "paused") and bool(record.repeats) and not record.imported


def time_left(study: Study, folder: Path, records: Sequence[TrialRecord], workers: int, until: float | None = None) -> float | None:
    """Seconds until the last trial ends, by what this study's own trials took; none while nothing is known.

    Args:
        study: Which is run.
        folder: Of the study.
        records: All its trials by now.
        workers: Trainings at a time.
        until: Seconds after which no further trial starts; none is no limit.
    """
    running = [underway(study, folder, record) for record in records if record.state == "running"]
    to_start = study.trials - sum(not record.imported for record in records)
    return seconds_left(sample_of(records), running, to_start, workers, until)


def seconds_left(ended: Spendings, running: Sequence[Underway], to_start: int, workers: int, until: float | None = None) -> float | None:
    """Seconds until the last of the trials ends that run or are still to start; none while nothing is known.

    A trial to start takes what ended ones took on average, so that those which were stopped early count with their share. A running one
    goes on to where ended ones went that got further than it has, on average; to its end, where none got further.

    Args:
        ended: What ended trials took.
        running: Those that run.
        to_start: How many are still to start.
        workers: Trainings at a time.
        until: Seconds after which no further trial starts; none is no limit.
    """
    if not running and to_start <= 0:
        return 0.0
    paces = [one.seconds / one.epochs for one in running if one.epochs]
    pace = ended.pace if ended.pace is not None else statistics.fmean(paces) if paces else None
    if pace is None:
        return None
    each = ended.seconds if ended.count else pace * max(one.of for one in running)
    free = sorted(_remaining(ended, one, pace) for one in running)[:workers]
    free = [0.0] * (workers - len(free)) + free
    return max(max(free), _last_end(free, each, max(0, to_start), until))


def _last_end(free: list[float], each: float, count: int, until: float | None) -> float:
    """When the last of so many trials ends that begin as workers become free, none after a time; 0 where none begins."""
    last = 0.0
    heapq.heapify(free)
    while count and (until is None or free[0] < until):
        if max(free) - free[0] < each and count > 2 * len(free):
            # From here on the workers take turns: whole rounds at once, up to the last one or two.
            rounds = count // len(free) - 1
            if until is not None:
                rounds = min(rounds, max(0, int((until - max(free)) / each)))
            if rounds:
                free = [begins + rounds * each for begins in free]
                count, last = count - rounds * len(free), max(free)
                heapq.heapify(free)
                continue
        ends = heapq.heappop(free) + each
        last = max(last, ends)
        heapq.heappush(free, ends)
        count -= 1
    return last


def _remaining(ended: Spendings, one: Underway, pace: float) -> float:
    """Seconds that a running trial goes on for; `pace` is seconds an epoch, for one that has none to show yet."""
    further = ended.end(one.epochs)
    end = min(further, one.of) if further is not None else one.of
    return max(0.0, end - one.epochs) * (one.seconds / one.epochs if one.epochs else pace)
