"""Trainings whose batches are made ahead: bit for bit what they are in one go, with any number of threads, from arrays or read lazily."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from trainings import RECIPE, segment_in

from fvsearch.data import ArrayPair, SearchSplits, load_search_splits
from fvsearch.data.array_images import ArrayImages
from fvsearch.data.images import Cropper
from fvsearch.errors import RunError
from fvsearch.meters.measured import StepMemory
from fvsearch.study import Data
from fvsearch.study.augmentation import Augmentation
from fvsearch.training import stream, work
from fvsearch.training.checkpoint import read_checkpoint
from fvsearch.training.feeding import WholeArrays, feeding
from fvsearch.training.fit import compile_for_evaluation, evaluate
from fvsearch.training.metrics import InputPace, MetricsFile
from fvsearch.training.segment import Segment, SegmentResult, run_segment

COLOURS = Data(source="shapes", image_size=8, channels=3, num_classes=3, options={"samples": 60})
EVERYTHING = Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True, mixup=0.2, cutmix=1.0)


class Fake:
    """Images that are there, read as if they were not; `read` is told when."""

    def __init__(self, pair: ArrayPair, told: Callable[[], None] = lambda: None) -> None:
        self._images, self.labels, self._told = ArrayImages(pair), pair.labels, told

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: Sequence[int] | NDArray[np.int64], cropper: Cropper | None = None) -> NDArray[np.float32]:
        self._told()
        return self._images.read(indices, cropper)

    def names(self, indices: Sequence[int] | NDArray[np.int64]) -> list[str]:
        return self._images.names(indices)


def coloured(folder: Path, augmentation: Augmentation = EVERYTHING, **changes: Any) -> Segment:
    """Two epochs of four batches, on 36 coloured pictures; 12 to score on."""
    recipe = msgspec.structs.replace(RECIPE, epochs=2, augmentation=augmentation)
    return segment_in(folder, data=COLOURS, recipe=recipe, **{"to_epoch": 2, **changes})


def numbers(result: SegmentResult) -> list[dict[str, Any]]:
    """All metrics of all epochs but the times."""
    return [msgspec.to_builtins(epoch) | {"seconds": 0, "waited": 0} for epoch in result.epochs]


def state(folder: Path) -> list[bytes]:
    """Weights, seed generators and optimizer state, bit for bit."""
    return [array.tobytes() for array in read_checkpoint(folder / "checkpoint.npz").arrays]


def lazily(monkeypatch: pytest.MonkeyPatch, told: Callable[[], None]) -> None:
    """Work finds every split behind the interface."""
    monkeypatch.setattr(work, "load_search_splits", lambda data: SearchSplits(*(Fake(pair, told) for pair in load_search_splits(data))))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is spent on measuring memory, or the input pipeline alone."""
    monkeypatch.setattr(work, "step_memory", lambda *arguments: StepMemory(bytes=2048, source="a test"))
    monkeypatch.setattr("fvsearch.training.pace.ALONE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SegmentResult]:
    """A training with every augmentation, unbroken."""
    folder = tmp_path_factory.mktemp("whole") / "training"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "step_memory", lambda *arguments: StepMemory(bytes=2048, source="a test"))
        return folder, run_segment(coloured(folder))


def test_it_trains_on_mixed_labels_and_is_scored_on_plain_ones(whole: tuple[Path, SegmentResult]) -> None:
    folder, result = whole
    assert (result.status, result.notes[1:]) == ("completed", ())
    assert all(min(epoch.waited, epoch.loss, epoch.train_loss) > 0 for epoch in result.epochs)
    assert result.input_pace.alone > 0 and result.input_pace.trained > 0 and 0 <= result.input_pace.waited <= 1
    assert MetricsFile(folder / "metrics.jsonl").read() == result.epochs


def test_segment_after_segment_is_the_unbroken_training(
    whole: tuple[Path, SegmentResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "keep_warm", lambda warm: None)  # another process goes on
    run_segment(coloured(tmp_path, to_epoch=1))
    result = run_segment(coloured(tmp_path, from_epoch=1))
    assert result.input_pace.alone is None, "measured once, at the beginning"
    assert numbers(result) == numbers(whole[1])
    assert state(tmp_path) == state(whole[0])


def test_the_number_of_threads_changes_nothing(whole: tuple[Path, SegmentResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "num_threads", lambda: 3)
    assert numbers(run_segment(coloured(tmp_path))) == numbers(whole[1])
    assert state(tmp_path) == state(whole[0])


def test_images_read_lazily_train_as_the_arrays_do_and_waiting_for_them_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Augmentation()
    held = run_segment(coloured(tmp_path / "held", nothing))
    assert (held.input_pace, held.notes) == (None, ()) and not any(epoch.waited for epoch in held.epochs)
    lazily(monkeypatch, lambda: None)
    # However fast this machine is, some time is waited.
    monkeypatch.setattr("fvsearch.training.metrics.MOST_WAITED", 0.0)
    read = run_segment(coloured(tmp_path / "read", nothing))
    assert read.notes == (read.input_pace.bottleneck,) and "data is the bottleneck" in read.notes[0]
    assert all(epoch.waited > 0 for epoch in read.epochs)
    assert numbers(read) == numbers(held)
    assert state(tmp_path / "read") == state(tmp_path / "held")


def test_nothing_is_made_ahead_where_nothing_is_asked_for() -> None:
    pair = ArrayPair(np.zeros((20, 8, 8, 1), np.float32), np.arange(20, dtype=np.int32))
    with feeding(keras.Sequential(), pair, RECIPE, 0, range(2)) as feed:
        assert isinstance(feed, WholeArrays) and feed.callbacks == []
        arguments = feed.epoch(1)
    assert (len(arguments["x"]), arguments["batch_size"]) == (16, 8)


def test_labels_that_are_all_of_one_class_score_as_the_class_does(tmp_path: Path) -> None:
    segment = coloured(tmp_path)
    model = work.bare_model(segment)
    compile_for_evaluation(model)
    images, labels = load_search_splits(segment.data).validation
    shares = np.eye(3, dtype=np.float32)[labels]
    scores = model.evaluate(images, shares, batch_size=12, return_dict=True, verbose=0)
    assert scores == pytest.approx(model.evaluate(images, labels, batch_size=12, return_dict=True, verbose=0), rel=1e-5)


@pytest.mark.parametrize("count", [11, 12])
def test_an_evaluation_counts_every_lazy_image_once(count: int, tmp_path: Path) -> None:
    segment = coloured(tmp_path)
    model = work.bare_model(segment)
    compile_for_evaluation(model)
    train, _ = load_search_splits(segment.data)
    pair = ArrayPair(train.images[:count], train.labels[:count])
    assert evaluate(model, Fake(pair), batch_size=4) == pytest.approx(evaluate(model, pair, batch_size=4), rel=1e-6)


def test_an_image_that_cannot_be_read_is_told_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RunError("the disk is gone")

    lazily(monkeypatch, refuse)
    with pytest.raises(RunError, match="the disk is gone"):
        run_segment(coloured(tmp_path))


def test_a_bottleneck_is_said_from_a_fifth_of_the_time_on() -> None:
    assert InputPace(alone=900.0, trained=310.0, waited=0.2).bottleneck is None
    pace = InputPace(alone=400.0, trained=310.0, waited=0.6)
    assert pace.bottleneck == (
        "the input pipeline gave 310 images/s and the model would have taken 775 images/s: data is the bottleneck; "
        "more cores, smaller pictures or less augmentation would help"
    )
    assert (
        pace.describe() == "400 images/s from the input pipeline alone, 310 images/s in training, which waited 60% of its time for images"
    )
    assert InputPace(alone=None, trained=310.0, waited=0.0).describe().startswith("310 images/s in training")


def test_epochs_of_older_files_waited_for_nothing(tmp_path: Path) -> None:
    line = '{"epoch":0,"seconds":1.0,"loss":1.0,"top1":0.5,"top5":1.0,"train_loss":1.0,"train_top1":0.5,"train_top5":1.0}\n'
    (tmp_path / "metrics.jsonl").write_text(line)
    (epoch,) = MetricsFile(tmp_path / "metrics.jsonl").read()
    assert epoch.waited == 0
