"""Segments: whole or in pieces bit for bit the same; killed, torn, out of memory, not a number."""

import functools
import pickle
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from trainings import ARCH, EPOCHS, EXAMPLES, RECIPE, segment_in

from fvsearch.errors import ConfigError, DiskFullError, LockedError
from fvsearch.files import locked_folder
from fvsearch.meters.measured import StepMemory
from fvsearch.training import fit, work
from fvsearch.training.checkpoint import read_checkpoint
from fvsearch.training.segment import SegmentResult, derive_seed, run_segment

Training = tuple[Path, SegmentResult]


@pytest.fixture(scope="module", autouse=True)
def _own_lock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What else measures on this device is not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("own")))
        yield


class Killed(BaseException):
    """Ends a training between two steps, as a kill would."""


def kill(*arguments: Any) -> None:
    raise Killed


def kill_after(epochs: int) -> Callable[[dict[str, float]], None]:
    return lambda metrics: kill() if metrics["epoch"] == epochs - 1 else None


def numbers(result: SegmentResult) -> list[dict[str, Any]]:
    """All metrics of all epochs but the time they took."""
    return [msgspec.to_builtins(epoch) | {"seconds": 0} for epoch in result.epochs]


def state(folder: Path) -> list[bytes]:
    """Weights, seed generators and optimizer state, bit for bit."""
    return [array.tobytes() for array in read_checkpoint(folder / "checkpoint.npz").arrays]


def lines(folder: Path) -> int:
    return len((folder / "metrics.jsonl").read_text().splitlines())


def trained(folder: Path, **changes: Any) -> Training:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        return folder, run_segment(segment_in(folder, **changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The training, unbroken, its memory measured for real."""
    return trained(tmp_path_factory.mktemp("whole") / "training")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Its first epoch."""
    return trained(tmp_path_factory.mktemp("first") / "training", to_epoch=1)


@pytest.fixture
def begun(first: Training, tmp_path: Path) -> Path:
    """A folder of one's own with the first epoch."""
    return shutil.copytree(first[0], tmp_path / "begun")


@pytest.fixture(autouse=True)
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the memory meter was asked; it answers 2 KiB at once. Wider fixtures, which come first, have the real one."""
    for name in ("whole", "first"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    calls: list[tuple[Any, ...]] = []

    def answer(model: keras.Model, *arguments: Any) -> StepMemory:
        calls.append(arguments)
        return StepMemory(bytes=2048, source="a test")

    monkeypatch.setattr(work, "step_memory", answer)
    return calls


def test_a_result_tells_all_of_a_training(whole: Training) -> None:
    _, result = whole
    assert (result.status, result.reason, result.notes) == ("completed", "", ())
    assert [epoch.epoch for epoch in result.epochs] == list(range(EPOCHS))
    for epoch in result.epochs:
        assert 0 <= epoch.top1 <= epoch.top5 == epoch.train_top5 == 1  # three classes are all among the first five
        assert min(epoch.loss, epoch.train_loss, epoch.seconds) > 0
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    assert result.measured["memory"] > 1e4 and result.memory_source
    # On JAX the meter compiles the step for the training: that is no measuring.
    assert set(result.seconds) == {"import", "build", "compile", "train"} | ({"measure"} if keras.backend.backend() != "jax" else set())
    assert min(result.seconds.values()) >= 0
    assert result.backend == keras.backend.backend() and result.device
    assert result.versions["keras"] == keras.__version__ and result.versions[result.backend]
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_segment_leaves_its_state_and_none_of_what_a_run_has_besides(whole: Training) -> None:
    assert {path.name for path in whole[0].iterdir()} - {".lock"} == {"training.json", "metrics.jsonl", "checkpoint.npz", "result.json"}


def test_the_last_smaller_batch_of_an_epoch_is_left_out(whole: Training) -> None:
    (steps,) = (
        int(array) for array in read_checkpoint(whole[0] / "checkpoint.npz").arrays if array.shape == () and array.dtype.kind == "i"
    )
    assert steps == EPOCHS * (36 // RECIPE.batch_size)


def test_nothing_of_the_process_matters_to_a_training_or_is_changed_by_it(whole: Training, tmp_path: Path) -> None:
    random.seed(99)
    np.random.seed(99)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = run_segment(segment_in(tmp_path))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert numbers(result) == numbers(whole[1])
    assert state(tmp_path) == state(whole[0])


def test_segment_after_segment_is_the_unbroken_training(whole: Training, first: Training, begun: Path) -> None:
    assert numbers(first[1]) == numbers(whole[1])[:1]
    last = run_segment(segment_in(begun, from_epoch=1))
    assert (last.status, last.notes) == ("completed", ())
    assert numbers(last) == numbers(whole[1])
    assert state(begun) == state(whole[0])


def test_a_process_goes_on_with_the_model_it_has_in_hand_bit_for_bit(whole: Training, tmp_path: Path) -> None:
    run_segment(segment_in(tmp_path, to_epoch=2))
    run_segment(segment_in(tmp_path / "another", to_epoch=1))
    cold = run_segment(segment_in(tmp_path, from_epoch=2, to_epoch=3))
    warm = run_segment(segment_in(tmp_path, from_epoch=3))
    assert "build" in cold.seconds and "build" not in warm.seconds
    assert (warm.notes, warm.measured) == ((), {})
    assert numbers(warm) == numbers(whole[1])
    assert state(tmp_path) == state(whole[0])


def test_batches_in_parts_and_an_average_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, accumulate=2, ema=0.8, label_smoothing=0.1, epochs=3, warmup_epochs=None, warmup_steps=5)
    whole = run_segment(segment_in(tmp_path / "whole", recipe=recipe, to_epoch=3))
    run_segment(segment_in(tmp_path / "warm", recipe=recipe, to_epoch=1))
    assert numbers(run_segment(segment_in(tmp_path / "warm", recipe=recipe, from_epoch=1, to_epoch=3))) == numbers(whole)
    with pytest.raises(Killed):
        run_segment(segment_in(tmp_path / "cold", recipe=recipe, to_epoch=3), kill_after(2))
    assert numbers(run_segment(segment_in(tmp_path / "cold", recipe=recipe, to_epoch=3))) == numbers(whole)
    assert state(tmp_path / "whole") == state(tmp_path / "warm") == state(tmp_path / "cold")


def test_a_model_in_hand_is_no_use_where_its_folder_was_changed(whole: Training, tmp_path: Path) -> None:
    run_segment(segment_in(tmp_path, to_epoch=2))
    (tmp_path / "metrics.jsonl").unlink()
    result = run_segment(segment_in(tmp_path, from_epoch=2))
    assert "build" in result.seconds and "trained from the start" in result.notes[0]
    assert numbers(result) == numbers(whole[1])


def test_killed_while_it_writes_it_goes_on_from_its_last_epoch(whole: Training, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run_segment(segment_in(tmp_path), kill_after(2))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch":2,"seco')
    told: list[float] = []
    result = run_segment(segment_in(tmp_path), lambda metrics: told.append(metrics["epoch"]))
    assert told == [2, 3]
    assert result.notes == ()
    assert numbers(result) == numbers(whole[1])
    assert state(tmp_path) == state(whole[0])
    assert lines(tmp_path) == EPOCHS


def test_killed_between_metrics_and_checkpoint_an_epoch_is_trained_again(
    whole: Training, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(work, "save_checkpoint", kill)
        with pytest.raises(Killed):
            run_segment(segment_in(begun, from_epoch=1, to_epoch=2))
    assert lines(begun) == 2
    assert numbers(run_segment(segment_in(begun, from_epoch=1, to_epoch=2))) == numbers(whole[1])[:2]
    assert lines(begun) == 2


@pytest.mark.parametrize(
    ("file", "reason"), [("checkpoint.npz", r"there is none|Error: "), ("metrics.jsonl", "it is of epoch 1, and metrics are there of 0")]
)
def test_what_cannot_be_resumed_is_trained_from_the_start_and_says_so(file: str, reason: str, whole: Training, begun: Path) -> None:
    content = (begun / file).read_bytes()
    (begun / file).write_bytes(content[: len(content) // 2])
    result = run_segment(segment_in(begun, from_epoch=1, to_epoch=2))
    (note,) = result.notes
    assert note.startswith("the checkpoint could not be used (") and note.endswith("): trained from the start")
    assert numbers(result) == numbers(whole[1])[:2]


def test_a_segment_that_has_ended_is_answered_from_disk(whole: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result = whole
    monkeypatch.setattr(work.Work, "run", lambda *arguments: pytest.fail("trained again"))
    assert run_segment(segment_in(folder)) == result


def test_a_step_over_the_allowed_memory_is_not_trained(tmp_path: Path, asked: list[tuple[Any, ...]]) -> None:
    segment = segment_in(tmp_path, max_memory=1024.0, cost_batch_size=16, phase="inference")
    result = run_segment(segment)
    assert result.status == "over_memory"
    assert result.reason == "memory is 2.00 KiB as measured, above the 1.00 KiB allowed"
    assert (result.measured, result.memory_source) == ({"memory": 2048}, "a test")
    assert (result.epochs, "train" in result.seconds) == ((), False)
    assert run_segment(segment) == result
    assert asked == [((8, 8, 1), 16, "inference")], "once; the second answer is from disk"
    assert run_segment(segment_in(tmp_path, max_memory=1.0)).status == "over_memory"
    assert asked[1:] == [((8, 8, 1), RECIPE.batch_size, "training")], "another question, another answer"


def test_memory_that_runs_out_is_a_result_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "train_epochs", lambda *arguments: iter([keras.ops.sum(keras.ops.ones((2**31, 2**20)))]))
    result = run_segment(segment_in(tmp_path))
    assert result.status == "over_memory"
    assert result.reason.startswith(f"the memory of {result.device} ran out: ")
    assert "Traceback" in (tmp_path / "error.txt").read_text()
    assert not (tmp_path / "result.json").exists(), "another time there may be room"


def test_a_full_disk_is_no_result_and_with_room_the_training_goes_on(whole: Training, begun: Path) -> None:
    files = {path.name: path.read_bytes() for path in begun.iterdir()}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for a line of metrics, and half of a checkpoint.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(files["checkpoint.npz"]) // 2, before[1]))
    try:
        with pytest.raises(DiskFullError, match=r"have room, but there is none \(File too large: .*\); make room, and the same"):
            run_segment(segment_in(begun, from_epoch=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = {path.name: path.read_bytes() for path in begun.iterdir()}
    assert left.pop("metrics.jsonl").startswith(files.pop("metrics.jsonl"))
    assert left == files
    assert numbers(run_segment(segment_in(begun, from_epoch=1))) == numbers(whole[1])
    assert state(begun) == state(whole[0])


def test_a_bug_is_a_result_with_its_traceback_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "recipe_model", lambda *arguments, **settings: 1 / 0)
    result = run_segment(segment_in(tmp_path))
    assert result.status == "failed"
    assert result.reason == f"ZeroDivisionError: division by zero (traceback in {tmp_path / 'error.txt'})"


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(model: Any, recipe: Any, splits: Any, seed: int, epochs: range, *others: Any) -> Any:
        yield from fit.train_epochs(model, recipe, splits, seed, range(2), *others)
        model.get_layer("head").bias.assign(model.get_layer("head").bias * float("nan"))
        yield from fit.train_epochs(model, recipe, splits, seed, range(2, 4), *others)

    monkeypatch.setattr(work, "train_epochs", lose)
    result = run_segment(segment_in(tmp_path))
    assert (result.status, result.reason) == ("failed", "loss became NaN in epoch 3 of 4")
    assert [epoch.epoch for epoch in result.epochs] == [0, 1]
    monkeypatch.setattr(work, "train_epochs", lambda *arguments: pytest.fail("it would again"))
    assert run_segment(segment_in(tmp_path)) == result


def test_mixed_precision_trains(tmp_path: Path) -> None:
    result = run_segment(segment_in(tmp_path, recipe=msgspec.structs.replace(RECIPE, dtype="mixed_bfloat16", epochs=2), to_epoch=2))
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.training.segment.locked_folder", functools.partial(locked_folder, patience=0.1))
    with locked_folder(tmp_path), pytest.raises(LockedError, match="another process of fvsearch works in"):
        run_segment(segment_in(tmp_path))


def test_bad_input_is_an_error_and_no_result(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`batch_size` must be at most the training split's 36 images, but got 64 at recipe"):
        run_segment(segment_in(tmp_path, recipe=msgspec.structs.replace(RECIPE, batch_size=64)))
    too_long = msgspec.structs.replace(RECIPE, warmup_epochs=None, warmup_steps=17)
    with pytest.raises(ConfigError, match="`warmup_steps` must be at most the training's 16 steps, 4 epochs of 4, but got 17 at recipe"):
        run_segment(segment_in(tmp_path / "warm-up", recipe=too_long))
    with pytest.raises(ConfigError, match="from_epoch < to_epoch <= the recipe's epochs, but got from_epoch=2, to_epoch=2, epochs=4"):
        segment_in(tmp_path, from_epoch=2, to_epoch=2)
    with pytest.raises(ConfigError, match="`image_size` must divide by `patch_size`"):
        segment_in(tmp_path, arch=msgspec.structs.replace(ARCH, patch_size=3))


def test_segments_cross_processes() -> None:
    segment = segment_in(Path("anywhere"), max_memory=5.0)
    assert pickle.loads(pickle.dumps(segment)) == segment
    assert pickle.loads(pickle.dumps(run_segment)) is run_segment


def test_a_seed_comes_from_study_arch_and_repeat_alone() -> None:
    seeds = {derive_seed(study, arch, repeat) for study in (0, 1) for arch in ("a", "b") for repeat in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "3f2a", 0) == 324869470, "the same on every machine, for ever"
