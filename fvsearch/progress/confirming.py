"""Progress of a confirmation: a bar over trainings, and a line for each that ends."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fvsearch.progress.trainings import Told, bar_over_trainings
from fvsearch.report import words
from fvsearch.study import LEARNED, Study
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from fvsearch.search.confirmations import Confirmation
    from fvsearch.search.confirming import Confirming, Watcher


@contextlib.contextmanager
def watch_confirming(study: Study) -> Iterator["Watcher"]:
    """A watcher for `confirm_study` that shows a bar while the block runs."""
    with bar_over_trainings("confirming") as tell:

        def watcher(progress: "Confirming") -> None:
            ended = confirmation_line(study, progress.ended) if progress.ended else ""
            tell(Told(progress.done, progress.total, tuple(map(_name, progress.running)), ended))

        yield watcher


def confirmation_line(study: Study, one: "Confirmation") -> str:
    """`#7, repeat 2, B2(17, ...)-1(9, ...): validation top-1 95.8%, 9.6 s`."""
    head = f"{_name(one)}, {one.layout}"
    if one.failed:
        return f"{head} failed: {one.reason}"
    values = [f"{words.NAMES[o.name]} {words.objective(o.name, one.value(o.name))}" for o in study.objectives if o.name in LEARNED]
    return f"{head}: {', '.join(values)}, {show_seconds(sum(one.seconds.values()))}"


def _name(one: "Confirmation") -> str:
    """`#7, repeat 2`, and on what share where it is not the whole training split."""
    trial = f"#{one.trial}" if one.trial is not None else one.arch_hash
    share = f" on {words.percent(one.train_share, 0)}" if one.train_share < 1 else ""
    return f"{trial}, repeat {one.repeat}{share}"
