"""How far running trials are, read from their metrics files while workers write them, and how long the rest of a search may take."""

import heapq
import statistics
from collections.abc import Sequence
from pathlib import Path

from fvsearch.ledger import TrialRecord
from fvsearch.records import Record
from fvsearch.rungs import learned_objective
from fvsearch.study import Study
from fvsearch.training.metrics import EpochMetrics, MetricsFile

MOST_REHEARSED = 10_000
"""Trials to start whose beginnings and ends are gone through one by one, to tell the time left."""


class Underway(Record, frozen=True, kw_only=True):
    """How far a trial is that has not ended.

    Attributes:
        epochs: Done, over all repeats.
        of: To do, over all repeats, unless a rung stops it; or as many as its engine asked for.
        latest: The first learned objective after the latest epoch.
        seconds: That the epochs took.
        started: ISO 8601, UTC.
    """

    number: int
    layout: str
    epochs: int
    of: int
    latest: float | None
    seconds: float
    started: str


class Spent(Record, frozen=True, kw_only=True):
    """What an ended trial took.

    Attributes:
        seconds: Of a worker: import, build, compile, train, measure.
        epochs: Trained, over all repeats.
    """

    seconds: float
    epochs: int


def underway(study: Study, folder: Path, record: TrialRecord) -> Underway:
    """How far a trial is.

    Args:
        study: Of the trial.
        folder: Of the study.
        record: Of the trial.
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
    # What another study trained took nothing of this one's time. The baseline is no sample of the space, but it is the first to end.
    own = [record for record in records if record.state not in ("running", "paused") and record.repeats and not record.imported]
    sample = [record for record in own if not record.is_baseline] or own
    to_start = study.trials - sum(not record.imported for record in records)
    return seconds_left([spent(record) for record in sample], running, to_start, workers, until)


def seconds_left(
    ended: Sequence[Spent], running: Sequence[Underway], to_start: int, workers: int, until: float | None = None
) -> float | None:
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
    known = [one.seconds / one.epochs for one in ended if one.epochs]
    if not (paces or known):
        return None
    pace = statistics.fmean(known or paces)
    each = statistics.fmean(one.seconds for one in ended) if ended else pace * max(one.of for one in running)
    free = sorted(_remaining(ended, one, pace) for one in running)[:workers]
    free = [0.0] * (workers - len(free)) + free
    last = max(free)
    if to_start > MOST_REHEARSED:
        # Then it is as good as spread evenly.
        whole = statistics.fmean(free) + each * to_start / workers
        return whole if until is None else max(last, min(whole, until + each))
    for _ in range(max(0, to_start)):
        begins = heapq.heappop(free)
        if until is not None and begins >= until:
            break
        last = max(last, begins + each)
        heapq.heappush(free, begins + each)
    return last


def _remaining(ended: Sequence[Spent], one: Underway, pace: float) -> float:
    """Seconds that a running trial goes on for; `pace` is seconds an epoch, for one that has none to show yet."""
    further = [other.epochs for other in ended if other.epochs > one.epochs]
    end = min(statistics.fmean(further), one.of) if further else one.of
    return max(0.0, end - one.epochs) * (one.seconds / one.epochs if one.epochs else pace)
