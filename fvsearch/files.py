"""Files that are whole or not there, zip files that expand beyond measure, disks that are full, and a lock on a folder."""

import contextlib
import errno
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from fvsearch.errors import ConfigError, DiskFullError, LockedError

PATIENCE = 120.0
"""Seconds to wait for another process's lock: a worker whose coordinator has died ends within them, and storage that machines share lets go
of what a lost machine had locked."""


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says where a disk, a quota or the largest file that a process may write is full."""


MODEST, MOST_EXPANSION = 2**26, 100
"""Bytes that any zip file may expand to, and how often its own size: weights that were trained compress to no less than a half."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that a kill leaves as it was or as it is to be, never in between; so does a full disk, and no draft is left on it."""
    draft = path.with_name(f".{path.name}.draft")
    with removed_on_error(draft):
        with draft.open("wb") as file:
            file.write(content)
        replace_durably(draft, path)


@contextlib.contextmanager
def removed_on_error(draft: Path) -> Iterator[None]:
    """Take a draft away that the block began and could not finish: on a full disk it would keep the room that is wanted."""
    try:
        with naming(draft):
            yield
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have the system's errors say which file they are of: where writing fails, they do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def replace_durably(draft: Path, path: Path) -> None:
    """Put a finished draft, in the same folder, in a file's place; its bytes are on the disk first."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def no_room(error: BaseException) -> DiskFullError | None:
    """The sentence for an error that means a full disk; none for another."""
    if isinstance(error, DiskFullError):
        return error
    if not isinstance(error, OSError) or error.errno not in NO_ROOM:
        return None
    # h5py and others tell no file, and put what the system said into a text of their own.
    what = f"{os.strerror(error.errno)}: {error.filename}" if error.filename else " ".join(str(error).split())
    return DiskFullError(f"what is written must have room, but there is none ({what}); make room, and the same command goes on from here")


def require_modest_zip(path: Path) -> None:
    """The law that a zip file, as .npz, .keras and PyTorch's files are, says of itself that it expands to no more than arrays do.

    What is no zip file passes, for whoever reads it to say so.

    Raises:
        ConfigError: It says that it expands to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
        size = path.stat().st_size
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return
    if expanded > max(MODEST, MOST_EXPANSION * size):
        raise ConfigError(
            f"a file of arrays must expand to at most {MOST_EXPANSION} times its size, but {path} says that it makes {expanded:,} bytes of "
            f"{size:,}"
        )


@contextlib.contextmanager
def locked_folder(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Own a folder, made if need be, while the block runs; the lock goes with the process, however it ends.

    Args:
        folder: To own.
        patience: Seconds to wait for another owner to leave.

    Raises:
        LockedError: Another process owns the folder.
        ConfigError: The folder cannot be written.
        DiskFullError: There is no room for it.
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
        raise no_room(error) or ConfigError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None
    try:
        yield
    finally:
        lock.release()
