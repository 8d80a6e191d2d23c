"""A device to oneself, across processes: one measurement at a time, and none of fvsearch's trainings meanwhile.

Trainings share a device, a measurement has it alone. While one waits no training begins another epoch, and those under way end theirs
first; then it is they that wait.
"""

import contextlib
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any


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
        on_wait: Told for whom, such as "process 4711, which measures on this device", if there is anyone to wait for.
    """
    import filelock

    path = lock_path(device)
    lock, owner = _gate(path), path.with_suffix(".owner")
    try:
        owned = lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait(f"{_read_owner(owner)}, which measures on this device")
        owned = lock.acquire()
    with owned, _trainings(path) as trainings:
        owner.write_text(str(os.getpid()), encoding="ascii")
        try:
            fcntl.flock(trainings, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait("trainings on this device to end their epochs")
            fcntl.flock(trainings, fcntl.LOCK_EX)
        yield


class SharedDevice:
    """A device that this process trains on while the block runs, beside others that do.

    Args:
        device: Its name.

    Attributes:
        waited: Seconds for which it was a measurement's.
    """

    def __init__(self, device: str) -> None:
        self._path = lock_path(device)
        self._open = contextlib.ExitStack()
        self.waited = 0.0

    def __enter__(self) -> "SharedDevice":
        self._lock = _gate(self._path)
        self._trainings = self._open.enter_context(_trainings(self._path))
        self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._open.close()

    def give_way(self) -> None:
        """Let a measurement that waits have the device first."""
        fcntl.flock(self._trainings, fcntl.LOCK_UN)
        self._take()

    def _take(self) -> None:
        started = time.perf_counter()
        # A measurement keeps the gate while it waits for trainings and while it runs.
        with self._lock.acquire():
            fcntl.flock(self._trainings, fcntl.LOCK_SH)
        self.waited += time.perf_counter() - started


def _gate(path: Path) -> Any:
    import filelock

    path.parent.mkdir(mode=0o700, exist_ok=True)
    return filelock.FileLock(path)


def _trainings(path: Path) -> IO[bytes]:
    """The file whose lock trainings share."""
    return path.with_suffix(".trainings").open("ab")


def _read_owner(path: Path) -> str:
    """Who owns the lock, as far as it has said so by now."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
