"""Progress on the terminal: a live bar, or plain lines where the output is no terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fvsearch.ledger import TrialRecord
from fvsearch.meters.measured import Activity
from fvsearch.report import words
from fvsearch.study import Study
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from fvsearch.search import Progress, Watcher
    from fvsearch.training.run import Run

PLAIN_EVERY = 30.0
"""Seconds between plain lines that tell nothing but that work goes on."""


@contextlib.contextmanager
def watch(study: Study) -> Iterator["Watcher"]:
    """A watcher for `run_study` that shows a bar while the block runs, and a line for every trial that ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, TextColumn("[dim]{task.fields[detail]}", markup=True), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=study.trials, detail="")
        last = _Heartbeat()
        said = ""

        def watcher(progress: "Progress") -> None:
            nonlocal said
            if progress.predictions != said:
                said = progress.predictions
                console.print(f"predictions: {said}", markup=False, soft_wrap=True)
            if progress.ended:
                console.print(_trial_line(study, progress.ended), markup=False, soft_wrap=True)
            elif not console.is_terminal and last.is_due(progress.activity):
                detail = f"; {_detail(progress)}" if progress.running else ""
                console.print(f"{progress.activity}: {progress.done} of {progress.total} trials{detail}", markup=False, soft_wrap=True)
            bar.update(task, completed=progress.done, total=progress.total, description=progress.activity, detail=_detail(progress))

        yield watcher


@contextlib.contextmanager
def watch_training(run: "Run") -> Iterator[Callable[[dict[str, float]], None]]:
    """A callback for `train_run` that shows a bar over epochs while the block runs."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("[bold]epochs"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("[dim]{task.fields[detail]}"), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("train", total=run.recipe.epochs, detail="")

        def on_epoch(metrics: dict[str, float]) -> None:
            done = int(metrics["epoch"]) + 1
            detail = f"validation top1 {metrics['top1']:.2%}, loss {metrics['loss']:.4f}"
            bar.update(task, completed=done, detail=detail)
            if not console.is_terminal:
                console.print(f"epoch {done} of {run.recipe.epochs}: {detail}", markup=False, soft_wrap=True)

        yield on_epoch


ACTIVITIES = {
    "start": "starting the backend",
    "wait": "waiting for {detail}, which measures on this device",
    "compile": "compiling {detail}",
    "measure": "measuring {detail}",
}
"""What a measurement does, as a user reads it."""


@contextlib.contextmanager
def watch_measuring(total: int) -> Iterator[Callable[[Activity], None]]:
    """A callback for measurements that shows a bar while the block runs.

    Args:
        total: How many times an arch will be compiled or a group of archs measured.
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("starting", total=total)
        begun = 0

        def on_activity(activity: Activity) -> None:
            nonlocal begun
            text = ACTIVITIES[activity.kind].format(detail=activity.detail)
            bar.update(task, completed=begun, description=text)
            begun += activity.kind in ("compile", "measure")
            if not console.is_terminal:
                console.print(text, markup=False, soft_wrap=True)

        yield on_activity


@contextlib.contextmanager
def watch_calibrating() -> Iterator[Callable[[int, int, Activity], None]]:
    """A callback for `calibrate` that shows a bar over archs while the block runs."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("[bold]archs"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(
        *columns, TextColumn("{task.description}", markup=False), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)
        said = ""

        def on_progress(done: int, total: int, activity: Activity) -> None:
            nonlocal said
            text = ACTIVITIES[activity.kind].format(detail=activity.detail)
            if done == total:
                text = f"once more, for its interval was wide: {text}"
            bar.update(task, completed=done, total=total, description=text)
            if not console.is_terminal and text != said:
                console.print(f"{done} of {total} archs: {text}", markup=False, soft_wrap=True)
            said = text

        yield on_progress


class _Heartbeat:
    """Whether a plain line is due: the activity changed, or a while has passed."""

    def __init__(self) -> None:
        self._activity, self._at = "", 0.0

    def is_due(self, activity: str) -> bool:
        due = activity != self._activity or time.monotonic() - self._at > PLAIN_EVERY
        if due:
            self._activity, self._at = activity, time.monotonic()
        return due


def _detail(progress: "Progress") -> str:
    running = ", ".join(f"#{record.number}" for record in progress.running)
    return f"running {running or 'none'}; front {progress.on_front}; refused {progress.refused}"


def _trial_line(study: Study, record: TrialRecord) -> str:
    """`#7 completed B2(17, ...)-1(9, ...): top1 95.83%, memory 4.10 MiB, 9.6 s`."""
    head = f"#{record.number} {record.state} {record.layout}"
    if record.state != "completed":
        return f"{head}: {record.reason}"
    values = ", ".join(f"{name} {words.objective(name, record.values[name])}" for name in (o.name for o in study.objectives))
    return f"{head}: {values}, {show_seconds(sum(record.seconds.values()))}"
