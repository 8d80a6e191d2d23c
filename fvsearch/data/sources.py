"""From a Data record to splits: which source, read how, split how."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from fvsearch.data.arrays import ArrayPair, SearchSplits, Splits
from fvsearch.data.digits import check_digits, read_digits
from fvsearch.data.shapes import check_shapes, read_shapes
from fvsearch.data.splits import share_indices, split_indices
from fvsearch.data.user import check_function, read_function
from fvsearch.errors import ConfigError
from fvsearch.records import suggest
from fvsearch.study import Data

if TYPE_CHECKING:
    from fvsearch.data.splits import Indices


class _Source(NamedTuple):
    """A kind of source: `check` reads nothing, `read` gives all images, or splits by name."""

    check: Callable[[Data], None]
    read: Callable[[Data], ArrayPair | dict[str, ArrayPair]]


SOURCES = {"digits": _Source(check_digits, read_digits), "shapes": _Source(check_shapes, read_shapes)}
SYNTHETIC = {"shapes"}
"""Sources whose images are drawn by formula: what shows them says so."""
FUNCTION = _Source(check_function, read_function)

PLANNED = {"tfds": "tensorflow-datasets", "folder": "a folder of images, one sub-folder a class"}
"""Kinds of sources that this version does not read yet, by their prefix."""

WAY_OUT = 'source = "package.module:function" names a function of yours that returns (images, labels)'


def check_source(data: Data) -> None:
    """The law that the source can be read, as far as can be told without reading it; imports neither keras nor a user's code.

    Raises:
        ConfigError: An unknown source, module or function, or a record that says other images than the source has.
    """
    _source(data).check(data)


def describe_source(data: Data) -> str:
    """The source and its options as a reader sees them: `shapes (synthetic; samples 4000, difficulty 0.5)`."""
    said = ["synthetic"] if data.source in SYNTHETIC else []
    if data.options:
        said.append(", ".join(f"{name} {value}" for name, value in data.options.items()))
    if data.train_share < 1:
        said.append(f"{100 * data.train_share:g}% of the training images")
    return f"{data.source} ({'; '.join(said)})" if said else data.source


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


def load_test(data: Data) -> ArrayPair | None:
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
    if colon and prefix in PLANNED:
        height, width, channels = data.image_shape
        raise ConfigError(
            f"the data source {data.source!r} wants images of {height}x{width}x{channels} in {data.num_classes} classes from "
            f"{PLANNED[prefix]}, which this version of fvsearch cannot read yet; {WAY_OUT}"
        )
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", data.source):
        return FUNCTION
    known = ", ".join(map(repr, SOURCES))
    raise ConfigError(
        f"the data source must be {known} or a function's name, but got {data.source!r}{suggest(data.source, SOURCES)}; {WAY_OUT}"
    )


def _read(data: Data, names: tuple[str, ...]) -> dict[str, ArrayPair]:
    """The splits of these names, those that there are, no others taken out of the source's images; of the training split its share."""
    found = _source(data).read(data)
    splits = found if isinstance(found, dict) else {}
    if isinstance(found, ArrayPair):
        test, validation, train = split_indices(found.labels, data.num_classes, (data.test, data.validation), data.seed)
        indices = {"train": train, "validation": validation, "test": test}
        splits = {name: _take(found, indices[name]) for name in names}
    elif "validation" not in splits:
        # The source has a test split of its own: the validation split is a share of what it gives to train on.
        whole = splits["train"]
        validation, train = split_indices(whole.labels, data.num_classes, (data.validation,), data.seed)
        splits |= {"train": _take(whole, train), "validation": _take(whole, validation)}
    if "train" in names and data.train_share < 1:
        splits["train"] = _take(splits["train"], share_indices(splits["train"].labels, data.train_share, data.seed))
    return {name: splits[name] for name in names if name in splits and len(splits[name].labels)}


def _take(pair: ArrayPair, indices: "Indices") -> ArrayPair:
    return ArrayPair(pair.images[indices], pair.labels[indices])
