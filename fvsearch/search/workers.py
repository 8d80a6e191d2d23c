"""How a study's work is sent to workers: the settings of a run, a pool by them, and the jobs that are under way in it."""

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from fvsearch.errors import ConfigError, FvsearchError, RunError
from fvsearch.files import no_room
from fvsearch.ledger import Address
from fvsearch.ledger.crew import Lease
from fvsearch.pools import Kind, NodeLost, Pool, WorkerDied, closing, make_pool
from fvsearch.records import Record

Owner = TypeVar("Owner")
A = TypeVar("A")
R = TypeVar("R")

MAX_DEATHS = 2
"""A task whose worker dies this often has failed: it may be what kills them."""

MAX_LOSSES = 5
"""So has one whose machine was lost this often. That is no fault of the task's, but a cluster that loses so many is of no use to it."""

MAX_TASKS = 25
"""Segments a worker process runs before it is renewed: Keras leaks across models."""


class RunSettings(Record, frozen=True, kw_only=True):
    """How a study is run; nothing here changes what it finds with one worker.

    Attributes:
        backend: For KERAS_BACKEND.
        workers: Trainings at a time.
        pool: "local" processes, processes on the nodes of a "ray" cluster, or "inline" in this one, to debug; or what makes one,
            called as make_pool is but for the kind.
        ray_address: Of the cluster's head, HOST:PORT; else the one that RAY_ADDRESS names, or that runs on this machine, or one of its own.
        time_budget: Seconds after which no trial is started; none is no limit.
        trial_timeout: Seconds that a trial may train, or what confirms one, or a transfer study's training; one that takes longer, or
            hangs, has failed. None is no limit.
        command: For the record.
        calibration: That predictions rest on: a file, "none", or else the one kept for this device if it fits.
        force_backend: Go on under another backend than a study was searched on; what it measures stands beside the other's.
        storage: The database where coordinators share the study's ledger; what the folder says, else the folder itself.
        lease: For how long other coordinators are to believe that this one lives, if they share the ledger.
    """

    backend: str
    workers: int = 1
    pool: Kind | Callable[..., Any] = "local"
    ray_address: str | None = None
    time_budget: float | None = None
    trial_timeout: float | None = None
    command: str = ""
    calibration: str | None = None
    force_backend: bool = False
    storage: Address | None = None
    lease: Lease = Lease()

    def __post_init__(self) -> None:
        if self.trial_timeout is not None and not self.trial_timeout > 0:
            raise ConfigError(f"`trial_timeout` must be above 0 seconds, but got {self.trial_timeout:g}")
        if self.trial_timeout is not None and self.pool == "inline":
            raise ConfigError(
                "`trial_timeout` needs worker processes, which can be stopped, but got the pool 'inline'; leave one of them out"
            )


def open_pool(
    settings: RunSettings, folder: Path, resources: Mapping[str, float], *, alone: bool = False, archs_a_task: int = 1
) -> contextlib.AbstractContextManager[Pool]:
    """A pool for the block that works on the study in a folder.

    Args:
        settings: How the study is run.
        folder: Of the study; the workers' output goes to its workers.log.
        resources: Of a Ray cluster that the study gives each worker.
        alone: Whether it is one worker that has its device to itself, to measure.
        archs_a_task: That a task trains or measures: for each it has as long as a trial may take.

    Raises:
        ConfigError: The study cannot run on the Ray cluster.
        RunError: The Ray cluster cannot be reached.
    """
    make = settings.pool if callable(settings.pool) else functools.partial(make_pool, settings.pool)
    pool = make(
        1 if alone else settings.workers,
        environment={"KERAS_BACKEND": settings.backend},
        log_path=folder / "workers.log",
        max_tasks=MAX_TASKS,
        resources=resources,
        alone=alone,
        address=settings.ray_address,
        timeout=settings.trial_timeout and settings.trial_timeout * archs_a_task,
    )
    return closing(pool)


def run_alone(
    settings: RunSettings,
    folder: Path,
    resources: Mapping[str, float],
    task: Callable[[A], R],
    arguments: Sequence[A],
    what: str,
    archs: int = 1,
) -> tuple[R, ...]:
    """What a task makes of each argument, in order, in one worker that has the device to itself; begun again where it died.

    Args:
        settings: How the study is run.
        folder: Of the study.
        resources: As `open_pool`.
        task: Such as `measure_throughputs`.
        arguments: Of it, one after the other.
        archs: That each measures.
        what: Cannot be measured where it fails: how the error begins.

    Raises:
        ConfigError: As `open_pool`.
        RunError: It failed.
    """
    with open_pool(settings, folder, resources, alone=True, archs_a_task=archs) as pool:
        try:
            return tuple(_tried_again(pool, task, argument) for argument in arguments)
        except Exception as error:
            raise RunError(f"{what} cannot be measured: {as_sentence(error)}") from error


def _tried_again(pool: Pool, task: Callable[[A], R], argument: A) -> R:
    ends = Ends()
    while True:
        try:
            return pool.submit(task, argument).result()
        except WorkerDied as error:
            ends = ends.with_one(error)
            if ends.are_too_many:
                raise ends.as_error(error) from error


class Ends(NamedTuple):
    """How often a task was begun and came to no end.

    Attributes:
        deaths: Of the worker that it was begun on.
        losses: Of the machine.
    """

    deaths: int = 0
    losses: int = 0

    def with_one(self, error: WorkerDied) -> "Ends":
        """With one more."""
        lost = isinstance(error, NodeLost)
        return Ends(self.deaths + (not lost), self.losses + lost)

    @property
    def are_too_many(self) -> bool:
        """Whether the task has failed."""
        return self.deaths >= MAX_DEATHS or self.losses >= MAX_LOSSES

    def as_error(self, error: WorkerDied) -> RunError:
        """Why, by the last of them."""
        how = f"its worker died {self.deaths} times" if self.deaths >= MAX_DEATHS else f"its machine was lost {self.losses} times"
        return RunError(f"{how}: {as_sentence(error)}")


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
        self._start(_Job(owner, argument, Ends()))

    def ended(self, seconds: float = 1.0) -> Iterator[tuple[Owner, R | Exception]]:
        """What each task that ends within so many seconds came to, at the first of them: its result, or why there is none.

        Raises:
            ConfigError: The study's input is wrong, and not this task: every other would end the same way.
            DiskFullError: So would every other on a full disk.
        """
        done, _ = concurrent.futures.wait(self._running, timeout=seconds, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            job = self._running.pop(future)
            outcome: R | Exception
            try:
                outcome = future.result()
            except WorkerDied as error:
                job = job._replace(ends=job.ends.with_one(error))
                if not job.ends.are_too_many:
                    self._start(job)
                    continue
                outcome = job.ends.as_error(error)
            except ConfigError:
                raise
            except Exception as error:
                if full := no_room(error):
                    raise full from error
                outcome = error
            yield job.owner, outcome

    def _start(self, job: "_Job[Owner, A]") -> None:
        self._running[self._pool.submit(self._task, job.argument)] = job


class _Job(NamedTuple, Generic[Owner, A]):
    """A task under way.

    Attributes:
        ends: That it came to before.
    """

    owner: Owner
    argument: A
    ends: Ends
