"""Calibrates the predictors of a study's costs on this device: a designed sample, its measurement, the fit, and where that is kept.

sample.py    which archs are measured
measure.py   measures them in a worker process
draft.py     keeps them until all are measured
fit.py       prices from measurements, and how far they err
machine.py   which machine this is
store.py     keeps calibrations, finds the one that fits
choose.py    decides which one a search uses
"""

import contextlib
import shutil
from pathlib import Path

from fvsearch.calibrating.draft import Draft, Header
from fvsearch.calibrating.fit import LEAST_ARCHS, fit_calibration
from fvsearch.calibrating.measure import OnProgress, Worker, describe_machine, measure_sample
from fvsearch.calibrating.sample import designed_sample
from fvsearch.calibrating.store import calibration_path, load_calibration, save_calibration
from fvsearch.costs.calibration import Calibration, Machine, Sampled, Skipped
from fvsearch.costs.conditions import Conditions
from fvsearch.errors import ConfigError, RunError
from fvsearch.files import locked_folder
from fvsearch.meters.measured import Activity
from fvsearch.pools import make_pool
from fvsearch.records import Record, require_at_least
from fvsearch.study import Study

__all__ = ["Calibrated", "CalibrationSettings", "calibrate"]


class CalibrationSettings(Record, frozen=True, kw_only=True):
    """How a study is calibrated.

    Attributes:
        backend: For KERAS_BACKEND.
        archs: To measure, baseline counted in; a study that has fewer gives them all.
        seconds: To measure each, once compiled.
        out: File to keep the calibration in; by default one of the user's cache folder.
        again: Whether to measure anew what is kept already.
    """

    backend: str
    archs: int = 25
    seconds: float = 4.0
    out: Path | None = None
    again: bool = False

    def __post_init__(self) -> None:
        require_at_least(LEAST_ARCHS, self, "archs")
        if not self.seconds > 0:
            raise ConfigError(f"`seconds` must be above 0, but got {self.seconds:g}")


class Calibrated(Record, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        path: Where the calibration is kept.
        measured: Whether it was measured now; else it was kept already.
    """

    calibration: Calibration
    path: str
    measured: bool


def calibrate(study: Study, settings: CalibrationSettings, on_progress: OnProgress = lambda done, total, activity: None) -> Calibrated:
    """Measure a designed sample of a study's archs, fit the predictors of memory and step time, and keep them.

    Interrupted at any point, the same call goes on from there.

    Args:
        study: Whose archs and step.
        settings: How.
        on_progress: Told how many archs are measured, of how many, and what begins.

    Raises:
        ConfigError: The study has too few archs, or the file cannot be written or holds something else.
        LockedError: Another process calibrates into the same folder.
        RunError: The baseline cannot be measured, or too few others can.
    """
    archs = designed_sample(study, settings.archs)
    if len(archs) < LEAST_ARCHS:
        raise ConfigError(f"a calibration needs at least {LEAST_ARCHS} archs, but {study.name} has {len(archs)}")
    _require_replaceable(settings.out)
    conditions = Conditions.of(study, settings.backend)
    with Worker(lambda: make_pool("local", 1, environment={"KERAS_BACKEND": settings.backend})) as worker:
        on_progress(0, len(archs), Activity("start"))
        machine: Machine = worker.submit(describe_machine, settings.backend).result()
        path = settings.out or calibration_path(conditions, machine)
        folder = path.with_name(f"{path.stem}.draft")
        kept = None if settings.again else _kept(path, conditions, machine, len(archs))
        if kept and not folder.exists():
            return Calibrated(calibration=kept, path=str(path), measured=False)
        with locked_folder(folder, patience=0.0):
            sample_path = folder / "sample.jsonl"
            if settings.again:
                sample_path.unlink(missing_ok=True)
            draft = Draft(sample_path, Header(conditions=conditions, machine=machine, seconds=settings.seconds))
            measure_sample(study, archs, draft, settings.seconds, worker, on_progress)
            entries = [draft.entries[arch.arch_hash] for arch in archs]
            sampled = [entry for entry in entries if isinstance(entry, Sampled)]
            skipped = [entry for entry in entries if isinstance(entry, Skipped)]
            try:
                calibration = fit_calibration(conditions, machine, sampled, skipped)
            except RunError:
                # What was skipped would be skipped again; the next call is to measure it anew.
                shutil.rmtree(folder, ignore_errors=True)
                raise
            save_calibration(calibration, path)
            shutil.rmtree(folder, ignore_errors=True)
    return Calibrated(calibration=calibration, path=str(path), measured=True)


def _require_replaceable(path: Path | None) -> None:
    """The law that a file to keep a calibration in is new, or holds one."""
    if path and path.exists():
        try:
            load_calibration(path)
        except ConfigError:
            raise ConfigError(f"{path} holds something else than a calibration of this version of fvsearch; give another file") from None


def _kept(path: Path, conditions: Conditions, machine: Machine, archs: int) -> Calibration | None:
    """The calibration that is kept already, if it fits and holds as many archs."""
    with contextlib.suppress(ConfigError):
        calibration = load_calibration(path)
        if not calibration.differences(conditions, machine) and len(calibration.sample) + len(calibration.skipped) == archs:
            return calibration
    return None
