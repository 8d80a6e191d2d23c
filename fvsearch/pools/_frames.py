"""Messages between a pool and its workers: a length, then that many bytes."""

import os
import struct

_LENGTH = struct.Struct(">Q")


def write_frame(pipe: int, data: bytes) -> None:
    """Write one message to a file descriptor.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]


def read_frame(pipe: int) -> bytes:
    """Read one message from a file descriptor, waiting for it.

    Raises:
        EOFError: The writer ended, before the message or within it.
    """
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    return _read(pipe, length)


def _read(pipe: int, length: int) -> bytes:
    parts = []
    while length:
        # A pipe gives what it has; 1 MiB at a time, so that a wrong length cannot ask for all memory.
        part = os.read(pipe, min(length, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
