"""`fvsearch measure`, as its user meets it, on the backend at hand."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fvsearch.meters.lock import device_lock

BACKEND = os.environ["KERAS_BACKEND"]
TINY = ["--image-size", "8", "--patch-size", "2", "--channels", "1", "--classes", "10", "--seconds", "0.1"]
SMALL, LARGE = "B1(17, h16, m32, a2)", "B2(17, h64, m128, a4)"


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """The command, with a temporary folder of its own: locks of other tests' measurements are elsewhere."""
    code = "from fvsearch.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "measure", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
    )


@pytest.mark.every_backend
def test_measure_prints_one_json_document_and_says_what_it_does_elsewhere(tmp_path: Path) -> None:
    output, said = (process := start(SMALL, "--against", LARGE, *TINY, "--json", folder=tmp_path)).communicate(timeout=200)
    assert process.returncode == 0, said
    document = json.loads(output)
    assert document["backend"] == BACKEND
    assert BACKEND in document["versions"]
    assert list(document["phases"]) == ["training", "inference"]
    for phase, found in document["phases"].items():
        assert found["ratio"]["memory"]["measured"] < 1
        assert 0 < found["ratio"]["throughput"]["low"] <= found["ratio"]["throughput"]["median"]
        assert f"compiling {LARGE}, {phase}" in said
    assert "starting the backend" in said


def test_who_measures_at_the_same_time_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    arguments = [SMALL, *TINY, "--phase", "inference", "--backend", "jax"]
    with device_lock("cpu"), start(*arguments, folder=tmp_path) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "waiting" in line)
        assert said == f"waiting for process {os.getpid()}, which measures on this device\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_ctrl_c_ends_it_at_once_with_130(tmp_path: Path) -> None:
    with start(LARGE, *TINY, folder=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "compiling" in line:
                process.send_signal(signal.SIGINT)
                break
        output, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped before the measurement was done; nothing of it is kept"
    assert "Traceback" not in said
    assert output == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["B6(196)"], "the first stage must hold 197 tokens"),
        (["vit-b16", "--against", "vit-b17"], "no arch 'vit-b17'"),
        (["vit-b16", "--dtype", "float16"], "`dtype` must be one of"),
        (["vit-b16", "--backend", "jaxx"], "the backend must be one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_before_a_backend_starts(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    output, said = (process := start(*arguments, folder=tmp_path)).communicate(timeout=60)
    assert process.returncode == 2
    assert said.startswith("error: ")
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert output == ""
