"""Weights that somebody sent: nothing in them is run, and nothing is expanded that is not weights."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hostility import damaged, fuzzed, refused, require_sentence
from trainings import ARCH, RUN

from fvsearch.errors import FvsearchError
from fvsearch.files import MODEST
from fvsearch.records import to_toml
from fvsearch.weights.card import CARD_FILE, MODEL_FILE, ModelCard, read_model
from fvsearch.weights.foreign import Told
from fvsearch.weights.importing import READERS, read_source

CARD = ModelCard(arch=ARCH, image_size=(8, 8), channels=1, num_classes=3, source="stripes")
BOMB = 2 * MODEST
"""Bytes that a bomb says it expands to."""


class Command:
    """Unpickled, it runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def refuses(path: Path, words: str = "") -> None:
    """Importing a file is a sentence."""
    with pytest.raises(FvsearchError) as caught:
        read_source(path, Told())
    require_sentence(caught.value)
    assert words in str(caught.value)


def zipped(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return path


@pytest.mark.parametrize("suffix", sorted(set(READERS) - {".keras"}))
def test_a_pickle_is_not_opened(suffix: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "pwned", tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps(Command(mark)))
    refuses(path)
    assert not mark.exists()


def test_an_npz_of_objects_is_not_opened(tmp_path: Path) -> None:
    mark, path = tmp_path / "pwned", tmp_path / "weights.npz"
    np.savez(path, kernel=np.array([Command(mark)], dtype=object))
    assert pickle.dumps(Command(mark)).split(b"touch")[1][:4] in path.read_bytes(), "the pickle is in it"
    refuses(path, "does not read as an .npz of arrays")
    assert not mark.exists()


def test_pytorchs_file_with_a_command_in_it_is_not_opened(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    mark, path = tmp_path / "pwned", tmp_path / "weights.pt"
    torch.save({"head.weight": torch.zeros(3), "x": Command(mark)}, path)
    refuses(path, "nothing but weights")
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_what_expands_beyond_measure_is_not_expanded(suffix: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / f"weights{suffix}", kernel__npy=bytes(BOMB))
    assert path.stat().st_size < BOMB // 500
    refuses(path, "must expand to at most 100 times its size")


def test_an_array_that_is_longer_than_its_file_is_a_sentence(tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**50},), }}".encode().ljust(117) + b"\n"
    refuses(zipped(tmp_path / "weights.npz", kernel__npy=b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header))


@pytest.mark.parametrize(
    "header",
    [
        {"head.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"head.weight": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}},
        {"head.weight": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}},
        {"head.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"fvsearch": "[" * 10_000}},
        [],
    ],
)
def test_safetensors_whose_header_lies_are_a_sentence(header: Any, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    content = json.dumps(header).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + bytes(8))
    refuses(path)
    path.write_bytes(struct.pack("<Q", 2**60) + content)
    refuses(path)


def model_folder(folder: Path, model: bytes | None = None, **entries: bytes) -> Path:
    folder.mkdir()
    (folder / CARD_FILE).write_text(to_toml(CARD))
    (folder / "run.toml").write_text(to_toml(RUN))
    if model is None:
        zipped(folder / MODEL_FILE, **entries)
    else:
        (folder / MODEL_FILE).write_bytes(model)
    return folder


def lambda_model(path: Path) -> None:
    """A model with Python bytecode in its config."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(path)


@pytest.mark.parametrize("command", ["evaluate", "convert"])
def test_a_model_with_code_in_it_is_not_loaded(command: str, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "sent", model=b"")
    lambda_model(folder / MODEL_FILE)
    with pytest.raises(FvsearchError, match="does not load"):
        read_model(folder)
    before = sorted(folder.iterdir())
    options = ("--to", "timm") if command == "convert" else ()
    refused(command, folder, *options)
    assert sorted(folder.iterdir()) == before


def test_a_config_that_names_a_function_is_not_followed(tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    config = {"module": "os", "class_name": "system", "config": {"command": f"touch {mark}"}, "registered_name": "system"}
    folder = model_folder(tmp_path / "sent", config__json=json.dumps(config).encode(), metadata__json=b"{}", model__weights__h5=b"")
    with pytest.raises(FvsearchError) as caught:
        read_model(folder)
    require_sentence(caught.value)
    assert not mark.exists()


def test_a_model_that_expands_beyond_measure_is_not_expanded(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "sent", config__json=bytes(BOMB), metadata__json=b"{}")
    with pytest.raises(FvsearchError, match="must expand to at most 100 times its size"):
        read_model(folder)
    bomb = zipped(tmp_path / "bomb.keras", config__json=bytes(BOMB))
    refuses(bomb, "must expand to at most 100 times its size")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".keras"])
def test_damaged_weights_are_weights_or_a_sentence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    arrays = {"embedding/kernel": np.ones((4, 4, 3, 8), np.float32), "cls": np.zeros((1, 1, 8), np.float32)}
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy").save_file(arrays, path)
    else:
        zipped(path, config__json=json.dumps({"class_name": "x", "registered_name": "y"}).encode(), metadata__json=b"{}")
    whole = path.read_bytes()

    @hypothesis.settings(fuzzed, max_examples=100)
    @hypothesis.given(damaged(whole))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        refuses(path)

    holds()
