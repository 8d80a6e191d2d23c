"""Marks in a study's folder: a file of a new name, by which a node shows that it sees this very folder, and no other under its path."""

import contextlib
import secrets
from pathlib import Path

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.processes import ProcessName
from fvsearch.records import from_json

_BEGINNING = ".ray-"


def leave_mark(folder: Path) -> Path:
    """A new mark, which names this process; marks go whose process was killed before it could take them away.

    A mark whose process cannot be seen from here, on another machine or in another container, may be in use, and stays.
    """
    for path in folder.glob(f"{_BEGINNING}*"):
        if _is_left_over(path):
            path.unlink(missing_ok=True)
    mark = folder / f"{_BEGINNING}{secrets.token_hex(4)}"
    write_atomically(mark, msgspec.json.encode(ProcessName.here()))
    return mark


def _is_left_over(path: Path) -> bool:
    # One that does not read says nothing of who uses it, and one that is gone meanwhile was another's to take away.
    with contextlib.suppress(ConfigError, OSError):
        owner: ProcessName = from_json(path, ProcessName)
        return owner.can_be_seen and not owner.lives
    return False
