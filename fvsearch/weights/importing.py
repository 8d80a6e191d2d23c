"""A pre-trained ViT from outside as a model's folder of ours: the reader by the kind of file, the model built, its weights set."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.files import locked_folder, require_modest_zip
from fvsearch.weights._augreg import read_augreg
from fvsearch.weights._timm import read_timm
from fvsearch.weights.card import MODEL_FILE, ModelCard, write_model
from fvsearch.weights.foreign import Foreign, Told, on_our_images, read_told, settle_arch
from fvsearch.weights.plain import Floats

if TYPE_CHECKING:
    import keras

PATIENCE = 1.0
"""Seconds to wait for another process that works in the folder."""


class Imported(NamedTuple):
    """A model's folder that was made of a file from outside.

    Attributes:
        card: The folder's.
        model: Path of model.keras.
        assumed: What was taken for granted, each with the option that says otherwise.
        notes: What else a user should know.
    """

    card: ModelCard
    model: Path
    assumed: tuple[str, ...]
    notes: tuple[str, ...]


def import_model(source: Path, folder: Path, said: Told | None = None, *, classes: int | None = None, overwrite: bool = False) -> Imported:
    """Make a model's folder of a pre-trained ViT.

    Args:
        source: A preset's folder or `.keras` file of keras-hub, a timm state dict (`.safetensors`, `.pt`, `.pth`, `.bin`), or the `.npz` of
            the original ViTs.
        folder: Made if need be.
        said: What the user knows of the weights, and shapes do not tell.
        classes: Of a fresh head, for a source without one.
        overwrite: Whether a model that is there may go.

    Raises:
        ConfigError: The file does not read, or holds what our archs have nothing for; or the folder cannot be written, or has a model.
        MissingBackendError: A package that reads such files is not installed.
        LockedError: Another process works in the folder.
    """
    if not overwrite and (folder / MODEL_FILE).exists():
        raise ConfigError(f"{folder} must be a new folder, but it has a {MODEL_FILE}; --force overwrites it, -o names another")
    said = said or Told()
    found = on_our_images(read_source(source, said), said)
    arch, assumed = settle_arch(found, said)
    num_classes, notes = found.sizes.num_classes, found.notes
    if not num_classes:
        if classes is None:
            raise ConfigError(f"a model must have a head, but {source} has none; --classes N gives it a fresh one")
        num_classes, notes = classes, (*notes, f"the head is fresh, {classes} classes, untrained: the source has none")
    elif classes not in (None, num_classes):
        raise ConfigError(f"`classes` must be left out where the source has a head, but got {classes}, and {source} has {num_classes}")
    card = ModelCard(
        arch=arch,
        image_size=found.image_size,
        channels=found.sizes.channels,
        num_classes=num_classes,
        source=f"{found.library}, {source.name}",
        evidence={"assumed": list(assumed), "notes": list(notes)},
    )
    model = model_of(card, found.weights)
    with locked_folder(folder, PATIENCE):
        return Imported(card, write_model(folder, model, card), assumed, notes)


def read_source(source: Path, said: Told) -> Foreign:
    """What a file or folder from outside holds, by the reader that its kind has.

    Raises:
        ConfigError: There is nothing, or nothing that reads.
        MissingBackendError: A package that reads such files is not installed.
    """
    if not source.exists():
        raise ConfigError(f"cannot read {source}: No such file or directory")
    if source.is_dir():
        return _of_keras_hub(source, said)
    reader = READERS.get(source.suffix.lower())
    if reader is None:
        raise ConfigError(f"what is imported must be a preset's folder of keras-hub or a file {', '.join(READERS)}, but got {source}")
    return reader(source, said)


def model_of(card: ModelCard, weights: Mapping[str, Floats]) -> "keras.Model":
    """The model of a card, float32 and without drops, with weights by path; a head that is not among them stays as it is drawn.

    Raises:
        ConfigError: The image does not fit the arch.
    """
    from fvsearch.models import build_model

    model = build_model(card.arch, image_shape=card.image_shape, num_classes=card.num_classes, dtype="float32", seed=0)
    variables = {weight.path: weight for weight in model.weights}
    left = variables.keys() - weights.keys() - {"head/kernel", "head/bias"}
    assert not left, f"weights that were not set: {sorted(left)}"
    for path, value in weights.items():
        variables[path].assign(value)
    return model


def _of_keras_hub(source: Path, said: Told) -> Foreign:
    from fvsearch.weights._keras_hub import load_keras_hub, read_keras_hub

    return read_keras_hub(str(source), load_keras_hub(source))


def _of_safetensors(source: Path, said: Told) -> Foreign:
    try:
        import ml_dtypes  # noqa: F401 - tells NumPy what bfloat16 is
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise MissingBackendError(f'.safetensors need safetensors ({error}); `pip install "fvsearch[import]"` installs it') from None
    try:
        with safe_open(source, framework="np") as file:
            state, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, TypeError) as error:
        raise ConfigError(f"{source} does not read as safetensors: {error}") from None
    return read_timm(str(source), state, said, read_told(metadata["fvsearch"], str(source)) if "fvsearch" in metadata else None)


def _of_torch(source: Path, said: Told) -> Foreign:
    try:
        from fvsearch.weights._torch import read_state
    except ModuleNotFoundError as error:
        raise MissingBackendError(f'{source.suffix} files need PyTorch ({error}); `pip install "fvsearch[torch]"` installs it') from None
    state, notes = read_state(source)
    found = read_timm(str(source), state, said)
    return found._replace(notes=(*notes, *found.notes))


def _of_npz(source: Path, said: Told) -> Foreign:
    require_modest_zip(source)
    try:
        with source.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
        # Without NumPy's advice on how to load objects all the same.
        raise ConfigError(f"{source} does not read as an .npz of arrays: {str(error).partition('. ')[0]}") from None
    return read_augreg(str(source), arrays, said)


READERS: dict[str, Callable[[Path, Told], Any]] = {
    ".keras": _of_keras_hub,
    ".safetensors": _of_safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin"), _of_torch),
    ".npz": _of_npz,
}
"""By the suffix of a file."""
