"""The local pool: worker processes on this machine, kept warm, each alone with a pair of pipes.

Why not a process pool from a library: in Pebble 5.2, whose workers share one pipe and its locks, a worker killed while idle breaks the
pool, stopping two busy workers takes six seconds and leaves their futures running for ever, and after a kill -9 of the coordinator its
workers go on to the end of their tasks. And in any pool on multiprocessing, a worker runs the user's script again first, before an
initializer can set its environment. Here nothing is shared, so nothing of a dead worker can hold up another.
"""

import contextlib
import os
import pickle
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, TypeVar

from fvsearch.errors import RunError
from fvsearch.pools._environment import worker_environment
from fvsearch.pools._frames import read_frame, write_frame
from fvsearch.pools.base import TimedOut, WorkerDied

A = TypeVar("A")
R = TypeVar("R")

_POLL_SECONDS = 1.0
"""Between looks at whether a silent worker lives: its pipe need not end with it where it forked."""


class LocalPool:
    """Worker processes, started when first needed, started anew after they died, timed out or did `max_tasks` tasks.

    Args:
        num_workers: Processes that work side by side.
        environment: Variables for the workers; KERAS_BACKEND among them, for they have it before they start.
        log_path: File to which the workers' output is appended; none throws it away.
        max_tasks: After which a worker is replaced, for Keras leaks from model to model; none keeps it.
        timeout: Seconds that a task may take; none is no limit.
    """

    def __init__(
        self,
        num_workers: int,
        *,
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        max_tasks: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self._environment = worker_environment(environment or {}, num_workers)
        self._log_path, self._max_tasks, self._timeout = log_path, max_tasks, timeout
        self._jobs: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = self._cancelled = False
        self._workers: set[_Worker] = set()
        # Daemons: a coordinator that ends without closing its pool must not wait for them, and its workers end with it.
        self._threads = [threading.Thread(target=self._serve, name=f"fvsearch-worker-{i}", daemon=True) for i in range(num_workers)]
        for thread in self._threads:
            thread.start()

    @property
    def num_workers(self) -> int:
        """Tasks that run side by side."""
        return len(self._threads)

    def submit(self, fn: Callable[[A], R], argument: A) -> Future[R]:
        """Start `fn(argument)`, or queue it where all workers are busy.

        Raises:
            RunError: The pool is closed, or a worker could not import the function.
        """
        if fn.__module__ == "__main__":
            raise RunError(
                f"a task must be a function that a worker can import, but got {fn.__qualname__} of the script itself; move it to a module"
            )
        future: Future[R] = Future()
        job = (future, pickle.dumps((fn, argument)))
        with self._lock:
            if self._closed:
                raise RunError("a task must be submitted before its pool is closed")
            self._jobs.put(job)
        return future

    def close(self, *, cancel: bool = False) -> None:
        """End the workers and wait until they are gone: when all tasks have ended, or at once.

        Args:
            cancel: To kill what runs and drop what is queued; their futures raise CancelledError.
        """
        with self._lock:
            self._closed = True
            self._cancelled = self._cancelled or cancel
            for worker in self._workers if cancel else ():
                worker.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """Do one job after another, each in this thread's own worker."""
        worker: _Worker | None = None
        while (job := self._jobs.get()) is not None:
            future, task = job
            if self._cancelled:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if worker and not worker.alive:
                    self._stop(worker)
                    worker = None
                worker = worker or self._start()
                result = worker.perform(task, self._timeout)
            except BaseException as error:
                future.set_exception(CancelledError() if self._cancelled else error)
                if isinstance(error, WorkerDied | TimedOut):
                    self._stop(worker)
                    worker = None
            else:
                future.set_result(result)
            if worker and self._max_tasks and worker.num_tasks >= self._max_tasks:
                self._stop(worker)
                worker = None
        self._stop(worker)

    def _start(self) -> "_Worker":
        with self._lock:
            if self._cancelled:
                raise CancelledError
            worker = _Worker(self._environment, self._log_path)
            self._workers.add(worker)
            return worker

    def _stop(self, worker: "_Worker | None") -> None:
        if worker:
            with self._lock:
                self._workers.discard(worker)
            worker.stop()


class _Worker:
    """One process and the two pipes to it."""

    def __init__(self, environment: Mapping[str, str], log_path: Path | None) -> None:
        self.num_tasks = 0
        self._log_path = log_path
        tasks, self._tasks = os.pipe()
        self._results, results = os.pipe()
        try:
            with open(log_path or os.devnull, "ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "fvsearch.pools._worker", str(tasks), str(results)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=(tasks, results),
                    # Its own process group, so that it can be killed with all that it starts, and is not meant by a Ctrl-C.
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._tasks)
            os.close(self._results)
            raise
        finally:
            # The worker alone has these ends now, so that they end with it.
            os.close(tasks)
            os.close(results)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def perform(self, task: bytes, timeout: float | None) -> Any:
        """Have the worker do a pickled task, and wait for its result.

        Raises:
            WorkerDied: The process ended first.
            TimedOut: The time limit did.
            BaseException: Whatever the task raised.
        """
        self.num_tasks += 1
        limit = time.monotonic() + timeout if timeout else float("inf")
        try:
            write_frame(self._tasks, task)
            while not self._readable(max(0.0, min(_POLL_SECONDS, limit - time.monotonic()))):
                if time.monotonic() >= limit:
                    raise TimedOut(f"a task must end within {timeout:g} s, but it did not, and its worker was stopped{self._see_log}")
                if not self.alive and not self._readable(0.0):
                    raise EOFError
            result, error = pickle.loads(read_frame(self._results))
        except (EOFError, BrokenPipeError):
            raise self._death() from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End the process, and all that it started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Kill it and let go of what the system keeps for it."""
        self.kill()
        self._process.wait()
        os.close(self._tasks)
        os.close(self._results)

    def _readable(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._results, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    @property
    def _see_log(self) -> str:
        return f"; its output is in {self._log_path}" if self._log_path else ""

    def _death(self) -> WorkerDied:
        try:
            # The pipe ends a moment before the process does.
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return WorkerDied(f"a worker must live until its task ends, but process {self._process.pid} closed its pipe{self._see_log}")
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"
        hint = " (as the system does when memory runs out)" if code == -signal.SIGKILL else ""
        return WorkerDied(f"a worker must live until its task ends, but process {self._process.pid} {how}{hint}{self._see_log}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
