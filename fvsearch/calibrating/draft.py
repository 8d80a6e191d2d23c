"""A sample while it is measured: a file that keeps each arch as soon as it is measured, so that a kill loses a group at most.

JSON lines: what the archs are measured under first, then an arch a line. A draft is gone on with where its first line is the same.
"""

import contextlib
import os
from collections import Counter
from pathlib import Path

import msgspec

from fvsearch.costs.calibration import Machine, Sampled, Skipped
from fvsearch.costs.conditions import Conditions
from fvsearch.records import Record


class Header(Record, frozen=True, kw_only=True):
    """What a draft's archs are measured under."""

    conditions: Conditions
    machine: Machine
    seconds: float


class Draft:
    """The file of a sample.

    Attributes:
        path: Of it.
        entries: What it holds, by arch hash; of an arch that was measured twice, the narrower interval.
        readings: How often each was measured, by arch hash.
    """

    def __init__(self, path: Path, header: Header) -> None:
        """The draft as it stands, if it was begun under the same header; else a new one."""
        self.path = path
        self.entries: dict[str, Sampled | Skipped] = {}
        self.readings: Counter[str] = Counter()
        first = msgspec.json.encode(header)
        if not path.exists() or path.read_bytes().partition(b"\n")[0] != first:
            path.write_bytes(first + b"\n")
        self.read()

    def read(self) -> None:
        """Look at what is there, by now."""
        self.entries, self.readings = {}, Counter()
        # What follows the last line's end was cut off by a kill, or is being written.
        for line in self.path.read_bytes().split(b"\n")[1:-1]:
            with contextlib.suppress(ValueError):  # Cut off by a kill, and gone on after.
                self._take(msgspec.json.decode(line, type=Sampled | Skipped))

    def _take(self, entry: Sampled | Skipped) -> None:
        key = entry.arch.arch_hash
        before = self.entries.get(key)
        self.readings[key] += 1
        if not (isinstance(before, Sampled) and (isinstance(entry, Skipped) or before.half_width < entry.half_width)):
            self.entries[key] = entry


def append_durably(path: Path, entry: Sampled | Skipped) -> None:
    """Append an arch to a draft; it is on the disk when this returns."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":  # Cut off by a kill.
                file.write(b"\n")
        file.write(msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())
