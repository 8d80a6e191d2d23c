"""What TensorBoard reads of a run."""

import importlib.util
from pathlib import Path

import pytest
from test_tensorboard import curve, read
from trainings import RUN

from fvsearch.tensorboard import RunEventWriter, events
from fvsearch.training.environment_file import ENVIRONMENT_FILE
from fvsearch.training.metrics import EpochMetrics, MetricsFile

needs_tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="the extra tensorboard is not installed")


def append(folder: Path, top1: float) -> dict[str, float]:
    file = MetricsFile(folder / "metrics.jsonl")
    rest = {"loss": 1.0, "top5": 1.0, "train_loss": 1.0, "train_top1": top1 / 2, "train_top5": 1.0, "learning_rate": 0.25}
    file.append(EpochMetrics(epoch=len(file.read()), seconds=1.0, top1=top1, **rest))
    return {}


@needs_tensorboard
def test_epochs_are_written_as_they_end_with_what_was_there_before(tmp_path: Path) -> None:
    append(tmp_path, 0.5)
    writer, found = RunEventWriter(RUN, tmp_path), tmp_path / "tensorboard"
    writer(append(tmp_path, 0.75))
    assert curve(found / "validation", "top1") == [(1, 0.5), (2, 0.75)]
    assert curve(found / "train", "top1") == [(1, 0.25), (2, 0.375)]
    assert curve(found / "validation", "learning_rate") == [(1, 0.25), (2, 0.25)]
    assert set(read(found / "train").Tags()["scalars"]) == {"loss", "top1", "top5"}
    append(tmp_path, 1.0)
    RunEventWriter(RUN, tmp_path).write()
    assert curve(found / "validation", "top1") == [(1, 0.5), (2, 0.75), (3, 1.0)]
    assert len(list((found / "validation").iterdir())) == 1


@needs_tensorboard
def test_a_run_tells_its_arch_and_its_recipe(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    (tmp_path / ENVIRONMENT_FILE).write_text("{}")
    append(tmp_path, 0.5)
    RunEventWriter(RUN, tmp_path).write()
    accumulator = read(tmp_path / "tensorboard" / "validation")
    (text,) = accumulator.Tensors("arch")
    assert "layout: `B1(5, h16, m16, a2)`" in text.tensor_proto.string_val[0].decode()
    content = accumulator.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    hparams = parse_session_start_info_plugin_data(content).hparams
    assert hparams["recipe.learning_rate"].number_value == 0.01
    assert hparams["recipe.optimizer"].string_value == "adamw"


@needs_tensorboard
def test_before_the_first_epoch_nothing_is_written(tmp_path: Path) -> None:
    RunEventWriter(RUN, tmp_path / "none").write()
    assert not (tmp_path / "none").exists()


def test_the_training_does_not_start_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from fvsearch.cli import cli
    from fvsearch.errors import MissingBackendError
    from fvsearch.records import to_toml

    (tmp_path / "run.toml").write_text(to_toml(RUN))
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None if name == "tensorboard" else object())
    result = CliRunner().invoke(cli, ["train", str(tmp_path / "run.toml"), "--out", str(tmp_path / "out"), "--tensorboard"])
    assert isinstance(result.exception, MissingBackendError)
    assert not (tmp_path / "out").exists()
