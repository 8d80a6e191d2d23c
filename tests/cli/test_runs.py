"""`fvsearch train`, `finetune` and `evaluate` as their user meets them: killed for real, gone on with, and what they refuse."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from commands import fvsearch, start, wait_until
from test_finetuning import CARD, folder_of
from trainings import EXAMPLES, RECIPE, RUN

from fvsearch.cli import cli
from fvsearch.records import from_toml, to_toml
from fvsearch.study import Data
from fvsearch.training.best import best_epoch
from fvsearch.training.metrics import MetricsFile
from fvsearch.training.run import Run

EPOCHS = 24
LONG = msgspec.structs.replace(RUN, recipe=msgspec.structs.replace(RECIPE, epochs=EPOCHS))
SHAPES = Data(source="shapes", image_size=8, channels=1, num_classes=3, options={"samples": 60, "difficulty": 0.1})


def lines(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def told(folder: Path) -> list[dict[str, float]]:
    """All metrics of all epochs but the time they took."""
    return [json.loads(line) | {"seconds": 0} for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path, name: str) -> list[bytes]:
    """What a checkpoint or a model file holds, bit for bit."""
    if name.endswith(".npz"):
        with np.load(folder / name) as content:
            return [content[key].tobytes() for key in content.files]
    import h5py

    shutil.unpack_archive(folder / name, folder / "unpacked", "zip")
    found: list[bytes] = []
    with h5py.File(folder / "unpacked" / "model.weights.h5") as file:
        file.visititems(lambda path, item: found.append(path.encode() + item[()].tobytes()) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a run of stripes, and the module that reads them."""
    shutil.copy(EXAMPLES / "user_data.py", tmp_path)
    (tmp_path / "run.toml").write_text(to_toml(LONG), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.every_backend
def test_kill_9_at_any_epoch_and_the_run_ends_bit_for_bit_where_an_unbroken_one_ends(here: Path) -> None:
    unbroken = start("train", "run.toml", "--out", "unbroken", cwd=here)
    after = random.randint(1, EPOCHS // 2)
    process = start("train", "run.toml", "--out", "killed", cwd=here)
    assert wait_until(lambda: lines(here / "killed") >= after, 120)
    process.kill()
    process.communicate()
    done = lines(here / "killed")
    assert done < EPOCHS, f"killed after epoch {done}, asked for at {after}"
    assert not (here / "killed" / "model.keras").exists()
    end = fvsearch("train", "killed", cwd=here)
    assert end.returncode == 0, end.stderr
    output, _ = unbroken.communicate(timeout=200)
    assert unbroken.returncode == 0, output
    one, other = here / "unbroken", here / "killed"
    assert told(other) == told(one), f"killed after epoch {done}"
    assert (other / "test.json").read_bytes() == (one / "test.json").read_bytes()
    for name in ("model.keras", "checkpoint.npz", "best.npz"):
        assert weights(other, name) == weights(one, name), f"{name}, killed after epoch {done}"
    with np.load(other / "best.npz") as content:
        assert content["epochs_done"] == best_epoch(MetricsFile(other / "metrics.jsonl").read()).epoch + 1
    assert (other / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_is_fine_tuned_as_a_funnel_at_a_higher_resolution_and_evaluated(tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, data=SHAPES, recipe=msgspec.structs.replace(RECIPE, epochs=2))
    (tmp_path / "vit.toml").write_text(to_toml(run), encoding="utf-8")
    trained = fvsearch("train", "vit.toml", "--tensorboard", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "curves:     runs/stripes/curves.png" in trained.stdout
    assert list((tmp_path / "runs" / "stripes" / "tensorboard" / "validation").iterdir())
    layout = "B1(17, h16, m16, a2)-1(9, h16, m16, a2)"
    options = ("--arch", layout, "--image-size", "16", "--epochs", "1", "--keep", "best")
    tuned = fvsearch("finetune", "runs/stripes", *options, cwd=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    assert "note:       weights from runs/stripes: " in tuned.stdout
    assert "positions resized from 2x2 to 4x4" in tuned.stdout
    folder = tmp_path / "runs" / "stripes-finetuned-as-B1-17-h16-m16-a2-1-9-h16-m16-a2-16"
    kept = from_toml(folder / "run.toml", Run)
    assert (kept.start, kept.keep, kept.data.image_size, len(kept.arch.stages)) == ("runs/stripes", "best", 16, 2)
    evaluated = CliRunner().invoke(cli, ["evaluate", str(folder), "--split", "test"])
    assert evaluated.exit_code == 0, evaluated.output
    score = json.loads((folder / "test.json").read_text())
    assert f"test: top-1 {score['top1']:.2%}" in evaluated.stdout
    assert "the test split was read again, as you asked" in evaluated.stdout
    document = json.loads(CliRunner().invoke(cli, ["evaluate", str(folder), "--json"]).stdout)
    assert (document["split"], document["images"]) == ("validation", 12)
    assert document["top1"] == pytest.approx(best_epoch(MetricsFile(folder / "metrics.jsonl").read()).top1)
    assert set(json.loads((folder / "evaluation.json").read_text())) == {"validation", "test"}


def refused(*arguments: str, cwd: Path) -> str:
    """The one sentence of a command that does not begin."""
    run: subprocess.CompletedProcess[str] = fvsearch(*arguments, cwd=cwd)
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stderr.startswith("error: ") and len(run.stderr.splitlines()) == 1
    return run.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["finetune", "nothing"], "no folder nothing; give one that"),
        (["evaluate", "nothing"], "no folder nothing; give one that"),
        (["train", "empty"], "cannot read empty/run.toml"),
        (["evaluate", "empty"], "a model's folder must hold model.keras and model.toml"),
        (["finetune", "digits", "--image-size", "16"], "the data source 'digits' has image_size=8, channels=1, num_classes=10, but got"),
        (["finetune", "digits", "--image-size", "9"], "`image_size` must divide by `patch_size`"),
        (["finetune", "digits", "--set", "recipe.epoch=3"], "unknown key `epoch` (did you mean 'epochs'?)"),
        (["evaluate", "digits", "--set", "data.seeds=3"], "unknown key `seeds` (did you mean 'seed'?)"),
        (["evaluate", "digits", "--backend", "jaxx"], "the backend must be one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_before_anything_begins(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    data = Data(source="digits", image_size=8, channels=1, num_classes=10)
    folder_of(tmp_path / "digits", msgspec.structs.replace(RUN, data=data), msgspec.structs.replace(CARD, num_classes=10))
    assert sentence in refused(*arguments, cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "digits"}
