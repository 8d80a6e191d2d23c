"""What a search tells while it works: to its watcher, and in a file of the study's folder to whoever asks from another process."""

import contextlib
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.ledger import TrialRecord, now
from fvsearch.processes import ProcessName
from fvsearch.records import Record, from_json

LIVE_FILE = "progress.json"

KEEP_EVERY = 1.0
"""Seconds between two writings of what has hardly changed."""

STALE = 60.0
"""Seconds after which a search whose process cannot be seen, and which says nothing any more, is taken for dead."""


class Progress(Record, frozen=True, kw_only=True):
    """Where a search is.

    Attributes:
        activity: What is going on, in a few words.
        done: Trials evaluated to an end.
        total: Trials asked for.
        running: Trials being evaluated.
        refused: Suggestions over budget as predicted, since this start.
        stopped: Trials that a rung stopped, or that are paused.
        on_front: Trials on the front.
        hypervolume: Of the feasible trials by now; none where it is not known.
        seconds_left: Until the last trial ends, as of when the latest ended; none where it is not known.
        ended: The trial that has just ended, if this is why progress is told.
        predictions: What predictions rest on, in a line; empty before that is settled.
        feasible: The size of the space and of what the budget leaves of it, in a line; empty before that is counted.
    """

    activity: str
    done: int
    total: int
    running: tuple[TrialRecord, ...] = ()
    refused: int = 0
    stopped: int = 0
    on_front: int = 0
    hypervolume: float | None = None
    seconds_left: float | None = None
    ended: TrialRecord | None = None
    predictions: str = ""
    feasible: str = ""


Watcher = Callable[[Progress], None]


def together(*watchers: Watcher) -> Watcher:
    """One watcher that passes on what it is told to each."""

    def watcher(progress: Progress) -> None:
        for each in watchers:
            each(progress)

    return watcher


class Countdown:
    """The time left between two tellings: what was told when the latest trial ended, less what has gone by since."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._at = 0.0

    def hear(self, progress: Progress) -> None:
        """Take in what is told: it is new where a trial has ended, or where it is another number than before."""
        if progress.ended or progress.seconds_left != self._left:
            self._left, self._at = progress.seconds_left, time.monotonic()

    def seconds(self) -> float | None:
        """As of now, at least 0; none where it is not known."""
        return None if self._left is None else max(0.0, self._left - (time.monotonic() - self._at))


class Live(Record, frozen=True, kw_only=True):
    """What the latest start of a search told last; trials are in the ledger, their epochs in their metrics files.

    Attributes:
        at: When it was told, ISO 8601, UTC.
        process: Of the search.
        activity, total, refused, hypervolume, feasible: As in Progress.
        seconds_left: As in Progress, as of when it was told.
    """

    at: str
    process: ProcessName
    activity: str
    total: int
    refused: int
    hypervolume: float | None
    seconds_left: float | None
    feasible: str

    @property
    def has_ended(self) -> bool:
        """Whether the search came to its end."""
        return self.activity == DONE


DONE = "done"
"""The activity of a search that has come to its end."""

CONFIRMING = "confirming with fresh seeds"
"""How the activity begins while trials are trained again."""


def kept(folder: Path, watcher: Watcher, say: Callable[[str], None] | None = None) -> Watcher:
    """The watcher, with what it is told kept for whoever asks.

    Args:
        folder: Of the study, where it is kept in a file.
        watcher: Told as before.
        say: Told it instead, as JSON: of several searches in one folder each would have its own.
    """
    here = ProcessName.here()
    countdown = Countdown()
    said, at = "", 0.0

    def keeper(progress: Progress) -> None:
        nonlocal said, at
        countdown.hear(progress)
        if progress.activity != said or time.monotonic() - at > KEEP_EVERY:
            said, at = progress.activity, time.monotonic()
            live = Live(
                at=now(),
                process=here,
                activity=progress.activity,
                total=progress.total,
                refused=progress.refused,
                hypervolume=progress.hypervolume,
                seconds_left=countdown.seconds(),
                feasible=progress.feasible,
            )
            if say is None:
                _write(folder, live)
            else:
                say(msgspec.json.encode(live).decode())
        watcher(progress)

    return keeper


def keep_activity(folder: Path, activity: str) -> None:
    """Keep what another command than the search does in its folder, beside what the search told last."""
    known = read_live(folder)
    told = Live(
        at=now(),
        process=ProcessName.here(),
        activity=activity,
        total=known.total if known else 0,
        refused=known.refused if known else 0,
        hypervolume=known.hypervolume if known else None,
        seconds_left=None,
        feasible=known.feasible if known else "",
    )
    _write(folder, told)


def read_live(folder: Path) -> Live | None:
    """What the latest start of the search in a folder told last; none where there is nothing to read."""
    try:
        live: Live = from_json(folder / LIVE_FILE, Live)
        seconds_since(live.at)
        return live
    except (ConfigError, ValueError):
        return None


def is_alive(live: Live) -> bool:
    """Whether the search that told this still works."""
    if live.has_ended:
        return False
    return live.process.lives if live.process.can_be_seen else seconds_since(live.at) < STALE


def seconds_since(time: str) -> float:
    """Seconds from a time, ISO 8601, to now; none below 0, for the clock may have been set back."""
    return max(0.0, (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(time)).total_seconds())


def _write(folder: Path, live: Live) -> None:
    """Not worth a wait for the disk, nor the end of a search: the next one comes in a second, and the ledger holds what must last."""
    draft = folder / f".{LIVE_FILE}.draft"
    with contextlib.suppress(OSError):
        draft.write_bytes(msgspec.json.encode(live))
        draft.replace(folder / LIVE_FILE)
