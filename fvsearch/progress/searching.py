"""A search on the terminal: a live table of what runs below the trials that have ended, or plain lines where the output is no terminal."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fvsearch.fronts.rungs import learned_objective
from fvsearch.ledger import TrialRecord
from fvsearch.report import words
from fvsearch.report.tables import running_table
from fvsearch.search.underway import Underway, underway
from fvsearch.search.watching import Countdown, Progress, Watcher
from fvsearch.study import LEARNED, Study
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN_EVERY = 30.0
"""Seconds between plain lines that tell nothing but that work goes on."""

TICK = 1.0
"""Seconds between two looks at whether such a line is due."""

BAR = 24
"""Characters of the bar."""


@contextlib.contextmanager
def watch(study: Study, folder: Path) -> Iterator[Watcher]:
    """A watcher for `run_study` that shows where the search is while the block runs, and a line for every trial that ends.

    Args:
        study: Which is run.
        folder: Of the study, where running trials write their metrics.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    shown = Shown(study, folder)
    if not console.is_terminal:
        with _plain(study, shown, console) as plain:
            yield plain
        return
    with Live(get_renderable=shown.table, console=console, refresh_per_second=2, transient=True) as live:

        def watcher(progress: Progress) -> None:
            for line in shown.hear(progress):
                live.console.print(line, markup=False)
            if progress.ended:
                live.console.print(_fitted(study, progress.ended, console))

        yield watcher


@contextlib.contextmanager
def _plain(study: Study, shown: "Shown", console: "Console") -> Iterator[Watcher]:
    """A watcher that prints a line for what changes; a thread prints one where nothing has for a while, also while the search measures."""
    last, ended = _Heartbeat(), threading.Event()
    last.beat(shown.activity)  # What is refused at once is refused with one sentence, and no line before it.

    def say(line: str) -> None:
        last.beat(shown.activity)
        console.print(line, markup=False, soft_wrap=True)

    def watcher(progress: Progress) -> None:
        for line in shown.hear(progress):
            say(line)
        if progress.ended:
            say(trial_line(study, progress.ended))
        elif last.is_due(progress.activity):
            say(shown.line())

    def beat() -> None:
        while not ended.wait(TICK):
            if last.is_due(shown.activity):
                say(shown.line())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        ended.set()
        thread.join()


class Shown:
    """What a search has told by now, as a table or as a line.

    Args:
        study: Which is run.
        folder: Of the study.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self._study, self._folder = study, folder
        self._learned = learned_objective(study)
        self._began = time.monotonic()
        self._progress = Progress(activity="starting", done=0, total=study.trials)
        self._read: tuple[Underway, ...] = ()
        self._read_at = 0.0
        self._countdown = Countdown()

    def hear(self, progress: Progress) -> list[str]:
        """Take in what is told; the lines that are to be printed once."""
        before, self._progress = self._progress, progress
        self._read_at = 0.0
        self._countdown.hear(progress)
        said = {"space": (before.feasible, progress.feasible), "predictions": (before.predictions, progress.predictions)}
        return [f"{name}: {new}" for name, (old, new) in said.items() if new != old]

    @property
    def activity(self) -> str:
        """What goes on."""
        return self._progress.activity

    def line(self) -> str:
        """`searching: 3 of 24 trials; front 2, refused 10; #4 in epoch 6 of 15, top-1 91.2% so far; about 4 min 10 s left`."""
        progress = self._progress
        running = [f"#{one.number} {self._epoch(one)}{self._so_far(one)}" for one in self._underway()]
        told = [f"{progress.done} of {progress.total} trials", ", ".join(_counts(progress)), ", ".join(running), self._time_left()]
        return f"{progress.activity}: {'; '.join(filter(None, told))}"

    def table(self) -> "RenderableType":
        """The same for a terminal: a bar, the counts, and a row for each running trial."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self._progress
        head = Table.grid(padding=(0, 1))
        head.add_column(no_wrap=True)
        head.add_column(width=BAR)
        head.add_column()
        gone = ", ".join(filter(None, [f"{show_seconds(round(time.monotonic() - self._began))} gone", self._time_left()]))
        bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=BAR)
        head.add_row(Text(f"{progress.done} of {progress.total} trials", style="bold"), bar, Text(gone))
        counts = ", ".join(_counts(progress))
        parts: list[RenderableType] = [head, Text(f"{progress.activity}{': ' if counts else ''}{counts}")]
        if running := self._underway():
            parts.append(running_table(self._learned, running))
        return Group(*parts)

    def _underway(self) -> tuple[Underway, ...]:
        """How far running trials are; read from their files when the search has told something, and once a second."""
        if time.monotonic() - self._read_at > 1.0:
            self._read_at = time.monotonic()
            self._read = tuple(underway(self._study, self._folder, record) for record in self._progress.running)
        return self._read

    def _epoch(self, one: Underway) -> str:
        return f"epoch {one.epochs} of {one.of}"

    def _so_far(self, one: Underway) -> str:
        return "" if one.latest is None else f" at {words.objective(self._learned, one.latest)}"

    def _time_left(self) -> str:
        left = self._countdown.seconds()
        return "" if left is None or not self._progress.running else f"about {show_seconds(max(1, round(left)))} left"


def trial_line(study: Study, record: TrialRecord) -> str:
    """`#7 completed B2(17, ...)-1(9, ...): validation top-1 95.8%, memory 4.10 MiB, 9.6 s`."""
    head, tail = _told(study, record)
    return f"{head} {record.layout}: {tail}"


def _fitted(study: Study, record: TrialRecord, console: "Console") -> "RenderableType":
    """The line, with the layout on lines of its own where they do not fit on one."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    whole = trial_line(study, record)
    if len(whole) <= console.width:
        return Text(whole)
    head, tail = _told(study, record)
    return Group(Text(f"{head}: {tail}"), Padding(Text(record.layout, style="dim", overflow="fold"), (0, 0, 0, 4)))


def _told(study: Study, record: TrialRecord) -> tuple[str, str]:
    """What became of a trial, and its values or the reason."""
    if record.state not in ("completed", "stopped", "paused"):
        return f"#{record.number} {record.state}", record.reason
    at = "" if record.state == "completed" else f" at epoch {record.epochs_done} of {study.recipe.epochs}"
    names: Sequence[str] = [o.name for o in study.objectives if record.state == "completed" or o.name in LEARNED]
    values = ", ".join(f"{words.NAMES[name]} {words.objective(name, record.values[name])}" for name in names)
    return f"#{record.number} {record.state}{at}", f"{values}, {show_seconds(sum(record.seconds.values()))}"


def _counts(progress: Progress) -> list[str]:
    """The numbers that are not zero."""
    told = [f"front {progress.on_front}"] if progress.done else []
    if progress.hypervolume is not None:
        told.append(f"hypervolume {progress.hypervolume:.4g}")
    told += [f"{name} {count}" for name, count in (("refused", progress.refused), ("stopped", progress.stopped)) if count]
    return told


class _Heartbeat:
    """Whether a plain line is due: the activity changed, or a while has passed."""

    def __init__(self) -> None:
        self._activity, self._at = "", 0.0

    def beat(self, activity: str) -> None:
        """A line was printed."""
        self._activity, self._at = activity, time.monotonic()

    def is_due(self, activity: str) -> bool:
        return activity != self._activity or time.monotonic() - self._at > PLAIN_EVERY
