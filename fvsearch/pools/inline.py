"""The inline pool: work runs in this process, at `submit`, where a debugger sees it."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


class InlinePool:
    """One worker: the process itself. It has no time limit, no log of its own, and Ctrl-C interrupts the work.

    Args:
        environment: Variables to set in this process; too late for a backend that was imported before.
    """

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        os.environ.update(environment or {})

    @property
    def num_workers(self) -> int:
        """1."""
        return 1

    def submit(self, fn: Callable[[A], R], argument: A) -> Future[R]:
        """Run `fn(argument)` to its end; the future is done."""
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(argument))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, cancel: bool = False) -> None:
        """Nothing is running."""
