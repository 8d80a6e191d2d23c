"""From a Data record to splits: which source, read how, split how."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from fvsearch.data.arrays import ArrayPair, SearchSplits, Splits
from fvsearch.data.digits import check_digits, read_digits
from fvsearch.data.folder import check_folder, folder_classes, read_folder
from fvsearch.data.images import Images
from fvsearch.data.indexes import Tell
from fvsearch.data.problems import problem_notes
from fvsearch.data.shapes import check_shapes, read_shapes
from fvsearch.data.splits import share_indices, split_indices
from fvsearch.data.stored import StoredImages
from fvsearch.data.tfds import check_tfds, read_tfds
from fvsearch.data.tfrecord import check_tfrecord, read_tfrecord
from fvsearch.data.user import check_function, has_module, read_function
from fvsearch.errors import ConfigError
from fvsearch.records import suggest
from fvsearch.study import Data

Found = ArrayPair | StoredImages


class _Source(NamedTuple):
    """A kind of source: `check` reads nothing, `read` gives all images, or splits by name.

    What `prepare` does is slow the first time and kept; `read` does it too, but tells nobody. `classes` names them, where that
    takes no reading.
    """

    check: Callable[[Data], None]
    read: Callable[[Data], Found | Mapping[str, Found]]
    prepare: Callable[[Data, Tell], object] | None = None
    classes: Callable[[Data], tuple[str, ...]] | None = None


SOURCES = {"digits": _Source(check_digits, read_digits), "shapes": _Source(check_shapes, read_shapes)}
SYNTHETIC = {"shapes"}
"""Sources whose images are drawn by formula: what shows them says so."""
FUNCTION = _Source(check_function, read_function)

STORED = {
    "folder": _Source(check_folder, read_folder, read_folder, folder_classes),
    "tfds": _Source(check_tfds, read_tfds, read_tfds),
    "tfrecord": _Source(check_tfrecord, read_tfrecord, read_tfrecord),
}
"""Kinds of sources whose images are read when they are wanted, by their prefix."""
SPOKEN = {"folder": "images in {}", "tfds": "{} of TensorFlow Datasets", "tfrecord": "TFRecords in {}"}
WHERE = {"data_dir", "manual_dir", "download"}
"""Options of theirs that say where the images are, and not which."""

KINDS = "'digits', 'shapes', 'folder:PATH', 'tfds:NAME', 'tfrecord:PATH' or a function's name"
WAY_OUT = 'source = "package.module:function" names a function of yours that returns (images, labels)'


def check_source(data: Data) -> None:
    """The law that the source can be read, as far as can be told without reading it; imports neither keras nor a user's code.

    Raises:
        ConfigError: An unknown source, module or function, or a record that says other images than the source has.
    """
    _source(data).check(data)


def obstacle(data: Data) -> str:
    """Why the source cannot be read on this machine now, in a sentence; empty where it can, as far as can be told without reading it.

    Raises:
        ConfigError: It is none at all, or one of those that need nothing on disk and breaks a law.
    """
    source = _source(data)
    try:
        source.check(data)
    except ConfigError as error:
        if ":" not in data.source:
            raise
        return str(error)
    return ""


def class_names(data: Data) -> tuple[str, ...] | None:
    """What the source calls its classes, by label, where that is seen at once: of class folders. None is for the user to say.

    Args:
        data: Whose own `num_classes` does not matter.

    Raises:
        ConfigError: The source is none, or is not there.
    """
    names = _source(data).classes
    return names(data) if names is not None else None


def prepare_source(data: Data, tell: Tell) -> None:
    """Do what is slow the first time that a source is read, and is kept: download where that is allowed, look at each image's header.

    Whoever reads the source does it where it is not done; this is for the process that has a user to tell.

    Args:
        data: Names the source.
        tell: Is told what goes on, every few seconds.

    Raises:
        ConfigError: The source cannot be read or breaks a law.
        RunError: It cannot be downloaded.
    """
    source = _source(data)
    if source.prepare is not None:
        source.prepare(data, tell)


def describe_source(data: Data) -> str:
    """The source and its options as a reader sees them: `shapes (synthetic; samples 4000, difficulty 0.5)`, `images in photos`."""
    prefix, _, named = data.source.partition(":")
    source = SPOKEN[prefix].format(named) if prefix in SPOKEN else data.source
    said = ["synthetic"] if data.source in SYNTHETIC else []
    if options := [f"{name} {value}" for name, value in data.options.items() if prefix not in STORED or name not in WHERE]:
        said.append(", ".join(options))
    if data.train_share < 1:
        said.append(f"{100 * data.train_share:g}% of the training images")
    return f"{source} ({'; '.join(said)})" if said else source


def load(data: Data) -> Splits:
    """Train, validation and test images.

    Raises:
        ConfigError: The source cannot be read or breaks a law.
    """
    found = _read(data, ("train", "validation", "test"))
    return Splits(found["train"], found["validation"], found.get("test"))


def load_search_splits(data: Data) -> SearchSplits:
    """Train and validation images: what a search may read. No test image is in them.

    Raises:
        ConfigError: The source cannot be read or breaks a law.
    """
    found = _read(data, ("train", "validation"))
    return SearchSplits(found["train"], found["validation"])


def load_test(data: Data) -> ArrayPair | Images | None:
    """The test images, for the end of a training, once; none where the source has none and data.test is 0.

    Raises:
        ConfigError: The source cannot be read or breaks a law.
    """
    return _read(data, ("test",)).get("test")


def _source(data: Data) -> _Source:
    """The kind of source the record names."""
    if data.source in SOURCES:
        return SOURCES[data.source]
    prefix, colon, _ = data.source.partition(":")
    if colon and prefix in STORED:
        return STORED[prefix]
    near = suggest(prefix, STORED) if colon else suggest(data.source, SOURCES)
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", data.source) and (not near or has_module(prefix)):
        return FUNCTION
    if not colon and Path(data.source).expanduser().is_dir():
        near = f" (did you mean 'folder:{data.source}'?)"
    raise ConfigError(f"the data source must be {KINDS}, but got {data.source!r}{near}; {WAY_OUT}")


def _read(data: Data, names: tuple[str, ...]) -> dict[str, Found]:
    """The splits of these names, those that there are, no others taken out of the source's images; of the training split its share."""
    found = _source(data).read(data)
    if not isinstance(found, Mapping):
        test, validation, train = split_indices(found.labels, data.num_classes, (data.test, data.validation), data.seed)
        indices = {"train": train, "validation": validation, "test": test}
        splits = {name: found.take(indices[name]) for name in names}
    else:
        splits = dict(found)
        if "validation" not in splits:
            # The source has a test split of its own: the validation split is a share of what it gives to train on.
            whole = splits["train"]
            validation, train = split_indices(whole.labels, data.num_classes, (data.validation,), data.seed)
            splits |= {"train": whole.take(train), "validation": whole.take(validation)}
    if "train" in names and data.train_share < 1:
        splits["train"] = splits["train"].take(share_indices(splits["train"].labels, data.train_share, data.seed))
    for name in names:
        if name != "test" and not len(splits[name].labels):
            said = "; ".join(problem_notes([splits[name]]))
            raise ConfigError(f"the {name} split of {data.source!r} must hold an image, but holds none{f': {said}' if said else ''}")
    return {name: _held(splits[name]) for name in names if name in splits and len(splits[name].labels)}


def _held(split: Found) -> Found:
    """A small split as arrays; one with an image that cannot be read stays as it is, for its problems are to be told."""
    import numpy as np

    if isinstance(split, ArrayPair) or not split.is_small:
        return split
    images = split.read(np.arange(len(split)))
    return split if split.problems else ArrayPair(images, split.labels)
