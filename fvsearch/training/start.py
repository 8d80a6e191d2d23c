"""Weights that a training starts from: those of a trained or imported model's folder, put into the new model as far as they fit.

The model file's hash is part of the training's identity, so a start that has changed since is noticed; what was loaded, resized and
skipped is kept in transfer.json. A training that is gone on with has its weights from its checkpoint.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.records import Record, from_json, to_builtins
from fvsearch.weights.card import MODEL_FILE, read_card, read_model

if TYPE_CHECKING:
    import keras

TRANSFER_FILE = "transfer.json"


class Start(Record, frozen=True, kw_only=True):
    """Where a training's first weights come from.

    Attributes:
        folder: Of the model.
        sha256: Of its model.keras, in hexadecimal digits.
    """

    folder: str
    sha256: str


def read_start(source: str) -> Start:
    """The start that a model's folder is now.

    Raises:
        ConfigError: The folder holds no model.
    """
    read_card(Path(source))
    with (Path(source) / MODEL_FILE).open("rb") as file:
        return Start(folder=source, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def resolve_start(source: str, folder: Path) -> Start:
    """The start of the training in a folder: that of `source`, or, where it is gone, the one that the training did start from.

    Raises:
        ConfigError: There is no model in `source`, and no training in the folder that has left it behind.
    """
    try:
        return read_start(source)
    except ConfigError:
        begun = _begun_from(folder)
        if begun is None or not (folder / "checkpoint.npz").exists():
            raise
        return Start(folder=source, sha256=begun)


def transfer_start(start: Start, model: "keras.Model", folder: Path) -> list[str]:
    """Put the start's weights into a model, and say in transfer.json what became of each; the notes of it.

    Args:
        start: Whence.
        model: Of the training, before its first epoch.
        folder: Of the training.

    Raises:
        ConfigError: The start is gone, or does not load.
    """
    from fvsearch.weights.transfer import transfer

    card, source = read_model(Path(start.folder))
    report = transfer(source, model)
    told = {
        "folder": start.folder,
        "sha256": start.sha256,
        "source": card.source,
        "summary": report.summary,
        "kernels_loaded": sum(item.weight.endswith("/kernel") for item in report.loaded),
        **to_builtins(report),
    }
    write_atomically(folder / TRANSFER_FILE, msgspec.json.format(msgspec.json.encode(told)))
    return transfer_notes(folder)


def transfer_notes(folder: Path) -> list[str]:
    """What a reader should know of where a training's weights came from, as transfer.json tells it; nothing where there is none."""
    try:
        told = from_json(folder / TRANSFER_FILE, dict[str, Any])
    except ConfigError:
        return []
    if not {"folder", "summary", "kernels_loaded"} <= set(told):
        return []
    notes = [f"weights from {told['folder']}: {told['summary']}"]
    if not told["kernels_loaded"]:
        notes.append(
            f"no kernel of {told['folder']} fits this arch, so in effect it is trained from scratch: "
            "for more to come over, widths and MLP sizes must be the source's"
        )
    return notes


def _begun_from(folder: Path) -> str | None:
    """The hash of the start of the training in a folder; none where it started from nothing, or there is none."""
    from fvsearch.training.ownership import read_identity

    identity = read_identity(folder)
    return (identity.start or None) if identity else None
