"""Whose training a folder holds: a training never goes on from another's checkpoint."""

from pathlib import Path
from typing import Any

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.records import Record, from_json
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.training.segment import Segment

STATE_FILES = ("metrics.jsonl", "checkpoint.npz", "best.npz", "result.json", "transfer.json")

KEPT_FILES = ("metrics.jsonl", "checkpoint.npz", "model.keras")
"""Of which a training has one, once it has trained an epoch."""


class Identity(Record, frozen=True, kw_only=True):
    """A training: what it trains, and on which backend.

    Attributes:
        start: The hash of the model file that its weights come from; empty where they come from the seed.
    """

    arch: Arch
    data: Data
    recipe: Recipe
    seed: int
    backend: str
    start: str = ""


def identify(segment: Segment, backend: str) -> Identity:
    """The training that a segment is part of."""
    return Identity(
        arch=segment.arch.canonical(),
        data=segment.data,
        recipe=segment.recipe,
        seed=segment.seed,
        backend=backend,
        start=segment.start.sha256 if segment.start else "",
    )


def read_identity(folder: Path) -> Identity | None:
    """Whose training a folder holds; none where it holds none, or its file is broken."""
    try:
        identity: Identity = from_json(folder / "training.json", Identity)
        return identity
    except ConfigError:
        return None


def claim_folder(folder: Path, wanted: Identity) -> list[str]:
    """Make a folder a training's, or find that it is; what else should be known, as notes.

    A training on another backend is begun anew: its numbers do not go on from here. One whose model is written is not. Of a training
    that ended before its first epoch, on a mistake in its data say, there is nothing to keep.

    Raises:
        ConfigError: The folder holds the training of another arch, data, recipe, seed or start, one that has ended on another backend, or a
            model that no training there is known to have made.
    """
    path = folder / "training.json"
    notes: list[str] = []
    found = read_identity(folder)
    if found == wanted:
        return notes
    if found is not None and any(_holds(folder / name) for name in KEPT_FILES):
        place, there, here = _difference(msgspec.to_builtins(found), msgspec.to_builtins(wanted))
        if place == "start":
            raise ConfigError(
                f"a folder holds one training, but that in {folder} started from other weights than it would now: "
                f"{_weights(there)} there and {_weights(here)} here; give another folder"
            )
        if place == "backend" and (folder / "model.keras").exists():
            raise ConfigError(
                f"a folder holds one training, but that in {folder} has ended on {there} and would begin anew on {here}; "
                f"give another folder, or --backend {there}"
            )
        if place != "backend":
            raise ConfigError(
                f"a folder holds one training, but in {folder} is another: `{place}` is {there!r} there and {here!r} here; "
                "give another folder"
            )
        notes.append(f"the folder held a training on {there}: trained from the start")
    elif (folder / "model.keras").exists():
        raise ConfigError(
            f"a folder holds one model, but in {folder} is one that would be overwritten, an imported one or of a training whose "
            "training.json is gone; give another folder"
        )
    elif found is None and path.exists():
        notes.append("training.json, which says whose training the folder holds, did not read: trained from the start")
    for name in STATE_FILES:
        path.with_name(name).unlink(missing_ok=True)
    write_atomically(path, msgspec.json.encode(wanted))
    return notes


def _holds(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _weights(start: str) -> str:
    return f"those of the model {start[:12]}" if start else "the seed's"


def _difference(there: Any, here: Any, place: str = "") -> tuple[str, Any, Any]:
    """The first place where two records differ, and both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [(f"{place}.{key}".removeprefix("."), there.get(key), here.get(key)) for key in {**there, **here}]
    elif isinstance(there, list | tuple) and isinstance(here, list | tuple) and len(there) == len(here):
        pairs = [(f"{place}[{index}]", one, other) for index, (one, other) in enumerate(zip(there, here, strict=True))]
    else:
        return place, there, here
    return next(_difference(one, other, path) for path, one, other in pairs if one != other)
