"""A `.keras` file or a preset's weights, looked at before Keras builds what they say: none may ask for memory that it does not fill.

Keras's safe mode runs no code of a file, and follows no link out of it. It does allocate what a file says: an array of gigabytes that
compresses to nothing, a layer of a billion units.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fvsearch.errors import ConfigError
from fvsearch.files import MODEST, require_modest_zip
from fvsearch.records import in_short

WEIGHTS_FILE, CONFIG_FILE = "model.weights.h5", "config.json"

MOST_EXPANSION = 4
"""How often its own size the arrays of an HDF5 file may be: Keras does not compress, and weights compress to no less than a half."""

USUAL = 4096
"""Up to here a number in a config is taken whatever the weights: two layers of as many units are 64 MiB."""

NO_SIZES = ("seed", "shared_object_id", "compile_config")
"""In keys of a config whose numbers may be any; how a model was trained is not read, and a schedule has as many steps as it likes."""

SHOWN = 300
"""Characters of a library's error that ours repeats."""

NUMBERS = "fiubV"
"""Kinds of arrays that hold some: floats, integers, and bytes that a library makes floats of. No text, no reference."""


def require_filled(path: Path) -> None:
    """The law that a `.keras` file, or each file of weights in a preset's folder, holds as much as it says.

    What is none of these passes, for whoever reads it to say so.

    Raises:
        ConfigError: It says that it holds more, or the weights are no numbers.
    """
    if path.is_dir():
        for file in sorted(path.glob("*.weights.h5")):
            with file.open("rb") as opened:
                _require_arrays(opened, file.stat().st_size, file)
        return
    require_modest_zip(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = {name: archive.read(name) for name in (CONFIG_FILE, WEIGHTS_FILE) if name in archive.namelist()}
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, EOFError):
        return
    if len(found) == 2:
        weights = found[WEIGHTS_FILE]
        longest = _require_arrays(io.BytesIO(weights), len(weights), path)
        _require_sizes(found[CONFIG_FILE], max(USUAL, longest), path)


def require_finite(values: Iterator[tuple[str, Any]], name: object) -> None:
    """The law that weights are numbers: with one that is none, a model answers nothing.

    Args:
        values: Paths and arrays.
        name: Of the file, for the error.

    Raises:
        ConfigError: One is NaN or infinite.
    """
    import numpy as np

    for path, value in values:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ConfigError(
                f"weights must be finite numbers, but `{path}` in {name} has NaN or infinity, as a training leaves that diverged"
            )


def said_by(error: BaseException) -> str:
    """What a library says, without all that Keras could not load beside it."""
    return in_short(str(error).partition("List of objects")[0], SHOWN)


def _require_arrays(file: IO[bytes], size: int, path: Path) -> int:
    """The law of arrays in an HDF5 file; the longest of their axes."""
    import h5py

    longest, expanded = 0, 0

    def look(name: str, item: Any) -> None:
        nonlocal longest, expanded
        if not isinstance(item, h5py.Dataset):
            return
        if item.dtype.kind not in NUMBERS:
            raise ConfigError(f"weights must be numbers, but `{name}` in {path} holds {item.dtype}")
        longest = max(longest, *(item.shape or ()), 0)
        expanded += item.nbytes

    try:
        with h5py.File(file, "r") as content:
            content.visititems(look)  # each array once, by no link out of the file
    except ConfigError:
        raise
    except Exception as error:  # HDF5's are of many kinds
        raise ConfigError(f"the weights in {path} do not read: {type(error).__name__}: {said_by(error)}") from None
    if expanded > max(MODEST, MOST_EXPANSION * size):
        raise ConfigError(
            f"a file of arrays must expand to at most {MOST_EXPANSION} times its size, but {path} says that it makes {expanded:,} bytes of "
            f"{size:,}"
        )
    return longest


def _require_sizes(config: bytes, largest: int, path: Path) -> None:
    """The law that no layer is larger than the weights that it is to have."""
    try:
        numbers = list(_numbers(json.loads(config)))
    except (ValueError, RecursionError):
        return
    for key, value in numbers:
        if value > largest:
            raise ConfigError(
                f"a model's layers must be no larger than its weights, which have no axis beyond {largest:,}, but {CONFIG_FILE} in {path} "
                f"has {key} {value:,}"
            )


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Every integer of a config with its key, but for those that are no sizes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not any(word in name for word in NO_SIZES):
                yield from _numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int):
        yield key[:40], value
