"""`fvsearch calibrate`, and `fvsearch run` by what it keeps, as their user meets them, on the backend at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from calibrated import calibration

from fvsearch.costs.conditions import Conditions
from fvsearch.library import load_study
from fvsearch.records import to_toml
from fvsearch.testing import tiny_study

BACKEND = os.environ["KERAS_BACKEND"]


def fvsearch(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command, with temporary and cache folders of its own."""
    code = "from fvsearch.cli import main; main()"
    environment = os.environ | {"TMPDIR": str(folder), "FVSEARCH_CALIBRATIONS": str(folder / "kept")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=folder, env=environment, timeout=220
    )


@pytest.mark.every_backend
def test_a_study_is_calibrated_and_then_searched_by_it(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(to_toml(tiny_study(trials=2)), encoding="utf-8")
    made = fvsearch("calibrate", "study.toml", "--archs", "5", "--seconds", "0.01", "--json", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert document["calibration"]["conditions"]["backend"] == BACKEND
    assert len(document["calibration"]["sample"]) == 5
    assert "of 5 archs: compiling" in made.stderr
    searched = fvsearch("run", "study.toml", "--workers", "1", folder=tmp_path)
    assert searched.returncode == 0, searched.stderr
    assert f"predictions: calibrated {document['calibration']['made'][:10]}" in searched.stderr
    status = json.loads(fvsearch("status", "runs/tiny", "--json", folder=tmp_path).stdout)
    assert status["counts"]["running"] == 0
    assert document["path"] in status["predictions"]
    refused = fvsearch("run", "study.toml", "--calibration", document["path"], "--set", "recipe.dropout=0.5", "--out", "x", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the calibration ")
    assert "dropout 0.0 there, 0.5 here" in refused.stderr


def test_a_space_or_a_wrong_setting_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('name = "s"\nstages = [{ depth = 1, width = 64, mlp_dim = 64 }]\n', encoding="utf-8")
    for arguments, sentence in (
        (["space.toml"], "space.toml is a space, and a study is wanted"),
        (["quickstart", "--set", "recipe.batch=3"], "unknown key `batch`"),
        (["quickstart", "--archs", "3"], "3 is not in the range x>=5"),
    ):
        run = fvsearch("calibrate", *arguments, folder=tmp_path)
        assert run.returncode == 2
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr


def test_a_dry_run_looks_at_the_calibration_that_it_is_given(tmp_path: Path) -> None:
    study = load_study("quickstart")
    found = calibration(study, conditions=Conditions.of(study, BACKEND))
    (tmp_path / "fits.json").write_bytes(msgspec.json.encode(found))
    other = msgspec.structs.replace(found, conditions=msgspec.structs.replace(found.conditions, batch_size=7))
    (tmp_path / "other.json").write_bytes(msgspec.json.encode(other))
    for file, sentence in (
        ("fits.json", ""),
        ("other.json", "batch_size 7 there, 64 here"),
        ("missing.json", "cannot read the calibration"),
    ):
        run = fvsearch("run", "quickstart", "--dry-run", "--calibration", file, folder=tmp_path)
        assert run.returncode == (2 if sentence else 0), run.stderr
        assert sentence in run.stderr
