"""The weights in a `.keras` file that somebody sent: numbers that fill the file, of the model that is there, or a sentence."""

import io
import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import numpy as np
import pytest
from hostility import damaged, fuzzed, refused, require_sentence
from trainings import ARCH, EXAMPLES, RUN

from fvsearch.errors import FvsearchError
from fvsearch.models import build_model
from fvsearch.records import to_toml
from fvsearch.weights.archive import CONFIG_FILE, WEIGHTS_FILE, require_filled
from fvsearch.weights.card import CARD_FILE, MODEL_FILE, ModelCard, read_model, write_model
from fvsearch.weights.source import Source

CARD = ModelCard(arch=ARCH, image_size=(8, 8), channels=1, num_classes=3, source="stripes")
KERNEL = "layers/attention_block/query/vars/0"
SHAPE = (16, 16)
MOST_MEMORY = 2**28
"""Bytes by which refusing a file may make a process grow."""

Spoil = Callable[[h5py.File], object]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a model's file holds, by name."""
    folder = tmp_path_factory.mktemp("whole")
    write_model(folder, build_model(ARCH, image_shape=(8, 8, 1), num_classes=3, seed=0), CARD)
    with zipfile.ZipFile(folder / MODEL_FILE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sent(folder: Path, entries: dict[str, bytes], **changed: bytes) -> Path:
    """A model's folder as somebody may send it."""
    folder.mkdir(exist_ok=True)
    (folder / CARD_FILE).write_text(to_toml(CARD))
    (folder / "run.toml").write_text(to_toml(RUN))
    with zipfile.ZipFile(folder / MODEL_FILE, "w") as archive:
        for name, content in (entries | {name.replace("__", "."): content for name, content in changed.items()}).items():
            archive.writestr(name, content)
    return folder


def spoilt(entries: dict[str, bytes], spoil: Spoil) -> bytes:
    content = io.BytesIO(entries[WEIGHTS_FILE])
    with h5py.File(content, "r+") as file:
        spoil(file)
    return content.getvalue()


def other(make: Callable[[h5py.File], object]) -> Spoil:
    """Something else in a kernel's place."""

    def spoil(file: h5py.File) -> None:
        del file[KERNEL]
        make(file)

    return spoil


def array(**settings: Any) -> Spoil:
    return other(lambda file: file.create_dataset(KERNEL, **settings))


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=SHAPE, dtype="f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape=SHAPE)
    file.create_virtual_dataset(KERNEL, layout)


def refuses(folder: Path, words: str = "") -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(FvsearchError) as caught:
        read_model(folder)
    require_sentence(caught.value)
    assert words in str(caught.value) and str(folder) in str(caught.value), caught.value
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_was_not_spoilt_is_read(entries: dict[str, bytes], tmp_path: Path) -> None:
    card, model = read_model(sent(tmp_path / "sent", entries))
    assert card == CARD and model.count_params() > 1000


NO_WEIGHTS: dict[str, tuple[Spoil, str]] = {
    "a link to another file": (other(lambda file: file.__setitem__(KERNEL, h5py.ExternalLink("/etc/passwd", "x"))), "ExternalLink"),
    "a link to itself": (other(lambda file: file.__setitem__(KERNEL, h5py.SoftLink(f"/{KERNEL}"))), "SoftLink"),
    "another file's bytes": (array(shape=SHAPE, dtype="f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]), "external Dataset"),
    "another file's arrays": (other(virtual), "virtual Dataset"),
    "another shape": (array(data=np.zeros((3, 3, 3), np.float32)), "does not load"),
    "texts": (array(data=np.full(SHAPE, "x", h5py.string_dtype())), "weights must be numbers"),
    "complex numbers": (array(data=np.ones(SHAPE, np.complex64)), "weights must be numbers"),
    "references": (other(lambda file: file.create_dataset(KERNEL, data=np.full(SHAPE, file.ref, h5py.ref_dtype))), "must be numbers"),
    "nothing": (array(data=h5py.Empty("f4")), "does not load"),
    "a group": (other(lambda file: file.create_group(KERNEL)), "does not load"),
    "not there": (other(lambda file: None), "expected 2 variables, but received 1"),
    "NaN": (array(data=np.full(SHAPE, np.nan, np.float32)), "finite numbers, but `stage0_block0_attention/query/kernel`"),
    "infinity": (array(data=np.full(SHAPE, -np.inf, np.float32)), "must be finite numbers"),
    "4 GiB of zeros, compressed": (array(shape=(2**30,), dtype="f4", chunks=(2**20,), compression="gzip"), "4 times its size"),
    "4 TiB that were never written": (array(shape=(2**20, 2**20), dtype="f4"), "4 times its size"),
    "more axes than numbers": (array(shape=(2**31,) * 8, dtype="f8", chunks=(1,) * 8), "4 times its size"),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
def test_weights_that_are_none_are_a_sentence(kind: str, entries: dict[str, bytes], tmp_path: Path) -> None:
    spoil, words = NO_WEIGHTS[kind]
    folder = sent(tmp_path / "sent", entries, model__weights__h5=spoilt(entries, spoil))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    refuses(folder, words)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_MEMORY


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file["layers"].__setitem__("again", file["layers"]),
        lambda file: file["layers"].create_dataset("beside/vars/0", data=np.zeros(5, np.float32)),
        array(data=np.ones(SHAPE, np.float64)),
    ],
    ids=["a group in itself", "an array beside", "another width of floats"],
)
def test_what_is_only_odd_is_read(spoil: Spoil, entries: dict[str, bytes], tmp_path: Path) -> None:
    card, _ = read_model(sent(tmp_path / "sent", entries, model__weights__h5=spoilt(entries, spoil)))
    assert card == CARD


@pytest.mark.parametrize("key", ["units", "filters", "mlp_dim", "num_heads", "batch_shape", "grid"])
def test_a_layer_larger_than_all_weights_is_not_built(key: str, entries: dict[str, bytes], tmp_path: Path) -> None:
    config = json.loads(entries[CONFIG_FILE])
    layer = next(layer["config"] for layer in config["config"]["layers"] if key in layer["config"])
    layer[key] = [None, 10**8, 10**8, 1] if key == "batch_shape" else [10**8] * 2 if key == "grid" else 10**8
    refuses(sent(tmp_path / "sent", entries, config__json=json.dumps(config).encode()), "100,000,000")


def test_how_a_model_was_trained_is_no_size_of_it(entries: dict[str, bytes], tmp_path: Path) -> None:
    config = json.loads(entries[CONFIG_FILE])
    config["compile_config"] = {"optimizer": {"config": {"learning_rate": {"config": {"decay_steps": 187_000}}}}}
    card, _ = read_model(sent(tmp_path / "sent", entries, config__json=json.dumps(config).encode()))
    assert card == CARD


@pytest.mark.parametrize("command", ["evaluate", "convert"])
def test_a_command_refuses_what_a_folder_lies_of(
    command: str, entries: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES)
    content = spoilt(entries, NO_WEIGHTS["NaN"][0])
    folder = sent(tmp_path / "sent", entries, model__weights__h5=content)
    before = sorted(folder.iterdir())
    assert "must be finite numbers" in refused(command, folder, *(("--to", "timm") if command == "convert" else ()))
    assert sorted(folder.iterdir()) == before


def test_damaged_weights_are_read_or_a_sentence(entries: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "sent"

    @hypothesis.settings(fuzzed, max_examples=60)
    @hypothesis.given(damaged(entries[WEIGHTS_FILE]))
    def holds(content: bytes) -> None:
        sent(folder, entries, model__weights__h5=content)
        try:
            card, _ = read_model(folder)
        except FvsearchError as error:
            require_sentence(error)
        else:
            assert card == CARD

    holds()


def test_a_presets_weights_are_looked_at_too(entries: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(entries[WEIGHTS_FILE])
    require_filled(tmp_path)
    (tmp_path / "task.weights.h5").write_bytes(spoilt(entries, NO_WEIGHTS["4 GiB of zeros, compressed"][0]))
    with pytest.raises(FvsearchError, match=r"task\.weights\.h5 says that it makes 4,29\d,\d{3},\d{3} bytes"):
        require_filled(tmp_path)


@pytest.mark.parametrize("value", [np.float32("nan"), np.float64(1e300), np.float16("inf")])
def test_an_import_of_what_is_no_number_is_refused(value: Any) -> None:
    source = Source("vit.npz", {"head/kernel": np.full((2, 3), value)}, {})
    with pytest.raises(FvsearchError, match=r"must be finite numbers, but `head/kernel` in vit\.npz has NaN or infinity"):
        source.take("head/kernel", (2, 3))
