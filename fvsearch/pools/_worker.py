"""A worker: one process behind a loky executor of its own. `Worker` is the pool's side of it, the functions below are its own.

loky starts the process, without the user's script in it, and carries calls. Alone in its executor, a worker shares no queue and no lock
with another, so that its death touches no other.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import loky.backend.resource_tracker
from loky import ProcessPoolExecutor

from fvsearch.errors import RunError
from fvsearch.pools.base import TimedOut, WorkerDied

_POLL_SECONDS = 1.0
"""Between looks at whether a silent worker lives: where it forked, loky does not see it die."""

_ANSWER_SECONDS = 10.0
"""That an idle worker may take to say that it lives; one that was stopped, or swapped out, never does."""

# No file in the working folder may pass for a module of Python's. And loky is not to replace workers by the memory they take, for a
# backend alone takes more than it allows: the pool's `max_tasks` is there for that.
_ENVIRONMENT = {"PYTHONSAFEPATH": "1", "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}


def start_trackers() -> None:
    """Start the processes that tidy up after a killed coordinator, loky's and Python's; they are to do so in silence."""
    ours = {"PYTHONWARNINGS": "ignore", "PYTHONSAFEPATH": "1"}
    before = {name: os.environ[name] for name in ours if name in os.environ}
    os.environ.update(ours)
    try:
        loky.backend.resource_tracker.ensure_running()
        resource_tracker.ensure_running()
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)


class Worker:
    """One process, and the executor that is for it alone.

    Args:
        environment: Variables to set before it starts, beside those of this process.
        log_path: File to which its output is appended; none throws it away.

    Raises:
        OSError: The log cannot be written.
        WorkerDied: The process ended before it could do anything.

    Attributes:
        num_tasks: That it has done.
        ended: Whether it died, or timed out; all that is left to do is to stop it.
    """

    def __init__(self, environment: dict[str, str], log_path: Path | None) -> None:
        self.num_tasks, self.ended = 0, False
        self._see_log = f"; its output is in {log_path}" if log_path else ""
        if log_path:
            # An error here is one that the user reads; the worker could only die of it.
            open(log_path, "ab").close()
        self._executor = ProcessPoolExecutor(1, env=environment | _ENVIRONMENT, initializer=_settle, initargs=(os.getpid(), log_path))
        # When the interpreter ends before the pool is closed, loky is to kill what runs, not to wait for it.
        self._executor._flags.kill_workers = True
        try:
            self._pid: int = self._executor.submit(os.getpid).result()
            (self._process,) = (child for child in multiprocessing.active_children() if child.pid == self._pid)
            # Tasks and results pass in a file: of a worker killed in the middle of a message, loky would await the rest for ever. What is
            # left to send is less than the system writes in one piece. loky's tracker removes the file, whatever the coordinator comes to.
            descriptor, name = tempfile.mkstemp(prefix="fvsearch-")
        except (BrokenProcessPool, ValueError):
            self._executor.shutdown(kill_workers=True)
            raise WorkerDied(f"a worker must start, but it ended{self._see_log}") from None
        except BaseException:
            # A full disk, say: nobody else knows of the process yet.
            self._executor.shutdown(kill_workers=True)
            raise
        os.close(descriptor)
        self._path = Path(name)
        loky.backend.resource_tracker.register(name, "file")

    @property
    def answers(self) -> bool:
        """Whether the process lives and waits for a task."""
        with contextlib.suppress(WorkerDied, TimedOut):
            self._call(os.getpid, timeout=_ANSWER_SECONDS)
        return not self.ended

    def perform(self, task: bytes, timeout: float | None) -> Any:
        """What a pickled task returns.

        Raises:
            WorkerDied: The process ended first.
            TimedOut: The time limit did.
            BaseException: Whatever the task raised.
        """
        self._path.write_bytes(task)
        self._call(_perform, self._path, timeout=timeout)
        self.num_tasks += 1
        result, error = pickle.loads(self._path.read_bytes())
        if error is not None:
            raise error
        return result

    def _call(self, fn: Callable[..., Any], *arguments: Any, timeout: float | None = None) -> None:
        left, alive = timeout or float("inf"), True
        try:
            future = self._executor.submit(fn, *arguments)
            while left > 0:
                alive, asked = self._process.is_alive(), time.monotonic()
                with contextlib.suppress(TimeoutError):
                    future.result(min(_POLL_SECONDS, left))
                    return
                if not alive:
                    break
                # While this process itself was stopped, or the machine slept, no time of the task's went by.
                left -= min(time.monotonic() - asked, 2 * _POLL_SECONDS)
        except BrokenProcessPool:
            alive = False
        self.ended = True
        if alive:
            raise TimedOut(f"a task must end within {timeout:g} s, but it did not, and its worker was stopped{self._see_log}")
        # loky's word may come a moment before the system's.
        self._process.join(timeout=5)
        code = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if -32 < code < 0 else f"ended with exit code {code}"
        hint = " (as the system does when memory runs out)" if code == -signal.SIGKILL else ""
        raise WorkerDied(f"a worker must live until its task ends, but process {self._pid} {how}{hint}{self._see_log}")

    def kill(self) -> None:
        """End the process, and all that it started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)

    def stop(self) -> None:
        """Kill it and let go of what the system keeps for it."""
        self.kill()
        self._executor.shutdown(kill_workers=True)
        self._process.join()
        loky.backend.resource_tracker.maybe_unlink(str(self._path), "file")


def _settle(coordinator: int, log_path: Path | None) -> None:
    """Make a fresh process a worker."""
    # Ctrl-C in a terminal is meant for the coordinator, which decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # Its own process group, so that it can be killed with all that it starts.
    os.setsid()
    _leave_guard()
    threading.Thread(target=_watch, args=(coordinator,), daemon=True).start()
    log = os.open(log_path or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace") for number in (1, 2))
    # A crash below Python leaves its stack in the log.
    faulthandler.enable()


def _leave_guard() -> None:
    """A process that ends what this one started once this one is gone, where nobody is left to do so: Ray kills a worker alone."""
    worker = os.getpid()
    if os.fork() == 0:
        # Not to hold any pipe of the worker's open.
        os.closerange(0, min(os.sysconf("SC_OPEN_MAX"), 2**16))
        while os.getppid() == worker:
            time.sleep(0.2)
        os.killpg(0, signal.SIGKILL)


def _watch(coordinator: int) -> None:
    """End the worker and all that it started when its coordinator ends, by whatever cause, in the middle of a training if need be."""
    while os.getppid() == coordinator:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def _perform(path: Path) -> None:
    """Do the pickled task in the file; then the file holds the pickled pair (result, None) or (None, exception)."""
    try:
        fn, argument = pickle.loads(path.read_bytes())
        ended = pickle.dumps((fn(argument), None))
    except BaseException as error:
        error.add_note(f"In the worker:\n{''.join(traceback.format_exception(error))}")
        ended = pickle.dumps((None, portable(error)))
    path.write_bytes(ended)


def portable(error: BaseException) -> BaseException:
    """The exception itself where reading it loads nothing into the coordinator that it lacks, else its text."""
    home = type(error).__module__
    plain = all(isinstance(argument, str | int | float | None) for argument in error.args)
    if plain and (home == "builtins" or home.startswith("fvsearch.")):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    portable = RunError(f"{type(error).__name__}: {error}")
    for note in error.__notes__:
        portable.add_note(note)
    return portable
