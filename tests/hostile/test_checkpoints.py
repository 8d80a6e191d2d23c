"""Checkpoints that were damaged or that somebody sent: a state, or a ValueError, which has a training begin from its start."""

import io
import zipfile
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hostility import damaged, fuzzed

from fvsearch.files import MODEST
from fvsearch.training.checkpoint import Checkpoint, read_checkpoint


def checkpoint(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **({"epochs_done": np.int64(3), "variable0": np.ones((4, 4), np.float32)} | arrays))
    return content.getvalue()


def test_what_was_not_damaged_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    path.write_bytes(checkpoint())
    found = read_checkpoint(path)
    assert found is not None and found.epochs_done == 3 and len(found.arrays) == 1


def test_damaged_bytes_are_a_state_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"

    @hypothesis.settings(fuzzed, max_examples=300)
    @hypothesis.given(damaged(checkpoint()))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        try:
            found = read_checkpoint(path)
        except ValueError:
            return
        assert isinstance(found, Checkpoint) and found.epochs_done >= 1

    holds()


@pytest.mark.parametrize("epochs", [0, -1, np.int64(-(2**62)), float("nan"), float("inf"), "three", [1, 2], np.array(["x"], dtype=object)])
def test_epochs_that_are_no_count_are_an_error(epochs: Any, tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    path.write_bytes(checkpoint(epochs_done=epochs))
    with pytest.raises(ValueError, match="Error"):
        read_checkpoint(path)


def test_what_expands_beyond_measure_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("epochs_done.npy", bytes(2 * MODEST))
    with pytest.raises(ValueError, match="must expand to at most 100 times its size"):
        read_checkpoint(path)
