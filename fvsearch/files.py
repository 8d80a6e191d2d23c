"""Files that are whole or not there, and a lock on a folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fvsearch.errors import ConfigError, LockedError

PATIENCE = 120.0
"""Seconds to wait for another process's lock: a worker whose coordinator has died ends within them, and storage that machines share lets go
of what a lost machine had locked."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that a kill leaves as it was or as it is to be, never in between."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
    replace_durably(draft, path)


def replace_durably(draft: Path, path: Path) -> None:
    """Put a finished draft, in the same folder, in a file's place; its bytes are on the disk first."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


@contextlib.contextmanager
def locked_folder(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Own a folder, made if need be, while the block runs; the lock goes with the process, however it ends.

    Args:
        folder: To own.
        patience: Seconds to wait for another owner to leave.

    Raises:
        LockedError: Another process owns the folder.
        ConfigError: The folder cannot be written.
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock", timeout=patience)
        lock.acquire()
    except filelock.Timeout:
        raise LockedError(
            f"another process of fvsearch works in {folder}; wait until it ends, end it, or give another folder with --out"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None
    try:
        yield
    finally:
        lock.release()
