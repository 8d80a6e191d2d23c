"""The frames of a TFRecord file: length (8 bytes), its checksum (4), the record, its checksum (4); one after the other.

The record's own checksum is not computed: in Python that would take as long as decoding the image, and would touch every byte of it.
"""

import functools
import struct
from collections.abc import Iterator
from mmap import mmap

from fvsearch.data.examples import Span

HEADER, FOOTER = 12, 4
POLYNOMIAL = 0x82F63B78
"""Castagnoli's, its bits reversed."""


class BrokenFrameError(ValueError):
    """From here on, where records begin cannot be told."""


def record_spans(file: mmap) -> Iterator[Span]:
    """Where each record lies, first to last.

    Raises:
        BrokenFrameError: A length is broken, or the file ends within a record.
    """
    at, end = 0, len(file)
    while at < end:
        head = file[at : at + HEADER]
        if len(head) < HEADER:
            raise BrokenFrameError("the file is truncated")
        length, checksum = struct.unpack("<QI", head)
        if checksum != masked_crc32c(head[:8]):
            raise BrokenFrameError("a record's length is broken")
        start = at + HEADER
        at = start + length + FOOTER
        if at > end:
            raise BrokenFrameError("the file is truncated")
        yield Span(start, start + length)


def masked_crc32c(content: bytes) -> int:
    """The checksum of a frame: CRC-32C, rotated right by 15 bits, plus a constant."""
    table = _table()
    crc = 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _table() -> tuple[int, ...]:
    """What each byte does to the checksum."""

    def shifted(value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        return value

    return tuple(map(shifted, range(256)))
