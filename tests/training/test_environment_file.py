"""What environment.json tells, on machines that are not tidy."""

import sys
from pathlib import Path

import pytest

from fvsearch.training.environment_file import add_start, read_environment


def test_what_an_interrupted_installation_left_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site" / "~orch-2.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    add_start(tmp_path, 0, "fvsearch train run.toml")
    (start,) = read_environment(tmp_path).starts
    assert "msgspec" in start.packages and None not in start.packages
