"""best.npz: which epoch it is of, and that a kill at any moment leaves it so."""

import shutil
from pathlib import Path
from typing import Any

import keras
import msgspec
import pytest
from trainings import EPOCHS, RUN

from fvsearch.errors import TrainingError
from fvsearch.records import from_toml
from fvsearch.training import best, folder, work
from fvsearch.training.best import best_epoch, epochs_done, settle_best
from fvsearch.training.metrics import EpochMetrics, MetricsFile
from fvsearch.training.run import Run, train_run
from fvsearch.weights.card import read_card, read_model

REST = {"seconds": 1.0, "top5": 1.0, "train_loss": 1.0, "train_top1": 0.5, "train_top5": 1.0}
BEST = msgspec.structs.replace(RUN, keep="best")


class Killed(BaseException):
    """Ends a training where it stands, as a kill would."""


def kill(*arguments: Any) -> None:
    raise Killed


def epoch(number: int, top1: float, loss: float) -> EpochMetrics:
    return EpochMetrics(epoch=number, top1=top1, loss=loss, **REST)


def bias(path: Path) -> float:
    """By how much the head's bias has grown: one an epoch that was played."""
    return float(keras.ops.convert_to_numpy(read_model(path)[1].get_layer("head").bias)[0])


def require_best(path: Path) -> None:
    """The law: the copy is of the best epoch that the metrics tell, up to the checkpoint."""
    done = epochs_done(path / "checkpoint.npz")
    assert epochs_done(path / "best.npz") == best_epoch(MetricsFile(path / "metrics.jsonl").read()[:done]).epoch + 1


@pytest.mark.parametrize(
    ("scores", "number"),
    [
        ([(0.5, 1.0), (0.6, 2.0), (0.4, 0.1)], 1),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 1),
        ([(0.5, 1.0), (0.5, 1.0)], 0),
    ],
    ids=["top-1 counts", "then the loss", "then the earlier"],
)
def test_the_best_epoch(scores: list[tuple[float, float]], number: int) -> None:
    assert best_epoch([epoch(index, *score) for index, score in enumerate(scores)]).epoch == number


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("place", ["metrics", "checkpoint", "copy"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_killed_at_any_moment_the_best_is_still_the_best(at: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After epoch `at`, of which 1 is the best, before its metrics, its checkpoint or its copy are written."""

    def when(wrapped: Any, reached: Any) -> Any:
        return lambda *arguments: kill() if reached(*arguments) else wrapped(*arguments)

    with monkeypatch.context() as patch:
        if place == "metrics":
            patch.setattr(MetricsFile, "append", when(MetricsFile.append, lambda file, metrics: metrics.epoch == at))
        elif place == "checkpoint":
            patch.setattr(work, "save_checkpoint", when(work.save_checkpoint, lambda path, model, done: done == at + 1))
        else:
            patch.setattr(folder, "keep_best", when(folder.keep_best, lambda path: epochs_done(path / "checkpoint.npz") == at + 1))
        with pytest.raises(Killed):
            train_run(BEST, tmp_path)
    seen: list[int] = []

    def look(metrics: dict[str, float]) -> None:
        require_best(tmp_path)
        seen.append(int(metrics["epoch"]))

    summary = train_run(BEST, tmp_path, look)
    assert seen == list(range(at + (place == "copy"), EPOCHS)), "whose checkpoint is written is not trained again"
    assert (summary.best.epoch, summary.last.epoch, summary.notes) == (1, EPOCHS - 1, ())
    require_best(tmp_path)
    assert bias(tmp_path) == 2


@pytest.mark.usefixtures("played")
def test_the_model_is_of_the_last_epoch_unless_the_best_is_asked_for(tmp_path: Path) -> None:
    train_run(RUN, tmp_path)
    assert (bias(tmp_path), read_card(tmp_path).evidence["epoch"]) == (EPOCHS, EPOCHS - 1)
    summary = train_run(BEST, tmp_path)
    assert summary.notes == ("model.keras was of another epoch, and is of epoch 2 now; the test split was read once more, for it",)
    assert (bias(tmp_path), read_card(tmp_path).evidence["epoch"]) == (2, 1)
    assert read_card(tmp_path).evidence["validation"] == {"top1": 0.75, "top5": 1.0, "loss": 0.7}
    assert from_toml(tmp_path / "run.toml", Run) == BEST
    assert train_run(BEST, tmp_path).notes == ()
    for name in ("best.npz", "model.toml"):
        (tmp_path / name).unlink()
    with pytest.raises(TrainingError, match=r"best\.npz in .* cannot be used: there is none; --keep last takes the last epoch's"):
        train_run(BEST, tmp_path)


@pytest.mark.usefixtures("played")
def test_a_copy_that_is_lost_is_made_up_for_where_it_can_be_and_told_where_not(tmp_path: Path) -> None:
    train_run(RUN, tmp_path / "run")
    path = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    epochs = MetricsFile(path / "metrics.jsonl")
    found = epochs.read()
    (path / "best.npz").write_bytes(b"torn")
    epochs.keep((*found[:-1], msgspec.structs.replace(found[-1], top1=1.0)))
    assert settle_best(path) == []
    assert (path / "best.npz").read_bytes() == (path / "checkpoint.npz").read_bytes()
    epochs.keep((msgspec.structs.replace(found[0], top1=1.0), *found[1:]))
    (note,) = settle_best(path)
    assert note == "best.npz of epoch 1, the best so far, was lost or broken: it is written again once an epoch is better"
    assert not (path / "best.npz").exists(), "none is better than that of another epoch"


def test_a_copy_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoint.npz").write_bytes(b"new")
    (tmp_path / "best.npz").write_bytes(b"old")
    MetricsFile(tmp_path / "metrics.jsonl").append(epoch(0, 0.5, 1.0))
    monkeypatch.setattr(Path, "replace", kill)
    with pytest.raises(Killed):
        best.keep_best(tmp_path)
    assert (tmp_path / "best.npz").read_bytes() == b"old"
    monkeypatch.undo()
    best.keep_best(tmp_path)
    assert (tmp_path / "best.npz").read_bytes() == b"new"
