"""How a study's work is sent to workers: the settings of a run, and a pool by them."""

import contextlib
from pathlib import Path
from typing import Literal

from fvsearch.errors import FvsearchError
from fvsearch.pools import Pool, closing, make_pool
from fvsearch.records import Record

MAX_DEATHS = 2
"""A training whose worker dies this often has failed: it may be what kills them."""

MAX_TASKS = 25
"""Segments a worker process runs before it is renewed: Keras leaks across models."""


class RunSettings(Record, frozen=True, kw_only=True):
    """How a study is run; nothing here changes what it finds with one worker.

    Attributes:
        backend: For KERAS_BACKEND.
        workers: Trainings at a time.
        pool: "local" processes, or "inline" in this one, to debug.
        time_budget: Seconds after which no trial is started; none is no limit.
        command: For the record.
        calibration: That predictions rest on: a file, "none", or else the one kept for this device if it fits.
        force_backend: Go on under another backend than a study was searched on; what it measures stands beside the other's.
    """

    backend: str
    workers: int = 1
    pool: Literal["local", "inline"] = "local"
    time_budget: float | None = None
    command: str = ""
    calibration: str | None = None
    force_backend: bool = False


def open_pool(settings: RunSettings, folder: Path, num_workers: int | None = None) -> contextlib.AbstractContextManager[Pool]:
    """A pool for the block that works on the study in a folder.

    Args:
        settings: How the study is run.
        folder: Of the study; the workers' output goes to its workers.log.
        num_workers: Instead of the settings'.
    """
    pool = make_pool(
        settings.pool,
        num_workers or settings.workers,
        environment={"KERAS_BACKEND": settings.backend},
        log_path=folder / "workers.log",
        max_tasks=MAX_TASKS,
    )
    return closing(pool)


def as_sentence(error: BaseException) -> str:
    """An error of a worker as one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FvsearchError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
