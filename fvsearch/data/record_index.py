"""Where the images of record files lie, and their labels: learned by one walk through each file, then any image is read alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fvsearch.data.indexes import Stamp, Tell, counted, file_stamp, kept_index
from fvsearch.data.paths import shown_name
from fvsearch.data.problems import Problems
from fvsearch.data.stored import Store, StoredImages
from fvsearch.errors import ConfigError
from fvsearch.records import Record
from fvsearch.study import Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]


class Keys(NamedTuple):
    """What the features of a record are called."""

    image: str
    label: str


class RecordFile(Record, frozen=True, kw_only=True):
    """What a walk through one file has found.

    Attributes:
        stamp: Of the file.
        rows: int64 (records, 4) as bytes: which record of the file, where its encoded image starts, its bytes, its label. Of an
            ArrayRecord an image is found through its record alone, and start and bytes count from there.
        broken: Name and reason of the records that are none.
    """

    stamp: Stamp
    rows: bytes
    broken: dict[str, str]


class Records(NamedTuple):
    """Labelled images in record files.

    Attributes:
        files: They are in.
        rows: (images, 5): which of the files, then as in RecordFile.
        broken: Name and reason of the records that are none.
    """

    files: tuple[Path, ...]
    rows: "Rows"
    broken: dict[str, str]

    @property
    def labels(self) -> "Rows":
        """(images,), as the records have them."""
        return self.rows[:, 4]

    def name(self, number: int) -> str:
        """`train-00003-of-01024, record 17`."""
        file, record = self.rows[number, :2].tolist()
        return record_name(self.files[file], record)


Row = tuple[int, int, int, int]
"""Of RecordFile."""

Walk = Callable[[Path, Keys], Iterator[tuple[str, Row | str]]]
"""Through the records of a file: each one's name, and its row or why there is none."""


def index_records(walk: Walk, files: Sequence[Path], keys: Keys, source: str, tell: Tell) -> Records:
    """The images of these files, in their order; only files that are new or changed are walked through.

    Args:
        walk: Through a file of their format.
        files: To index.
        keys: Of the features.
        source: What these files are, for whoever is told.
        tell: Is told how far the walk is.

    Raises:
        ConfigError: A file cannot be read.
    """
    import numpy as np

    def update(known: dict[bytes, RecordFile] | None) -> dict[bytes, RecordFile]:
        return {
            (path := os.fsencode(file)): found
            if (found := (known or {}).get(path)) and found.stamp == _stamp(file)
            else _walked(walk, file, keys)
            for file in counted(files, f"indexing {source}", tell, of="files")
        }

    index = kept_index("\n".join(["records", *keys, *map(str, files)]), dict[bytes, RecordFile], update)
    parts = [np.frombuffer(index[os.fsencode(file)].rows, np.int64).reshape(-1, 4) for file in files]
    numbers = np.repeat(np.arange(len(files)), [len(part) for part in parts])
    rows = np.column_stack([numbers, np.concatenate(parts)]) if len(numbers) else np.zeros((0, 5), np.int64)
    return Records(tuple(files), rows, {name: reason for file in files for name, reason in index[os.fsencode(file)].broken.items()})


def record_name(file: Path, number: int) -> str:
    """What messages call a record."""
    return f"{shown_name(file.name)}, record {number}"


def _stamp(file: Path) -> Stamp | None:
    """Of a file that has gone, none."""
    try:
        return file_stamp(file)
    except OSError:
        return None


def _walked(walk: Walk, file: Path, keys: Keys) -> RecordFile:
    import numpy as np

    rows, broken = [], {}
    try:
        stamp = file_stamp(file)
        for name, found in walk(file, keys):
            if isinstance(found, str):
                broken[name] = found
            else:
                rows.append(found)
    except OSError as error:
        raise ConfigError(f"every file of records must be readable, but {file} is not: {error.strerror}; mend it, or data.source") from None
    return RecordFile(stamp=stamp, rows=np.array(rows, np.int64).tobytes(), broken=broken)


def record_images(
    found: dict[str, Records], store: Callable[[Records], Store], data: Data, central: float, first_label: int, size: tuple[int, int] | None
) -> dict[str, StoredImages]:
    """Splits of records as images; all share their problems.

    Args:
        found: By split.
        store: Of the files' format.
        data: Says shape and classes.
        central: Share of either edge that evaluation looks at.
        first_label: What the records call class 0.
        size: (height, width) of all images, if they have one.

    Raises:
        ConfigError: A label is of no class.
    """
    import numpy as np

    problems = Problems({name: reason for records in found.values() for name, reason in records.broken.items()})
    for records in found.values():
        wrong = np.flatnonzero((records.labels < first_label) | (records.labels >= first_label + data.num_classes))
        if len(wrong):
            shifted = records.labels.min() == first_label + 1 and records.labels.max() == first_label + data.num_classes
            raise ConfigError(
                f"labels must lie in {first_label} to {first_label + data.num_classes - 1} as data.num_classes={data.num_classes} says, "
                f"but got {records.labels[wrong[0]]} from {records.name(int(wrong[0]))}"
                f"{f'; data.options.first_label = {first_label + 1} would fit' if shifted else ''}"
            )
    return {
        name: StoredImages(
            store(records),
            (records.labels - first_label).astype(np.int32),
            data.image_shape,
            central=central,
            problems=problems,
            size=size,
        )
        for name, records in found.items()
    }
