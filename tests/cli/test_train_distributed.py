"""`fvsearch train --distribute`, as its user meets it: what cannot be is one sentence, before anything is trained or written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributed import RUN

from fvsearch.records import to_toml


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--devices", "2"], "--devices needs --distribute, but got --devices 2 alone; add --distribute data"),
        (
            ["--distribute", "data", "--devices", "3"],
            "`batch_size` must divide by the devices that share each batch, but got 64 for 3",
        ),
        (["--distribute", "model", "--backend", "torch"], "a model is shared among devices on jax alone, but the backend is torch"),
    ],
)
def test_what_cannot_be_distributed_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(to_toml(RUN))
    code = "from fvsearch.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "run.toml", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, timeout=60)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {sentence}") and run.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]
