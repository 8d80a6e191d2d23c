"""The model that a worker has in hand between two segments of one training, so that a rung costs no build and no compile.

Its state is the checkpoint's, bit for bit, so that a segment trains the same with it or without. It is the one thing that a process
remembers from segment to segment, and it is forgotten when any other begins.
"""

from pathlib import Path
from typing import NamedTuple

import keras

from fvsearch.data import SearchSplits
from fvsearch.training.ownership import Identity


class WarmModel(NamedTuple):
    """A compiled model after some epochs of the training in a folder, and what it is trained on."""

    folder: Path
    identity: Identity
    epochs_done: int
    model: keras.Model
    splits: SearchSplits


_kept: list[WarmModel] = []


def keep_warm(warm: WarmModel) -> None:
    """Keep a model for the segment that may come next."""
    _kept[:] = [warm]


def take_warm(folder: Path, identity: Identity, epochs_done: int) -> WarmModel | None:
    """The kept model, if it is of this training after so many epochs; whatever is kept is let go."""
    kept = _kept.pop() if _kept else None
    return kept if kept is not None and kept[:3] == (folder, identity, epochs_done) else None
