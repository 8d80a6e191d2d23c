"""Every epoch's metrics, one JSON line each, in a file that survives being killed at any byte; and how fast images came."""

import os
from pathlib import Path

import msgspec

from fvsearch.files import naming, write_atomically
from fvsearch.records import Record
from fvsearch.units import show_share, show_throughput

MOST_WAITED = 0.2
"""Share of a training's time that its steps may wait for images before the run says so."""


class EpochMetrics(Record, frozen=True, kw_only=True):
    """What an epoch of training came to.

    Attributes:
        epoch: Counted from 0.
        seconds: Training and validation.
        loss, top1, top5: Of the validation split, after the epoch, with the average of the weights where the recipe keeps one; accuracies
            are shares of 1. Losses are cross-entropies without label smoothing, so that trainings and splits compare.
        train_loss, train_top1, train_top5: Of the training split, means over the epoch's steps, with dropout and before each update.
        waited: Seconds of them that steps waited for images; 0 where images are handed over whole.
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
    waited: float = 0.0
    learning_rate: float = 0.0


class InputPace(Record, frozen=True, kw_only=True):
    """How fast a training's images came, where they were read or altered on the way; its first step and validation left out.

    Attributes:
        alone: Images/s of the input pipeline by itself, as it made batches before the training began; none where it had begun before.
        trained: Images/s of the training.
        waited: Share of its time that steps waited for images.
    """

    alone: float | None
    trained: float
    waited: float

    def describe(self) -> str:
        """`4,120 images/s from the input pipeline alone, 310 images/s in training, which waited 2.1% of its time for images`."""
        alone = f"{show_throughput(self.alone)} from the input pipeline alone, " if self.alone else ""
        return f"{alone}{show_throughput(self.trained)} in training, which waited {show_share(self.waited)} of its time for images"

    @property
    def bottleneck(self) -> str | None:
        """That data is it, in a sentence; none where it is not."""
        if self.waited <= MOST_WAITED:
            return None
        took = show_throughput(self.trained / (1 - self.waited)) if self.waited < 1 else "more"
        return (
            f"the input pipeline gave {show_throughput(self.trained)} and the model would have taken {took}: data is the bottleneck; "
            "more cores, smaller pictures or less augmentation would help"
        )


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
            except ValueError:
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
        with naming(self.path), self.path.open("ab") as file:
            file.write(_line(metrics))
            file.flush()
            os.fsync(file.fileno())


def _line(metrics: EpochMetrics) -> bytes:
    return msgspec.json.encode(metrics) + b"\n"
