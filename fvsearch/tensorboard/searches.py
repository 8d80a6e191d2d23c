"""TensorBoard's view of a study: event files written from the metrics that trials leave, by the search's process alone.

tensorboard/trial0007            the training of a trial, as events.py writes it: its params are hparams
tensorboard/trial0007/repeat1    or, where a trial has several, each of them
"""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.search.underway import written
from fvsearch.search.watching import Progress
from fvsearch.study import Study
from fvsearch.tensorboard.events import FOLDER, Epochs, about, require_tensorboard, write_events
from fvsearch.training.segment import derive_seed

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class EventWriter:
    """A watcher that writes each epoch of each trial for TensorBoard as it ends, and at first what trials of earlier starts left.

    Args:
        folder: Of the study.

    Raises:
        MissingBackendError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        self._folder = folder
        self._study: Study | None = None
        self._written: dict[Path, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Write what is new."""
        records = [*progress.running, *([progress.ended] if progress.ended else [])]
        if self._study is None:
            # The search has made the ledger by now, or made sure that it is the right one.
            ledger = Ledger.open(self._folder)
            self._study = ledger.study
            records = [*ledger.trials(), *records]
            ledger.close()
        for record in records:
            self._write(self._study, record)

    def _write(self, study: Study, record: TrialRecord) -> None:
        base = self._folder / FOLDER / f"trial{record.number:04d}"
        for repeat, epochs in enumerate(_trained(study, self._folder, record)):
            folder = base / f"repeat{repeat}" if study.repeats > 1 else base
            if epochs and self._written.get(folder) != len(epochs):
                begun = datetime.datetime.fromisoformat(record.started).timestamp() if record.started else 0.0
                write_events(folder, epochs, _about(study, record, repeat, begun), begun)
                self._written[folder] = len(epochs)


def _trained(study: Study, folder: Path, record: TrialRecord) -> list[Epochs]:
    """The epochs of each repeat by now: from their files while they are trained, where those are ahead of the record."""
    known: list[Epochs] = [repeat.epochs for repeat in record.repeats]
    if record.state != "running":
        return known
    ahead: list[Epochs] = [tuple(msgspec.to_builtins(epoch) for epoch in epochs) for epochs in written(study, folder, record.number)]
    return [*ahead, *known[len(ahead) :]]


def _about(study: Study, record: TrialRecord, repeat: int, begun: float) -> "Summary":
    """The arch in words, and its params as hparams; trainings of one trial are one group."""
    lines = [
        f"trial {record.number} of {study.name}",
        f"layout: `{record.layout}`",
        f"seed: {derive_seed(study.seed, record.arch_hash, repeat)}",
    ]
    lines += [f"predicted {name}: {cost:,.0f}" for name, cost in record.predicted.items()]
    return about(lines, {"layout": record.layout, **record.params}, group=f"trial {record.number}", begun=begun)
