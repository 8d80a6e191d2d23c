"""A bar over trainings, and a line for each that ends."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Told(NamedTuple):
    """Where the work is.

    Attributes:
        done: Trainings that have ended, of the total.
        running: Names of those under way.
        said: A line to print, such as what the training that has just ended came to; empty for none.
    """

    done: int
    total: int
    running: tuple[str, ...]
    said: str


class Tell(Protocol):
    """Shows where the work is."""

    def __call__(self, told: Told) -> None:
        """Show it."""


@contextlib.contextmanager
def bar_over_trainings(activity: str) -> Iterator[Tell]:
    """A bar while the block runs; lines alone where the output is no terminal.

    Args:
        activity: What is done, such as "confirming".
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn(f"[bold]{activity}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[detail]}", markup=False), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(activity, total=None, detail="")

        def tell(told: Told) -> None:
            if told.said:
                console.print(told.said, markup=False, soft_wrap=True)
            bar.update(task, completed=told.done, total=told.total, detail=", ".join(told.running))

        yield tell
