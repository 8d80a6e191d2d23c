"""The local pool: worker processes on this machine, kept warm."""

import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from fvsearch.errors import RunError
from fvsearch.pools._worker import Worker, start_trackers
from fvsearch.training.environment import worker_environment

A = TypeVar("A")
R = TypeVar("R")


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
        self.num_workers = num_workers
        self._environment = worker_environment(environment or {}, num_workers)
        self._log_path, self._max_tasks, self._timeout = log_path, max_tasks, timeout
        self._lock = threading.Lock()
        self._closed = self._cancelled = False
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        start_trackers()
        # A thread for each worker, to wait for it. What the worker inherits: a Ctrl-C before it has settled would be its end.
        self._threads = ThreadPoolExecutor(num_workers, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, {signal.SIGINT}))

    def submit(self, fn: Callable[[A], R], argument: A) -> Future[R]:
        """Start `fn(argument)`, or queue it where all workers are busy.

        Raises:
            RunError: The pool is closed, or a worker could not import the function.
        """
        if fn.__module__ == "__main__":
            raise RunError(
                f"a task must be a function that a worker can import, but got {fn.__qualname__} of the script itself; move it to a module"
            )
        if self._closed:
            raise RunError("a task must be submitted before its pool is closed")
        return self._threads.submit(self._run, pickle.dumps((fn, argument)))

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
        self._threads.shutdown(cancel_futures=cancel)
        while self._workers:
            self._drop(self._workers[0])

    def _run(self, task: bytes) -> Any:
        if self._cancelled:
            raise CancelledError
        worker = self._take()
        try:
            return worker.perform(task, self._timeout)
        except BaseException:
            if self._cancelled:
                raise CancelledError from None
            raise
        finally:
            if worker.ended or worker.num_tasks == self._max_tasks:
                self._drop(worker)
            else:
                self._idle.append(worker)

    def _take(self) -> Worker:
        """An idle worker, or a new one; one that was killed while idle costs no task."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker and not worker.answers:
            self._drop(worker)
            worker = None
        if not worker:
            worker = Worker(self._environment, self._log_path)
            with self._lock:
                self._workers.append(worker)
        if self._cancelled:
            worker.kill()
        return worker

    def _drop(self, worker: Worker) -> None:
        with self._lock:
            self._workers.remove(worker)
        worker.stop()
