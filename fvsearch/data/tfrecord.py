"""tfrecord:FOLDER or tfrecord:GLOB: TFRecord files of encoded images with labels, ImageNet's for instance. Pillow alone is needed.

Files whose names have train, validation (or val) and test in them, such as train-00000-of-01024, are the source's own splits; otherwise
all files together are split by shares.
"""

import glob
import itertools
import re
from pathlib import Path

from fvsearch.data.indexes import Tell, silent
from fvsearch.data.paths import named_path
from fvsearch.data.record_formats import FORMATS
from fvsearch.data.record_index import Keys, index_records, record_images
from fvsearch.data.splits import SPLIT_NAMES, own_splits
from fvsearch.data.stored import StoredImages, StoredOptions, require_levels
from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins
from fvsearch.study import Data

FILE_NAME = re.compile(r"tfrec|-\d{5}-of-\d{5}")
"""Of what counts in a folder; a glob says for itself."""

SPLIT = re.compile(rf"(?:^|[-_.])({'|'.join(SPLIT_NAMES)})(?=[-_.]|$)")
"""In a file's name."""

GZIP = b"\x1f\x8b"
"""How a compressed file begins."""

LOOK_AT = 10
"""Records that a check looks at: the first may be a broken one."""


class TFRecordOptions(StoredOptions, frozen=True, kw_only=True):
    """What `data.options` may say of TFRecords.

    Attributes:
        image: The feature with the encoded image.
        label: The feature with the label, one integer.
        first_label: The lowest label: 1 where 0 was kept for a background, as in many ImageNet records.
    """

    image: str = "image/encoded"
    label: str = "image/class/label"
    first_label: int = 0


def check_tfrecord(data: Data) -> None:
    """The law that there are files, and that records in the first of them have the features that the options say; no more is read.

    Raises:
        ConfigError: It does not hold.
    """
    keys = _keys(_options(data))
    require_levels(data)
    files = next(iter(_files(data).values()))
    try:
        # Who deals records out to shards may leave one with none.
        first = next((path for path in files if path.stat().st_size), files[0])
        with first.open("rb") as opened:
            if opened.read(len(GZIP)) == GZIP:
                raise ConfigError(f"TFRecord files must not be compressed as a whole, but {first} is; unpack it with gunzip")
        broken = []
        for name, found in itertools.islice(FORMATS["tfrecord"].walk(first, keys), LOOK_AT):
            if isinstance(found, tuple):
                return
            broken.append((name, found))
    except OSError as error:
        raise ConfigError(
            f"the files of {data.source!r} must be readable, but {error.filename or files[0]} is not: {error.strerror}"
        ) from None
    name, reason = broken[0] if broken else (str(first), "it is empty")
    raise ConfigError(
        f"the records of {data.source!r} must have an image {keys.image!r} and a label {keys.label!r}, as data.options.image and "
        f"data.options.label say, but of {name}: {reason}"
    )


def read_tfrecord(data: Data, tell: Tell = silent) -> StoredImages | dict[str, StoredImages]:
    """All images, or those of the files' own splits; files that have not been indexed yet are.

    Raises:
        ConfigError: The files or their labels break a law.
    """
    check_tfrecord(data)
    options = _options(data)
    form = FORMATS["tfrecord"]
    records = {name: index_records(form.walk, files, _keys(options), data.source, tell) for name, files in _files(data).items()}
    found = record_images(records, form.store, data, options.central, options.first_label, size=None)
    return found[""] if "" in found else own_splits(found)


def _options(data: Data) -> TFRecordOptions:
    return from_builtins(data.options, TFRecordOptions, source="data.options")


def _keys(options: TFRecordOptions) -> Keys:
    return Keys(image=options.image, label=options.label)


def _files(data: Data) -> dict[str, list[Path]]:
    """The files by split, sorted; under "" all of them, where their names tell of no split. Train is the first."""
    named = named_path(data.source.removeprefix("tfrecord:"), "data.source")
    if named.is_dir():
        files = [path for path in sorted(named.iterdir()) if path.is_file() and FILE_NAME.search(path.name)]
        law = f"the folder must hold TFRecord files (*.tfrecord, train-00000-of-00010), but {named.absolute()} holds none"
    else:
        files = [Path(path) for path in sorted(glob.glob(str(named))) if Path(path).is_file()]
        law = f"there must be TFRecord files, but none fits {named.absolute()}"
    if not files:
        raise ConfigError(
            f"{law}; mend data.source={data.source!r}, which names a folder or a pattern such as 'tfrecord:photos/*.tfrecord'"
        )
    files = [path.resolve() for path in files]
    by_split: dict[str, list[Path]] = {}
    for path in files:
        split = SPLIT.search(path.name)
        by_split.setdefault(SPLIT_NAMES[split[1]] if split else "", []).append(path)
    if "train" not in by_split:
        return {"": files}
    if "" in by_split:
        raise ConfigError(
            f"either every file of {data.source!r} must name its split (train, validation, test) or none, but {by_split[''][0].name} does "
            f"not, and {by_split['train'][0].name} does; mend data.source"
        )
    return {name: by_split[name] for name in ("train", "validation", "test") if name in by_split}
