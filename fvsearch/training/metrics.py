"""Every epoch's metrics, one JSON line each, in a file that survives being killed at any byte."""

import os
from pathlib import Path

import msgspec

from fvsearch.files import write_atomically
from fvsearch.records import Record


class EpochMetrics(Record, frozen=True, kw_only=True):
    """What an epoch of training came to.

    Attributes:
        epoch: Counted from 0.
        seconds: Training and validation.
        loss, top1, top5: Of the validation split, after the epoch; accuracies are shares of 1.
        train_loss, train_top1, train_top5: Of the training split, means over the epoch's steps, with dropout and before each update.
        learning_rate: Where the schedule stands after the epoch, for the next step; 0 after the last.
    """

    epoch: int
    seconds: float
    loss: float
    top1: float
    top5: float
    train_loss: float
    train_top1: float
    train_top5: float
    learning_rate: float = 0.0


class MetricsFile:
    """The metrics of the epochs from 0 on, in order.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[EpochMetrics, ...]:
        """Epochs 0, 1, ... as far as their lines are whole: a kill may have torn the last."""
        epochs: list[EpochMetrics] = []
        for line in self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else ():
            try:
                metrics = msgspec.json.decode(line, type=EpochMetrics)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            if metrics.epoch != len(epochs) or not line.endswith(b"\n"):
                break
            epochs.append(metrics)
        return tuple(epochs)

    def keep(self, epochs: tuple[EpochMetrics, ...]) -> None:
        """Make the file hold these and nothing else."""
        content = b"".join(map(_line, epochs))
        if not self.path.exists() or self.path.read_bytes() != content:
            write_atomically(self.path, content)

    def append(self, metrics: EpochMetrics) -> None:
        """Add the next epoch; it is on the disk when this returns."""
        with self.path.open("ab") as file:
            file.write(_line(metrics))
            file.flush()
            os.fsync(file.fileno())


def _line(metrics: EpochMetrics) -> bytes:
    return msgspec.json.encode(metrics) + b"\n"
