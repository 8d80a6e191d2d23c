"""Progress on the terminal: live where the output is one, else plain lines."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fvsearch.meters.measured import Activity
from fvsearch.progress.confirming import watch_confirming
from fvsearch.progress.searching import watch
from fvsearch.progress.transferring import watch_transferring

if TYPE_CHECKING:
    from fvsearch.training.run import Run

__all__ = ["watch", "watch_calibrating", "watch_confirming", "watch_measuring", "watch_training", "watch_transferring"]


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
    "wait": "waiting for {detail}",
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
