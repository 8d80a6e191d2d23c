"""Formats of record files: how a file is walked through once, and how an image is read ever after.

Of a TFRecord file the walk touches lengths, names and labels, not the pixels; of an ArrayRecord file, which is compressed, everything.
"""

import io
import mmap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from fvsearch.data.decoding import UnreadableError
from fvsearch.data.examples import Buffer, Span, bytes_of, find_features, integer_of
from fvsearch.data.framing import BrokenFrameError, record_spans
from fvsearch.data.paths import LONGEST
from fvsearch.data.record_index import Keys, Records, Row, Walk, record_name
from fvsearch.data.stored import Store
from fvsearch.records import in_short, show_value

CHUNK = 64
"""ArrayRecords that are read at a time."""

NAMED = 12
"""Features of a record that a message names."""


class RecordFormat(NamedTuple):
    """A format of record files.

    Attributes:
        walk: Through a file.
        store: Of the images that walks have found.
    """

    walk: Walk
    store: Callable[[Records], Store]


def walk_tfrecord(file: Path, keys: Keys) -> Iterator[tuple[str, Row | str]]:
    """Through a TFRecord file; where a frame is broken the walk ends, for nothing says where the next begins."""
    if not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        number = -1
        try:
            for number, span in enumerate(record_spans(content)):
                yield record_name(file, number), _row(content, span, keys, number)
        except BrokenFrameError as error:
            yield _rest(file, number + 1, error)


def walk_array_record(file: Path, keys: Keys) -> Iterator[tuple[str, Row | str]]:
    """Through an ArrayRecord file; where a chunk of it cannot be read, the walk ends."""
    import array_record.python.array_record_data_source  # noqa: F401 - that it is missing is no file's fault, nor is what `stat` raises

    file.stat()
    first = 0
    try:
        opened = _array_records(file)
        for first in range(0, len(opened), CHUNK):
            for number, record in enumerate(opened.__getitems__(range(first, min(first + CHUNK, len(opened)))), start=first):
                yield record_name(file, number), _row(record, Span(0, len(record)), keys, number)
    except Exception as error:  # its C++ raises what it likes
        yield _rest(file, first, error)


class TFRecords:
    """A store of images in TFRecord files."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def open(self, number: int) -> io.BytesIO:
        """The encoded image, the only bytes that are read."""
        file, _, start, length, _ = self._records.rows[number].tolist()
        try:
            with self._records.files[file].open("rb") as opened:
                opened.seek(start)
                content = opened.read(length)
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from None
        return io.BytesIO(content)

    def name(self, number: int) -> str:
        """File and record."""
        return self._records.name(number)


class ArrayRecords:
    """A store of images in ArrayRecord files."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._opened: dict[int, _Opened] = {}

    def open(self, number: int) -> io.BytesIO:
        """The encoded image; its whole record is read."""
        file, record, start, length, _ = self._records.rows[number].tolist()
        try:
            if file not in self._opened:
                self._opened[file] = _array_records(self._records.files[file])
            content = self._opened[file][record]
        except Exception as error:  # as above
            raise UnreadableError(_one_line(error)) from None
        return io.BytesIO(content[start : start + length])

    def name(self, number: int) -> str:
        """File and record."""
        return self._records.name(number)


FORMATS: Mapping[str, RecordFormat] = {
    "tfrecord": RecordFormat(walk_tfrecord, TFRecords),
    "array_record": RecordFormat(walk_array_record, ArrayRecords),
}
"""By the name that TensorFlow Datasets has for them."""


def _array_records(file: Path) -> "_Opened":
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    return ArrayRecordDataSource([str(file)])


def _rest(file: Path, number: int, error: Exception) -> tuple[str, str]:
    """Of a file that cannot be read from this record on: the record's name, and that more are lost than the one that counts."""
    return record_name(file, number), f"{_one_line(error)}, and all that follow are lost with it"


def _one_line(error: Exception) -> str:
    return in_short(next(iter(str(error).splitlines()), type(error).__name__), LONGEST)


def _listed(features: Collection[str]) -> str:
    names = [show_value(name).strip("'") for name in sorted(features)[:NAMED]]
    return ", ".join([*names, *([f"{len(features) - NAMED} more"] if len(features) > NAMED else [])]) or "none"


class _Opened(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> bytes: ...

    def __getitems__(self, numbers: Sequence[int]) -> Sequence[bytes]: ...


def _row(content: Buffer, example: Span, keys: Keys, number: int) -> Row | str:
    try:
        features = find_features(content, example)
        missing = [key for key in keys if key not in features]
        if missing:
            return f"it has no feature {' and no '.join(missing)}, but {_listed(features)}"
        image = bytes_of(content, features[keys.image])
        return number, image.start, image.end - image.start, integer_of(content, features[keys.label])
    except ValueError as error:
        return f"no tf.train.Example of one image and one label: {error}"
