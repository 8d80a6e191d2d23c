"""confirm: front points, the baseline and archs asked for, trained again with fresh seeds, so that a front can be believed.

What a search selects is in part luck: of many values it takes the best, which are good by their seeds too (the winner's curse). Only
trainings that had no part in the selection tell how good the selected are. Each of them is one entry of the ledger, beside the trials,
written when it ends: interrupted at any point, the same call goes on from there.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.data import check_source
from fvsearch.errors import ConfigError, LockedError
from fvsearch.files import locked_folder
from fvsearch.fronts.standing import front, ledger_standings
from fvsearch.ledger import Ledger, now
from fvsearch.ledger.crew import join
from fvsearch.records import Record
from fvsearch.search.confirmations import Confirmation, confirmations
from fvsearch.search.to_confirm import wanted
from fvsearch.search.watching import CONFIRMING, DONE, keep_activity
from fvsearch.search.workers import Jobs, RunSettings, as_sentence, open_pool
from fvsearch.study import LEARNED, Confirm, Study
from fvsearch.training.segment import Segment, SegmentResult, run_segment


class Confirming(Record, frozen=True, kw_only=True):
    """Where a confirmation of a study is.

    Attributes:
        done: Trainings that stand, of those asked for.
        total: Trainings asked for.
        running: Trainings under way.
        ended: The training that has just ended, if this is why progress is told.
    """

    done: int
    total: int
    running: tuple[Confirmation, ...] = ()
    ended: Confirmation | None = None

    @property
    def activity(self) -> str:
        """As others are told of it: "confirming with fresh seeds, 3 of 12 trainings done"."""
        return f"{CONFIRMING}, {self.done} of {self.total} trainings done"


Watcher = Callable[[Confirming], None]


def confirm_study(
    folder: Path, settings: RunSettings, seeds: int | None = None, watcher: Watcher = lambda progress: None
) -> tuple[Confirmation, ...]:
    """Confirm the study in a folder: its front, its baseline, and what its `[confirm]` names beside them.

    Args:
        folder: Of the study.
        settings: How; the backend must be that of the search.
        seeds: Fresh trainings of each in all, those that stand counted in; as many as the study says, else 3.
        watcher: Told of progress.

    Raises:
        ConfigError: The folder holds no study, one with nothing on its front, or one of another backend; the data cannot be read.
        LockedError: Another process works on the folder.
    """
    ledger = Ledger.open(folder)
    asked = ledger.study.confirm or Confirm()
    with _owned(ledger, settings):
        if not front(ledger_standings(ledger)):
            raise ConfigError(f"{folder} has nothing on its front to confirm yet; `fvsearch run` on it goes on until there is")

        def keeper(confirming: Confirming) -> None:
            keep_activity(folder, confirming.activity)
            watcher(confirming)

        found = confirm(ledger, settings, seeds or asked.seeds, asked.archs, asked.train_shares, keeper)
        keep_activity(folder, DONE)
        return found


@contextlib.contextmanager
def _owned(ledger: Ledger, settings: RunSettings) -> Iterator[None]:
    """Keep searches and other confirmations from a study while the block trains its front again."""
    if not ledger.shared:
        with locked_folder(ledger.folder, patience=0.0):
            yield
        return
    with join(ledger, settings.workers, settings.lease) as crew:
        if others := crew.others():
            raise LockedError(
                f"{len(others)} coordinator{'' if len(others) == 1 else 's'} of the study at {ledger.shared.shown} still "
                f"work{'s' if len(others) == 1 else ''}, on {', '.join(sorted({one.member.process.host for one in others}))}; "
                "wait until they end, or for as long as their leases last"
            )
        with crew.alone(CONFIRMING, lambda activity: None):
            yield


def confirm(
    ledger: Ledger,
    settings: RunSettings,
    seeds: int,
    archs: Sequence[Arch] = (),
    train_shares: Sequence[float] = (),
    watcher: Watcher = lambda progress: None,
) -> tuple[Confirmation, ...]:
    """Train the front and the baseline, and further archs, until each has so many trainings with fresh seeds; all that stand by then.

    Those of an earlier call count, so that more seeds later add to them, and so does what failed: the same seed would fail again. The
    caller owns the study's folder.

    Args:
        ledger: Of the study; the confirmations are entered there.
        settings: How; the backend must be that of the search.
        seeds: Fresh trainings of each in all.
        archs: Beside the front and the baseline.
        train_shares: The baseline and `archs` are also trained on these shares of the training split.
        watcher: Told of progress.

    Raises:
        ConfigError: Another backend than the search's, or data that cannot be read.
    """
    searched = {invocation.backend for invocation in ledger.invocations()}
    if searched and settings.backend not in searched:
        raise ConfigError(
            f"{ledger.folder} was searched on {', '.join(sorted(searched))}, and trainings on {settings.backend} cannot confirm its "
            f"numbers; give --backend {min(searched)}"
        )
    check_source(ledger.study.data)
    _Confirming(ledger, settings, watcher).run(wanted(ledger, seeds, archs, train_shares))
    return confirmations(ledger)


class _Confirming:
    """One call: its loop and what the loop holds."""

    def __init__(self, ledger: Ledger, settings: RunSettings, watcher: Watcher) -> None:
        self.ledger, self.study = ledger, ledger.study
        self.settings, self.watcher = settings, watcher
        self.done = self.total = 0

    def run(self, wanted: Sequence[Confirmation]) -> None:
        stands = {one.key for one in confirmations(self.ledger)}
        waiting = [one for one in wanted if one.key not in stands]
        self.total, self.done = len(wanted), len(wanted) - len(waiting)
        if waiting:
            with open_pool(self.settings, self.ledger.folder, self.study.resources) as pool:
                self._train(Jobs(pool, run_segment), waiting)
        self._tell()

    def _train(self, jobs: Jobs[Confirmation, Segment, SegmentResult], waiting: list[Confirmation]) -> None:
        while waiting or jobs.owners:
            while waiting and jobs.has_room:
                one = waiting.pop(0)
                jobs.submit(one, _segment(self.study, one, self.ledger.folder))
            self._tell(jobs.owners)
            for one, outcome in jobs.ended():
                if isinstance(outcome, Exception):
                    one = msgspec.structs.replace(one, reason=as_sentence(outcome))
                else:
                    one = _with_result(self.study, one, outcome)
                one = msgspec.structs.replace(one, backend=self.settings.backend, ended=now())
                self.ledger.write(one.key, one)
                self.done += 1
                self._tell(jobs.owners, one)

    def _tell(self, running: tuple[Confirmation, ...] = (), ended: Confirmation | None = None) -> None:
        self.watcher(Confirming(done=self.done, total=self.total, running=running, ended=ended))


def _segment(study: Study, one: Confirmation, folder: Path) -> Segment:
    """The whole training; an arch of a trial is trained beside the trial's repeats, any other under its hash."""
    home = folder / "trials" / f"{one.trial:04d}" if one.trial is not None else folder / "confirm" / one.arch_hash
    share = "" if one.train_share == study.data.train_share else f"-share{one.train_share:g}"
    return Segment(
        arch=one.arch,
        data=msgspec.structs.replace(study.data, train_share=one.train_share),
        recipe=study.recipe,
        seed=one.seed,
        to_epoch=study.recipe.epochs,
        folder=str(home / f"repeat{one.repeat}{share}"),
        phase=study.budget.phase,
        cost_batch_size=study.cost_batch_size,
    )


def _with_result(study: Study, one: Confirmation, result: SegmentResult) -> Confirmation:
    """The record of a training that has ended."""
    reason = result.reason if result.status != "completed" else _not_finite(study, result)
    return msgspec.structs.replace(
        one,
        reason=reason or ("" if result.status == "completed" else result.status),
        notes=result.notes,
        epochs=tuple(msgspec.to_builtins(epoch) for epoch in result.epochs),
        seconds=result.seconds,
        joules=result.joules,
        measured=result.measured,
        memory_source=result.memory_source,
        device=result.device,
        versions=result.versions,
    )


def _not_finite(study: Study, result: SegmentResult) -> str:
    """Which objective came to no number; empty where each did."""
    learned: Iterable[str] = (o.name for o in study.objectives if o.name in LEARNED)
    odd = [f"{name} became {value}" for name in learned if not math.isfinite(value := getattr(result.epochs[-1], name))]
    return f"{odd[0]} in the last epoch" if odd else ""
