"""Whose training a folder holds: a training never goes on from another's checkpoint."""

from pathlib import Path
from typing import Any

import msgspec

from fvsearch.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.recipe import Recipe
from fvsearch.records import Record
from fvsearch.study import Data
from fvsearch.training.segment import Segment

STATE_FILES = ("metrics.jsonl", "checkpoint.npz", "result.json")


class Identity(Record, frozen=True, kw_only=True):
    """A training: what it trains, and on which backend."""

    arch: Arch
    data: Data
    recipe: Recipe
    seed: int
    backend: str


def identify(segment: Segment, backend: str) -> Identity:
    """The training that a segment is part of."""
    return Identity(arch=segment.arch.canonical(), data=segment.data, recipe=segment.recipe, seed=segment.seed, backend=backend)


def claim_folder(folder: Path, wanted: Identity) -> list[str]:
    """Make a folder a training's, or find that it is; what else should be known, as notes.

    A training on another backend is begun anew: its numbers do not go on from here.

    Raises:
        ConfigError: The folder holds the training of another arch, data, recipe or seed.
    """
    path = folder / "training.json"
    notes: list[str] = []
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Identity)
    except (OSError, ValueError):
        found = None
    if found == wanted:
        return notes
    if found is not None:
        place, there, here = _difference(msgspec.to_builtins(found), msgspec.to_builtins(wanted))
        if place != "backend":
            raise ConfigError(
                f"a folder holds one training, but in {folder} is another: `{place}` is {there!r} there and {here!r} here; "
                "give another folder"
            )
        notes.append(f"the folder held a training on {there}: trained from the start")
    for name in STATE_FILES:
        path.with_name(name).unlink(missing_ok=True)
    write_atomically(path, msgspec.json.encode(wanted))
    return notes


def _difference(there: Any, here: Any, place: str = "") -> tuple[str, Any, Any]:
    """The first place where two records differ, and both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [(f"{place}.{key}".removeprefix("."), there.get(key), here.get(key)) for key in {**there, **here}]
    elif isinstance(there, list | tuple) and isinstance(here, list | tuple) and len(there) == len(here):
        pairs = [(f"{place}[{index}]", one, other) for index, (one, other) in enumerate(zip(there, here, strict=True))]
    else:
        return place, there, here
    return next(_difference(one, other, path) for path, one, other in pairs if one != other)
