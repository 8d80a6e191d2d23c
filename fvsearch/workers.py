"""How a study's work is sent to workers: the settings of a run, a pool by them, and the jobs that are under way in it."""

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from fvsearch.errors import ConfigError, FvsearchError, RunError
from fvsearch.ledger import Address
from fvsearch.ledger.crew import Lease
from fvsearch.pools import Pool, WorkerDied, closing, make_pool
from fvsearch.records import Record

Owner = TypeVar("Owner")
A = TypeVar("A")
R = TypeVar("R")

MAX_DEATHS = 2
"""A task whose worker dies this often has failed: it may be what kills them."""

MAX_TASKS = 25
"""Segments a worker process runs before it is renewed: Keras leaks across models."""


class RunSettings(Record, frozen=True, kw_only=True):
    """How a study is run; nothing here changes what it finds with one worker.

    Attributes:
        backend: For KERAS_BACKEND.
        workers: Trainings at a time.
        pool: "local" processes, or "inline" in this one, to debug; or what makes one, called as make_pool is but for the kind.
        time_budget: Seconds after which no trial is started; none is no limit.
        command: For the record.
        calibration: That predictions rest on: a file, "none", or else the one kept for this device if it fits.
        force_backend: Go on under another backend than a study was searched on; what it measures stands beside the other's.
        storage: The database where coordinators share the study's ledger; what the folder says, else the folder itself.
        lease: For how long other coordinators are to believe that this one lives, if they share the ledger.
    """

    backend: str
    workers: int = 1
    pool: Literal["local", "inline"] | Callable[..., Any] = "local"
    time_budget: float | None = None
    command: str = ""
    calibration: str | None = None
    force_backend: bool = False
    storage: Address | None = None
    lease: Lease = Lease()


def open_pool(settings: RunSettings, folder: Path, num_workers: int | None = None) -> contextlib.AbstractContextManager[Pool]:
    """A pool for the block that works on the study in a folder.

    Args:
        settings: How the study is run.
        folder: Of the study; the workers' output goes to its workers.log.
        num_workers: Instead of the settings'.
    """
    make = settings.pool if callable(settings.pool) else functools.partial(make_pool, settings.pool)
    pool = make(
        num_workers or settings.workers,
        environment={"KERAS_BACKEND": settings.backend},
        log_path=folder / "workers.log",
        max_tasks=MAX_TASKS,
    )
    return closing(pool)


def run_alone(settings: RunSettings, folder: Path, task: Callable[[A], R], arguments: Sequence[A], what: str) -> tuple[R, ...]:
    """What a task makes of each argument, in order, in one worker that has the device to itself.

    Args:
        settings: How the study is run.
        folder: Of the study.
        task: Such as `measure_throughputs`.
        arguments: Of it, one after the other.
        what: Cannot be measured where it fails: how the error begins.

    Raises:
        RunError: It failed.
    """
    try:
        with open_pool(settings, folder, 1) as pool:
            return tuple(pool.submit(task, argument).result() for argument in arguments)
    except Exception as error:
        raise RunError(f"{what} cannot be measured: {as_sentence(error)}") from error


def as_sentence(error: BaseException) -> str:
    """An error of a worker as one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FvsearchError) else f"{type(error).__name__}: {text}" if text else type(error).__name__


class Jobs(Generic[Owner, A, R]):
    """Tasks under way in a pool, each with what it is for. One whose worker died is begun again, for it may have been the worker's fault.

    Args:
        pool: Where they run.
        task: What is done with each argument.
    """

    def __init__(self, pool: Pool, task: Callable[[A], R]) -> None:
        self._pool, self._task = pool, task
        self._running: dict[concurrent.futures.Future[R], _Job[Owner, A]] = {}

    @property
    def owners(self) -> tuple[Owner, ...]:
        """What the tasks under way are for."""
        return tuple(job.owner for job in self._running.values())

    @property
    def has_room(self) -> bool:
        """Whether a worker is free."""
        return len(self._running) < self._pool.num_workers

    def submit(self, owner: Owner, argument: A) -> None:
        """Start a task."""
        self._start(_Job(owner, argument, 0))

    def ended(self, seconds: float = 1.0) -> Iterator[tuple[Owner, R | Exception]]:
        """What each task that ends within so many seconds came to, at the first of them: its result, or why there is none.

        Raises:
            ConfigError: The study's input is wrong, and not this task: every other would end the same way.
        """
        done, _ = concurrent.futures.wait(self._running, timeout=seconds, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            job = self._running.pop(future)
            outcome: R | Exception
            try:
                outcome = future.result()
            except WorkerDied as error:
                if job.deaths + 1 < MAX_DEATHS:
                    self._start(job._replace(deaths=job.deaths + 1))
                    continue
                outcome = RunError(f"its worker died {MAX_DEATHS} times: {as_sentence(error)}")
            except ConfigError:
                raise
            except Exception as error:
                outcome = error
            yield job.owner, outcome

    def _start(self, job: "_Job[Owner, A]") -> None:
        self._running[self._pool.submit(self._task, job.argument)] = job


class _Job(NamedTuple, Generic[Owner, A]):
    """A task under way.

    Attributes:
        deaths: Of workers that it was begun on.
    """

    owner: Owner
    argument: A
    deaths: int
