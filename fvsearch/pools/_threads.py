"""What pools of workers share: a thread waits for each, which is kept, replaced or dropped. Where workers run is the pool's to say."""

import abc
import heapq
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from fvsearch.errors import RunError

A = TypeVar("A")
R = TypeVar("R")


class PoolWorker(Protocol):
    """What does tasks, one after the other.

    Attributes:
        num_tasks: That it has done.
        ended: Whether it died, or timed out; all that is left to do is to stop it.
    """

    num_tasks: int
    ended: bool

    @property
    def answers(self) -> bool:
        """Whether it lives and waits for a task."""
        ...

    def perform(self, task: bytes, timeout: float | None) -> Any:
        """What a pickled task, a function and its argument, returns or raises; WorkerDied or TimedOut where the worker ended first."""
        ...

    def kill(self) -> None:
        """End it, and all that it started, now; may be called while it performs."""
        ...

    def stop(self) -> None:
        """Kill it, wait until it is gone, and let go of what is kept for it."""
        ...


class WorkerPool(abc.ABC):
    """Workers, started when first needed, started anew after they died, timed out or did `max_tasks` tasks.

    Each has a place, a number from 0 below `num_workers`, that no other has while it lives.

    Args:
        num_workers: That work side by side.
        max_tasks: After which a worker is replaced, for Keras leaks from model to model; none keeps it.
        timeout: Seconds that a task may take; none is no limit.
    """

    def __init__(self, num_workers: int, max_tasks: int | None, timeout: float | None) -> None:
        self.num_workers = num_workers
        self._max_tasks, self._timeout = max_tasks, timeout
        self._lock = threading.Lock()
        self._closed = self._cancelled = False
        self._workers: dict[PoolWorker, int] = {}
        self._free = list(range(num_workers))
        self._idle: list[PoolWorker] = []
        # A thread for each worker, to wait for it. What the worker inherits: a Ctrl-C before it has settled would be its end.
        self._threads = ThreadPoolExecutor(num_workers, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, {signal.SIGINT}))

    @abc.abstractmethod
    def _new_worker(self, place: int) -> PoolWorker:
        """A worker at a place."""

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
            self._drop(next(iter(self._workers)))

    def _run(self, task: bytes) -> Any:
        if self._cancelled:
            raise CancelledError
        try:
            worker = self._take()
            try:
                return worker.perform(task, self._timeout)
            finally:
                if worker.ended or worker.num_tasks == self._max_tasks:
                    self._drop(worker)
                else:
                    self._idle.append(worker)
        except BaseException:
            if self._cancelled:
                raise CancelledError from None
            raise

    def _take(self) -> PoolWorker:
        """An idle worker, or a new one."""
        return self._idle_worker() or self._added(self._new_worker)

    def _idle_worker(self) -> PoolWorker | None:
        """A worker that waits for a task, if there is one; one that ended while idle costs no task."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker and not worker.answers:
            self._drop(worker)
            return None
        return worker

    def _added(self, make: Callable[[int], PoolWorker]) -> PoolWorker:
        """A worker that is made at a free place, and counts as the pool's from then on."""
        with self._lock:
            place = heapq.heappop(self._free)
        try:
            worker = make(place)
        except BaseException:
            with self._lock:
                heapq.heappush(self._free, place)
            raise
        with self._lock:
            self._workers[worker] = place
            if self._cancelled:
                worker.kill()
        return worker

    def _drop(self, worker: PoolWorker) -> None:
        with self._lock:
            place = self._workers.pop(worker)
        worker.stop()
        with self._lock:
            heapq.heappush(self._free, place)
