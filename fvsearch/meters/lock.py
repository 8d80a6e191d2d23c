"""One measurement at a time on a device, across processes."""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path


def lock_path(device: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the device's lock is: in the user's own folder under the system's temporary one.

    Of several accelerators of one name, steps run on the first that the process sees: CUDA_VISIBLE_DEVICES tells which of the machine's
    that is. A GPU that one process names by its index and another by its id has two locks.

    Args:
        device: Its name, "cpu" for the processor.
        environment: To look for CUDA_VISIBLE_DEVICES in.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    name = device if device == "cpu" else f"{device} {visible}"
    return Path(tempfile.gettempdir(), f"fvsearch-{os.getuid()}", f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.lock")


@contextlib.contextmanager
def device_lock(device: str, on_wait: Callable[[str], None] = lambda owner: None) -> Iterator[None]:
    """Own the device for a measurement while the block runs; wait for whoever owns it. The owner's death frees it.

    Args:
        device: Its name.
        on_wait: Told who owns it, such as "process 4711", if there is anyone to wait for.
    """
    import filelock

    path = lock_path(device)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lock, owner = filelock.FileLock(path), path.with_suffix(".owner")
    try:
        owned = lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait(_read_owner(owner))
        owned = lock.acquire()
    with owned:
        owner.write_text(str(os.getpid()), encoding="ascii")
        yield


def _read_owner(path: Path) -> str:
    """Who owns the lock, as far as it has said so by now."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
