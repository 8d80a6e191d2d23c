"""The contract between a search and where its work runs.

A unit of work is an importable function and one argument, picklable in and picklable out, a pure function of its input: so it may run in
this process, in another, or on another machine, and run again where it was interrupted.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from fvsearch.errors import RunError

A = TypeVar("A")
R = TypeVar("R")


class WorkerDied(RunError):  # noqa: N818 - says what happened, as Stopped and Failed do
    """The process that worked on a task ended before the task did: killed, out of memory, or a crash below Python."""


class NodeLost(WorkerDied):
    """The machine that a worker was on was lost, or the worker before it had begun: no fault of the task's."""


class TimedOut(RunError):  # noqa: N818
    """A task took longer than its time limit, and its worker was stopped."""


class Pool(Protocol):
    """Where tasks run."""

    @property
    def num_workers(self) -> int:
        """Tasks that run side by side; submit no more than that at once, and the next when one ends."""
        ...

    def submit(self, fn: Callable[[A], R], argument: A) -> Future[R]:
        """Start `fn(argument)`, or queue it where all workers are busy.

        The future raises what `fn` raised (from another process only Python's own errors and ours keep their type; others become
        RunErrors, for they may drag a backend in here); WorkerDied or TimedOut where the worker came to an end first, NodeLost where its
        machine did; CancelledError where the pool was closed.
        """
        ...

    def close(self, *, cancel: bool = False) -> None:
        """End the workers: when their tasks have ended, or now.

        Args:
            cancel: To stop what runs and drop what is queued.
        """
        ...
