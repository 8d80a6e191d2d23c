"""Which process is which: number, birth and place, so that one may know of another whether it lives."""

import os
import socket
from pathlib import Path

from fvsearch.records import Record

SAME_BIRTH = 2.0
"""Seconds between two readings of when one process began, which are rounded."""


class ProcessName(Record, frozen=True, kw_only=True):
    """One process of all machines.

    Attributes:
        host: Its machine's name.
        number: Of the process, where it runs.
        born: When it began, in seconds since the machine did: the clock may be set meanwhile.
        place: What sees the same process under the same number; empty where that cannot be told.
    """

    host: str
    number: int
    born: float
    place: str = ""

    @classmethod
    def here(cls) -> "ProcessName":
        """This process."""
        return cls(host=socket.gethostname(), number=os.getpid(), born=born(os.getpid()) or 0.0, place=_place())

    @property
    def can_be_seen(self) -> bool:
        """Whether this process can tell if that one lives."""
        return bool(self.place) and (self.host, self.place) == (socket.gethostname(), _place())

    @property
    def lives(self) -> bool:
        """Whether there is such a process here."""
        found = born(self.number)
        return found is not None and abs(found - self.born) < SAME_BIRTH


def born(number: int) -> float | None:
    """When a process began, in seconds since the machine did; none where there is no such process, or only what is left of one."""
    import psutil

    try:
        found = psutil.Process(number)
        # Both are told by the clock of the machine.
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time() - psutil.boot_time())
    except psutil.Error:
        return None


def _place() -> str:
    """The start of the system and the numbering of processes: two machines may have one name, and two containers one system."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
