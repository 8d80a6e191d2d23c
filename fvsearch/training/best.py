"""best.npz: checkpoint.npz as it was after the best epoch, whichever moment a kill comes at.

An epoch's metrics are written first, then its checkpoint, then, if it is the best so far, the copy. A kill between the last two leaves a
checkpoint that is of the best epoch itself, and it is copied before the training goes on. So the copy is always of the best epoch that
metrics.jsonl tells, up to the checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path

from fvsearch.files import write_atomically
from fvsearch.training.metrics import EpochMetrics, MetricsFile

BEST_FILE, LAST_FILE = "best.npz", "checkpoint.npz"


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """The epoch of the highest validation top-1; ties go to the lower validation loss, then to the earlier epoch."""
    return min(epochs, key=lambda metrics: (-metrics.top1, metrics.loss, metrics.epoch))


def keep_best(folder: Path) -> None:
    """After an epoch whose metrics and checkpoint are written: copy the checkpoint, if the epoch is the best."""
    epochs = MetricsFile(folder / "metrics.jsonl").read()
    if best_epoch(epochs) == epochs[-1]:
        write_atomically(folder / BEST_FILE, (folder / LAST_FILE).read_bytes())


def settle_best(folder: Path) -> list[str]:
    """Before a training goes on: make up for the copy that a kill came before; what is lost for good, as notes."""
    done = epochs_done(folder / LAST_FILE)
    epochs = MetricsFile(folder / "metrics.jsonl").read()[:done]
    if not done or len(epochs) < done:
        return []  # it is trained from the start
    wanted = best_epoch(epochs).epoch + 1
    if epochs_done(folder / BEST_FILE) == wanted:
        return []
    if wanted == done:
        write_atomically(folder / BEST_FILE, (folder / LAST_FILE).read_bytes())
        return []
    (folder / BEST_FILE).unlink(missing_ok=True)
    return [f"{BEST_FILE} of epoch {wanted}, the best so far, was lost or broken: it is written again once an epoch is better"]


def epochs_done(path: Path) -> int:
    """Epochs trained to reach a checkpoint; 0 where there is none, or a broken one."""
    from fvsearch.training.checkpoint import read_checkpoint

    try:
        checkpoint = read_checkpoint(path)
    except ValueError:
        return 0
    return checkpoint.epochs_done if checkpoint else 0
