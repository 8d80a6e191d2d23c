"""What TensorBoard reads of a study."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import EPOCHS, STUDY, TRIALS, empty, fill, record, write_metrics

from fvsearch.errors import MissingBackendError
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.search.watching import Progress
from fvsearch.tensorboard import EventWriter, events, searches

needs_tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="the extra tensorboard is not installed")
SEARCHING = Progress(activity="searching", done=1, total=16)
SMALL = (TRIALS[0], TRIALS[11])


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = fill(empty(tmp_path), SMALL)
    monkeypatch.setattr(searches.Ledger, "open", lambda folder: ledger)
    monkeypatch.setattr(ledger, "close", lambda: None)
    return ledger


def running() -> TrialRecord:
    return msgspec.structs.replace(record(TRIALS[11], 1), number=1)


def read(folder: Path) -> Any:
    """As TensorBoard itself reads a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value, abs=1e-6)) for event in read(folder).Scalars(tag)]


def append(path: Path, top1: float) -> None:
    from fvsearch.training.metrics import EpochMetrics, MetricsFile

    file = MetricsFile(path)
    rest = {"loss": 1.0, "top5": 1.0, "train_loss": 1.0, "train_top1": 0.5, "train_top5": 1.0}
    file.append(EpochMetrics(epoch=len(file.read()), seconds=1.0, top1=top1, **rest))


@needs_tensorboard
def test_ended_trials_are_written_at_once_and_running_ones_as_their_epochs_end(ledger: Ledger) -> None:
    writer, runs = EventWriter(ledger.folder), ledger.folder / "tensorboard"
    writer(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert [step for step, _ in curve(runs / "trial0000" / "validation", "top1")] == [1, 2, 3, 4, 5]
    assert curve(runs / "trial0000" / "validation", "top1")[-1] == (EPOCHS, 0.96)
    assert not (runs / "trial0001").exists()
    path = write_metrics(ledger.folder, 1, 0, 0.5, 0.6)
    writer(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert curve(runs / "trial0001" / "validation", "top1") == [(1, 0.5), (2, 0.6)]
    append(path, 0.7)
    writer(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert curve(runs / "trial0001" / "validation", "top1") == [(1, 0.5), (2, 0.6), (3, 0.7)]


@needs_tensorboard
def test_train_and_validation_have_the_same_names_so_that_a_chart_holds_both(ledger: Ledger) -> None:
    write_metrics(ledger.folder, 1, 0, 0.6)
    EventWriter(ledger.folder)(msgspec.structs.replace(SEARCHING, running=(running(),)))
    base = ledger.folder / "tensorboard" / "trial0001"
    assert set(read(base / "train").Tags()["scalars"]) == set(read(base / "validation").Tags()["scalars"]) == {"top1", "top5", "loss"}
    assert (curve(base / "train", "top1"), curve(base / "validation", "top1")) == ([(1, 0.5)], [(1, 0.6)])


@needs_tensorboard
def test_the_arch_is_text_and_its_params_are_hparams(ledger: Ledger) -> None:
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    EventWriter(ledger.folder)(SEARCHING)
    accumulator = read(ledger.folder / "tensorboard" / "trial0000" / "validation")
    (text,) = accumulator.Tensors("arch")
    assert "layout: `B4(17, h48, m96, a3)`" in text.tensor_proto.string_val[0].decode()
    assert accumulator.SummaryMetadata("arch").plugin_data.plugin_name == "text"
    content = accumulator.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    hparams = parse_session_start_info_plugin_data(content).hparams
    assert hparams["stages.0.width"].number_value == 48
    assert hparams["stages.1.pooling"].string_value == "mean"


@needs_tensorboard
@pytest.mark.parametrize("cut", [0, 5, 60, 10_000])
def test_after_a_kill_what_is_missing_is_added_and_nothing_is_written_twice(cut: int, ledger: Ledger) -> None:
    path = write_metrics(ledger.folder, 1, 0, 0.5, 0.6)
    EventWriter(ledger.folder)(msgspec.structs.replace(SEARCHING, running=(running(),)))
    (file,) = (ledger.folder / "tensorboard" / "trial0001" / "validation").iterdir()
    # A kill may have torn the last record, or come before the first.
    file.write_bytes(file.read_bytes()[: -cut or None])
    append(path, 0.7)
    resumed = EventWriter(ledger.folder)
    resumed(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert curve(file.parent, "top1") == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert list(file.parent.iterdir()) == [file]
    before = file.read_bytes()
    EventWriter(ledger.folder)(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert file.read_bytes() == before


@needs_tensorboard
def test_a_trial_that_has_ended_has_the_epochs_of_its_record_and_the_same_beginning(ledger: Ledger) -> None:
    ended = msgspec.structs.replace(record(TRIALS[3], 1), number=1)
    path = write_metrics(ledger.folder, 1, 0)
    writer, folder = EventWriter(ledger.folder), ledger.folder / "tensorboard" / "trial0001" / "validation"
    append(path, ended.repeats[0].epochs[0]["top1"])
    writer(msgspec.structs.replace(SEARCHING, running=(msgspec.structs.replace(ended, state="running", repeats=(), ended=""),)))
    assert len(curve(folder, "top1")) == 1
    writer(msgspec.structs.replace(SEARCHING, ended=ended))
    assert [step for step, _ in curve(folder, "top1")] == [1, 2, 3, 4, 5]
    assert len(list(folder.iterdir())) == 1


@needs_tensorboard
def test_a_training_that_began_anew_replaces_what_it_had_written(ledger: Ledger) -> None:
    path = write_metrics(ledger.folder, 1, 0, 0.5, 0.6)
    writer, folder = EventWriter(ledger.folder), ledger.folder / "tensorboard" / "trial0001" / "validation"
    writer(msgspec.structs.replace(SEARCHING, running=(running(),)))
    path.unlink()
    append(path, 0.55)
    writer(msgspec.structs.replace(SEARCHING, running=(running(),)))
    assert curve(folder, "top1") == [(1, 0.55)]


@needs_tensorboard
def test_repeats_are_runs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = fill(empty(tmp_path, STUDY.with_settings(repeats=2)), TRIALS[:1])
    monkeypatch.setattr(searches.Ledger, "open", lambda folder: ledger)
    monkeypatch.setattr(ledger, "close", lambda: None)
    EventWriter(tmp_path)(SEARCHING)
    found = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "tensorboard").glob("*/*/*"))
    assert found == [f"tensorboard/trial0000/repeat{repeat}/{split}" for repeat in (0, 1) for split in ("train", "validation")]


@needs_tensorboard
def test_the_coordinator_loads_no_tensorflow_for_it(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from ledgers import STUDY, TRIALS, fill
from fvsearch.ledger import Ledger
from fvsearch.tensorboard import EventWriter
from fvsearch.search.watching import Progress
fill(Ledger.create(Path(sys.argv[1]), STUDY), TRIALS[:1])
EventWriter(Path(sys.argv[1]))(Progress(activity="searching", done=1, total=16))
assert list(Path(sys.argv[1]).glob("tensorboard/*/*/*"))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "keras", "jax", "torch"}))
"""
    found = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert found.stdout == "[]\n"


def test_without_the_package_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingBackendError, match=r"TensorBoard logs need the package tensorboard, .* `pip install \"fvsearch\[tensorboard\]\"`"
    ):
        EventWriter(tmp_path)


def test_the_search_does_not_start_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from fvsearch.cli import cli

    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None if name == "tensorboard" else object())
    result = CliRunner().invoke(cli, ["run", "quickstart", "--out", str(tmp_path / "out"), "--tensorboard"])
    assert isinstance(result.exception, MissingBackendError)
    assert not (tmp_path / "out").exists()
