"""Tests of images on disks keep their indexes to themselves."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept: an empty folder."""
    folder = tmp_path / "indexes"
    monkeypatch.setenv("FVSEARCH_INDEXES", str(folder))
    return folder
