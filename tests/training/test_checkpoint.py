"""Checkpoints: the whole state and nothing but; broken ones are told from good ones."""

from pathlib import Path

import keras
import numpy as np
import pytest
from trainings import RECIPE, segment_in

from fvsearch.training.checkpoint import read_checkpoint, save_checkpoint
from fvsearch.training.fit import compile_model
from fvsearch.training.work import bare_model


def compiled(folder: Path, seed: int) -> keras.Model:
    model = bare_model(segment_in(folder, seed=seed))
    compile_model(model, RECIPE, 4)
    return model


def state(model: keras.Model) -> list[bytes]:
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable).tobytes() for variable in variables]


def test_a_checkpoint_brings_back_weights_seeds_and_moments(tmp_path: Path) -> None:
    one, other = compiled(tmp_path, seed=1), compiled(tmp_path, seed=2)
    images = np.zeros((8, 8, 8, 1), "float32")
    one.train_on_batch(images, np.arange(8) % 3)
    assert any("seed_generator" in variable.path for variable in one.variables)
    save_checkpoint(tmp_path / "checkpoint.npz", one, 3)
    assert state(one) != state(other)
    checkpoint = read_checkpoint(tmp_path / "checkpoint.npz")
    checkpoint.restore(other)
    assert checkpoint.epochs_done == 3
    assert state(one) == state(other)
    assert not list(tmp_path.glob(".*"))


def test_every_byte_that_is_lost_or_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    assert read_checkpoint(path) is None
    save_checkpoint(path, compiled(tmp_path, seed=1), 1)
    content = path.read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"Error|BadZipFile"):
            read_checkpoint(path)
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_model_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = compiled(tmp_path, seed=1)
    before = state(model)
    np.savez(tmp_path / "checkpoint.npz", epochs_done=1, variable0=np.zeros(3, "float32"))
    with pytest.raises(ValueError, match="it holds 1 variables that are not the model's"):
        read_checkpoint(tmp_path / "checkpoint.npz").restore(model)
    assert state(model) == before
