"""One measurement at a time on a device, across processes."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


def lock_path(device: str) -> Path:
    """Where the device's lock is: in the user's own folder under the system's temporary one."""
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return Path(tempfile.gettempdir(), f"fvsearch-{os.getuid()}", f"{name}.lock")


@contextlib.contextmanager
def device_lock(device: str) -> Iterator[None]:
    """Own the device for a measurement while the block runs; wait for whoever owns it. The owner's death frees it."""
    import filelock

    path = lock_path(device)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with filelock.FileLock(path):
        yield
