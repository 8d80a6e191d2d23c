"""Images on disks: what TensorFlow has made once for all tests, and indexes that no test leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def indexes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept: a folder that is not there yet."""
    folder = tmp_path_factory.mktemp("kept") / "indexes"
    monkeypatch.setenv("FVSEARCH_INDEXES", str(folder))
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that made_by_tensorflow.py fills; processes of tests that run side by side share it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "made-by-tensorflow"
    with filelock.FileLock(shared / "made-by-tensorflow.lock"):
        if not folder.exists():
            folder.mkdir()
            command = [sys.executable, str(HERE / "made_by_tensorflow.py"), str(folder)]
            subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, check=True, capture_output=True)
    return folder
