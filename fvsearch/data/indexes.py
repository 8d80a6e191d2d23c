"""Indexes of images: what going through a large set has taught, kept in the user's cache folder so that no process learns it again."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from fvsearch.files import write_atomically

T = TypeVar("T")

Tell = Callable[[str], None]
"""Is told what goes on, in a few words, every few seconds of long work."""

Stamp = tuple[int, int]
"""Of a file: when it was last changed, in nanoseconds, and its bytes. A file with another stamp is another file."""

FOLDER_VARIABLE = "FVSEARCH_INDEXES"
"""Environment variable with the folder, if it is to be another than the user's cache."""

DIGEST = 32
"""Bytes of the checksum that an index begins with: a label that a disk has changed would train without a word."""

TELL_EVERY = 5.0
"""Seconds."""


def silent(activity: str) -> None:
    """Nobody is told."""


def indexes_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where indexes are kept: as the environment says, else in the user's cache folder."""
    import platformdirs

    return Path(environment.get(FOLDER_VARIABLE) or platformdirs.user_cache_path("fvsearch") / "indexes")


def kept_index(name: str, kind: type[T], update: Callable[[T | None], T]) -> T:
    """An index, brought up to date and kept; other processes that want it wait, and then find it done.

    Where the folder cannot be written, nothing is kept.

    Args:
        name: What it is of, whatever the text.
        kind: Of the index: what msgspec writes and reads.
        update: From what was kept, or None, to what holds now.
    """
    import filelock

    path = indexes_folder() / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:24]}.msgpack"
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(filelock.FileLock(path.with_suffix(".lock")))
        except OSError:
            return update(None)
        before = _read(path, kind)
        now = update(before)
        if now != before:
            with contextlib.suppress(OSError):  # a full disk
                content = msgspec.msgpack.encode(now)
                write_atomically(path, hashlib.sha256(content).digest() + content)
        return now


def file_stamp(path: Path) -> Stamp:
    """The stamp of a file.

    Raises:
        OSError: There is no such file.
    """
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def counted(items: Collection[T], what: str, tell: Tell, of: str = "") -> Iterator[T]:
    """The items; meanwhile `tell` hears `checking photos: 12,000 of 1,281,167`.

    Args:
        items: To go through.
        what: What is done with them.
        tell: Is told so.
        of: What an item is, where that does not go without saying.
    """
    told = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            tell(f"{what}: {done:,} of {len(items):,}{f' {of}' if of else ''}")
        yield item


def _read(path: Path, kind: type[T]) -> T | None:
    """What was kept; none where nothing was, or by another version, or where the disk has changed a byte of it."""
    try:
        kept = memoryview(path.read_bytes())
        if hashlib.sha256(kept[DIGEST:]).digest() != kept[:DIGEST]:
            return None
        return msgspec.msgpack.decode(kept[DIGEST:], type=kind)
    except (OSError, ValueError, RecursionError):
        return None
