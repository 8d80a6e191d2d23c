"""Progress of a transfer study."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fvsearch.progress.trainings import Told, bar_over_trainings
from fvsearch.report import words
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from fvsearch.search.transferring import TransferResult, Transferring, Watcher


@contextlib.contextmanager
def watch_transferring() -> Iterator["Watcher"]:
    """A watcher for `run_transfer` that shows a bar while the block runs."""
    with bar_over_trainings("training") as tell:

        def watcher(progress: "Transferring") -> None:
            running = tuple(one.name for one in progress.running)
            tell(Told(progress.done, progress.total, running, _line(progress.ended) if progress.ended else progress.activity))

        yield watcher


def _line(one: "TransferResult") -> str:
    """`ViT-as-Funnel-ViT-seed0: validation top-1 75.2%, 12 s`."""
    if one.summary is None:
        return f"{one.name} failed: {one.reason}"
    return f"{one.name}: validation top-1 {words.percent(one.summary.last.top1)}, {show_seconds(sum(one.summary.seconds.values()))}"
