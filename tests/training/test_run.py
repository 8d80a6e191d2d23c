"""A run from TOML to model.keras and a score of the test split, read once."""

import shutil
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from trainings import ARCH, DATA, EPOCHS, EXAMPLES, RECIPE, RUN

from fvsearch.data import load, load_test
from fvsearch.errors import ConfigError, RunError, TrainingError
from fvsearch.library import load_recipe
from fvsearch.records import from_toml, to_toml
from fvsearch.study import Data
from fvsearch.training import finish, work
from fvsearch.training.checkpoint import read_checkpoint
from fvsearch.training.environment_file import read_environment
from fvsearch.training.metrics import MetricsFile
from fvsearch.training.run import Run, RunSummary, load_run, train_run
from fvsearch.weights.card import read_card


@pytest.fixture(scope="module")
def reads() -> list[bool]:
    """One entry for each time the test split was read: whether the model was on disk then, and no score."""
    return []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, reads: list[bool]) -> tuple[Path, RunSummary]:
    folder = tmp_path_factory.mktemp("trained") / "run"

    def read(data: Data) -> Any:
        reads.append((folder / "model.keras").exists() and not (folder / "test.json").exists())
        return load_test(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        patch.setattr(finish, "load_test", read)
        return folder, train_run(RUN, folder)


def test_a_run_is_a_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(to_toml(RUN))
    assert from_toml(path, Run) == RUN
    with pytest.raises(ConfigError, match="`name` must be letters"):
        msgspec.structs.replace(RUN, name="a/b").__post_init__()


def test_a_run_may_name_its_recipe_and_is_written_with_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    resolved = to_toml(RUN)
    table = resolved[resolved.index("[recipe]") : resolved.index("[evidence]")]
    path.write_text('recipe = "vit-finetune"\n' + resolved.replace(table, ""))
    assert load_run(path) == msgspec.structs.replace(RUN, recipe=load_recipe("vit-finetune"))
    path.write_text(resolved.replace(table, '[recipe]\nbase = "vit-finetune"\nepochs = 2\n\n'))
    run = load_run(path)
    assert run.recipe == msgspec.structs.replace(load_recipe("vit-finetune"), epochs=2)
    path.write_text(to_toml(run))
    assert from_toml(path, Run) == load_run(path) == run
    path.write_text('recipe = "vit-finetun"\n' + resolved.replace(table, ""))
    with pytest.raises(ConfigError, match=r"no recipe 'vit-finetun' \(did you mean 'vit-finetune'\?\); .* at recipe in .*run\.toml"):
        load_run(path)


def test_a_run_may_give_a_layout(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    resolved = to_toml(RUN)
    rest = resolved.replace(resolved[resolved.index("[arch]") : resolved.index("[data]")], "")
    path.write_text('arch = "B1(5, h16, m16, a2)"\npatch_size = 4\n' + rest)
    assert load_run(path) == RUN
    path.write_text('arch = "B1(5, h16, m16, a2)"\n' + rest)
    with pytest.raises(ConfigError, match=r"a layout needs one `patch_size` .* at arch in .*run\.toml"):
        load_run(path)


def test_the_model_on_disk_holds_the_average_by_which_it_was_judged(tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, recipe=msgspec.structs.replace(RECIPE, epochs=2, ema=0.9, label_smoothing=0.2))
    summary = train_run(run, tmp_path)
    model = keras.saving.load_model(tmp_path / "model.keras")
    validation = load(DATA).validation
    logits = keras.ops.convert_to_numpy(model(validation.images)).astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert summary.last.loss == pytest.approx(-np.log(shares[np.arange(len(shares)), validation.labels]).mean(), rel=1e-5)
    assert summary.last.top1 == pytest.approx((logits.argmax(axis=1) == validation.labels).mean())
    trained_on = read_checkpoint(tmp_path / "checkpoint.npz").arrays[0]
    assert np.abs(keras.ops.convert_to_numpy(model.trainable_variables[0]) - trained_on).max() > 1e-4


def test_the_model_on_disk_has_the_score_that_is_told(trained: tuple[Path, RunSummary]) -> None:
    folder, summary = trained
    assert (summary.name, summary.model) == ("stripes", str(folder / "model.keras"))
    assert summary.last.epoch == EPOCHS - 1
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == EPOCHS
    test = load(DATA).test
    model = keras.saving.load_model(folder / "model.keras")
    logits = keras.ops.convert_to_numpy(model(test.images))
    assert summary.test.images == 12
    assert summary.test.top1 == pytest.approx((logits.argmax(axis=1) == test.labels).mean())
    validation = load(DATA).validation
    logits = keras.ops.convert_to_numpy(model(validation.images))
    assert summary.last.top1 == pytest.approx((logits.argmax(axis=1) == validation.labels).mean())


def test_no_draft_is_left(trained: tuple[Path, RunSummary]) -> None:
    names = {path.name for path in trained[0].iterdir()} - {".lock"}
    state = {"training.json", "metrics.jsonl", "checkpoint.npz", "result.json"}
    assert names == state | {"run.toml", "environment.json", "best.npz", "curves.png", "model.keras", "model.toml", "test.json"}


def test_the_folder_tells_what_was_trained_and_where(trained: tuple[Path, RunSummary]) -> None:
    folder, summary = trained
    assert from_toml(folder / "run.toml", Run) == RUN
    assert f"`fvsearch train {folder}` goes on with it" in (folder / "run.toml").read_text()
    card = read_card(folder)
    assert (card.arch, card.image_shape, card.num_classes, card.source) == (ARCH, (8, 8, 1), 3, "stripes")
    assert card.evidence["validation"]["top1"] == summary.last.top1
    assert (card.evidence["epoch"], card.evidence["keep"]) == (EPOCHS - 1, "last")
    (start,) = read_environment(folder).starts
    assert (start.from_epoch, start.backend, start.device) == (0, keras.backend.backend(), summary.device)
    assert start.packages["keras"] == keras.__version__ and start.packages["numpy"] == np.__version__
    assert start.command and start.python and start.cores >= 1


def test_the_learning_rate_is_told_of_each_epoch(trained: tuple[Path, RunSummary]) -> None:
    rates = [epoch.learning_rate for epoch in MetricsFile(trained[0] / "metrics.jsonl").read()]
    # Warm-up is over after one epoch; then a cosine over three.
    assert rates == pytest.approx([0.01, 0.0075, 0.0025, 0.0], abs=1e-8)


@pytest.mark.parametrize("lost", ["model.toml", "test.json"])
def test_killed_at_the_end_it_is_finished(lost: str, trained: tuple[Path, RunSummary], tmp_path: Path) -> None:
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    before = {name: (folder / name).read_bytes() for name in ("model.toml", "test.json")}
    (folder / lost).unlink()
    train_run(RUN, folder)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_run_that_has_ended_is_not_begun_anew_on_another_backend(trained: tuple[Path, RunSummary], tmp_path: Path) -> None:
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    told = (folder / "training.json").read_text()
    backend = keras.backend.backend()
    (folder / "training.json").write_text(told.replace(f'"{backend}"', '"another"'))
    with pytest.raises(ConfigError, match=rf"has ended on another and would begin anew on {backend}; give another folder, or --backend"):
        train_run(RUN, folder)
    assert (folder / "metrics.jsonl").exists()


def test_the_test_split_is_read_once_after_the_model_is_written(
    trained: tuple[Path, RunSummary], reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, summary = trained
    assert reads == [True]
    before = (folder / "model.keras").stat().st_mtime_ns
    monkeypatch.setattr(finish, "load_test", lambda data: pytest.fail("read again"))
    assert train_run(RUN, folder) == summary
    assert (folder / "model.keras").stat().st_mtime_ns == before


def test_interrupted_it_goes_on_from_its_last_epoch(trained: tuple[Path, RunSummary], tmp_path: Path) -> None:
    def interrupt(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(RUN, tmp_path, interrupt)
    told: list[float] = []
    summary = train_run(RUN, tmp_path, lambda metrics: told.append(metrics["epoch"]))
    assert told == [2, 3]
    assert [start.from_epoch for start in read_environment(tmp_path).starts] == [0, 2]
    assert summary.test == trained[1].test
    for one, other in zip(
        keras.saving.load_model(tmp_path / "model.keras").weights, keras.saving.load_model(trained[0] / "model.keras").weights, strict=True
    ):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


def test_without_a_test_split_there_is_no_score(tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, data=msgspec.structs.replace(DATA, test=0.0), recipe=msgspec.structs.replace(RECIPE, epochs=1))
    assert train_run(run, tmp_path).test is None
    assert (tmp_path / "test.json").read_text() == "null"


def test_a_training_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "train_epochs", lambda *arguments: (_ for _ in ()).throw(TrainingError("loss became NaN in epoch 1 of 4")))
    with pytest.raises(TrainingError, match="stripes: loss became NaN in epoch 1 of 4"):
        train_run(RUN, tmp_path / "wild")
    monkeypatch.setattr(work, "train_epochs", lambda *arguments: (_ for _ in ()).throw(MemoryError("no room")))
    with pytest.raises(RunError, match=r"the memory of .* ran out: no room; a smaller recipe.batch_size needs less"):
        train_run(RUN, tmp_path / "large")
    assert not list(tmp_path.glob("*/model.keras"))


def test_a_source_that_is_none_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, data=msgspec.structs.replace(DATA, source="user_data:strips"))
    with pytest.raises(ConfigError, match="did you mean 'stripes'"):
        train_run(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()
