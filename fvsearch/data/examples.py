"""tf.train.Example, read where it lies: no TensorFlow, no protocol buffers library, and no byte of an image touched to find its label.

An Example is nested messages of fields, each a key (number << 3 | wire type) and a value; of variable length are those of wire type 2:

    Example {1: Features {1: entry {1: name, 2: Feature {1: BytesList {1: bytes}  or  3: Int64List {1: packed varints}}}, ...}}
"""

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

Buffer = bytes | mmap

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
BYTES_LIST, INT64_LIST = 1, 3


class Span(NamedTuple):
    """Where something lies in a buffer."""

    start: int
    end: int


def find_features(buffer: Buffer, example: Span) -> dict[str, Span]:
    """Where the Features of an Example lie, by name.

    Raises:
        ValueError: It is no Example.
    """
    found = {}
    for features in _messages(buffer, example, 1):
        for entry in _messages(buffer, features, 1):
            name = Span(0, 0)
            feature = Span(0, 0)
            for number, span in _fields(buffer, entry):
                if number == 1:
                    name = span
                elif number == 2:
                    feature = span
            found[bytes(buffer[name.start : name.end]).decode()] = feature
    return found


def bytes_of(buffer: Buffer, feature: Span) -> Span:
    """Where the one value of a Feature of bytes lies.

    Raises:
        ValueError: It is no such Feature, or has another number of values.
    """
    values = [span for kind in _messages(buffer, feature, BYTES_LIST) for span in _messages(buffer, kind, 1)]
    if len(values) != 1:
        raise ValueError(f"{len(values)} values of bytes where one was expected")
    return values[0]


def integer_of(buffer: Buffer, feature: Span) -> int:
    """The one value of a Feature of integers.

    Raises:
        ValueError: It is no such Feature, or has another number of values.
    """
    values = []
    for kind in _messages(buffer, feature, INT64_LIST):
        for number, span in _fields(buffer, kind):
            at = span.start
            while number == 1 and at < span.end:
                value, at = _varint(buffer, at, span.end)
                value &= 2**64 - 1  # ten bytes of seven bits hold more
                values.append(value - 2**64 if value >= 2**63 else value)
    if len(values) != 1:
        raise ValueError(f"{len(values)} integers where one was expected")
    return values[0]


def _messages(buffer: Buffer, message: Span, wanted: int) -> Iterator[Span]:
    return (span for number, span in _fields(buffer, message) if number == wanted)


def _fields(buffer: Buffer, message: Span) -> Iterator[tuple[int, Span]]:
    """Each field's number, and where its value lies; of a varint, the varint itself."""
    at, end = message
    while at < end:
        key, at = _varint(buffer, at, end)
        kind = key & 7
        if kind == DELIMITED:
            length, at = _varint(buffer, at, end)
        elif kind == VARINT:
            length = _varint(buffer, at, end)[1] - at
        elif kind in (FIXED_64, FIXED_32):
            length = 8 if kind == FIXED_64 else 4
        else:
            raise ValueError(f"no field has wire type {kind}")
        if at + length > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, Span(at, at + length)
        at += length


def _varint(buffer: Buffer, at: int, end: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number does not end")
