"""Where calibrations are kept, and which one fits: one JSON file for each device, backend and conditions, in the user's cache folder.

A calibration is refused, never bent, where anything differs that the step depends on; the sentence says what.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from fvsearch.calibrating.machine import this_machine
from fvsearch.costs.calibration import Calibration, Machine, Predictions
from fvsearch.costs.conditions import Conditions
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.meters.measured import Anchor
from fvsearch.study import Study

FOLDER_VARIABLE = "FVSEARCH_CALIBRATIONS"
"""Environment variable with the folder, if it is to be another than the user's cache."""

SAME_MEMORY = 0.005
"""Meters of memory count, they do not time: a baseline whose memory is another by more than this share has another step."""


def calibrations_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where calibrations are kept: as the environment says, else in the user's cache folder."""
    import platformdirs

    return Path(environment.get(FOLDER_VARIABLE) or platformdirs.user_cache_path("fvsearch") / "calibrations")


def calibration_path(conditions: Conditions, machine: Machine) -> Path:
    """Where the calibration of these conditions on this machine is kept; versions do not count, so a new one replaces the stale."""
    device = re.sub(r"[^a-z0-9]+", "-", machine.text.lower()).strip("-")
    return calibrations_folder() / f"{device}-{conditions.backend}-{conditions.digest}.json"


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Keep a calibration in a file, whole or not at all.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, msgspec.json.format(msgspec.json.encode(calibration), indent=1))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another file with --out") from None


def load_calibration(path: Path) -> Calibration:
    """The calibration that a file holds.

    Raises:
        ConfigError: The file cannot be read or holds none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except OSError as error:
        raise ConfigError(
            f"cannot read the calibration {path}: {error.strerror}; `fvsearch calibrate STUDY --out FILE` makes one"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} holds no calibration of this version of fvsearch ({error}); `fvsearch calibrate STUDY` makes one"
        ) from None


def require_fitting(calibration: Calibration, source: str, study: Study, backend: str, anchor: Anchor | None = None) -> None:
    """The law that a calibration was made for what it is used for.

    Args:
        source: Of the calibration, for the message.
        study: Whose costs it is to predict.
        backend: That the study runs on.
        anchor: The baseline's measurement, which tells device and versions; not compared where it is not known yet.

    Raises:
        ConfigError: Something differs; the message names all of it.
    """
    if found := _differences(calibration, study, backend, anchor):
        raise ConfigError(
            f"the calibration {source} does not fit {study.name}: {'; '.join(found)}; "
            "`fvsearch calibrate STUDY` makes one that does, `--calibration none` does without"
        )


def find_calibration(study: Study, anchor: Anchor) -> Predictions:
    """The kept calibration that fits a study here, if there is one; else a note that says why there is none.

    Args:
        study: Whose costs are to be predicted.
        anchor: The baseline's measurement, which tells device, backend and versions.
    """
    near: list[tuple[int, str]] = []
    for path, calibration in _kept():
        found = _differences(calibration, study, anchor.backend, anchor)
        if not found:
            return Predictions(calibration=calibration, note=f"{calibration.text} ({path})")
        near.append((len(found), f"{path} does not fit: {'; '.join(found)}"))
    way_out = "not calibrated: the formula, scaled by the baseline's measurement; `fvsearch calibrate STUDY` says how far it errs"
    # More than one difference, and it is the calibration of something else.
    return Predictions(note=f"{way_out} ({min(near)[1]})" if near and min(near)[0] == 1 else way_out)


def kept_for(study: Study) -> list[Calibration]:
    """The kept calibrations of a study, on whatever device and backend."""
    return [found for _, found in _kept() if not found.differences(Conditions.of(study, found.conditions.backend))]


def _kept() -> Iterator[tuple[Path, Calibration]]:
    for path in sorted(calibrations_folder().glob("*.json")):
        with contextlib.suppress(ConfigError):  # Of another version of fvsearch.
            yield path, load_calibration(path)


def _differences(calibration: Calibration, study: Study, backend: str, anchor: Anchor | None) -> list[str]:
    machine = this_machine(anchor.device, backend, anchor.versions) if anchor else None
    found = calibration.differences(Conditions.of(study, backend), machine)
    reference = calibration.sample[0]
    if not found and anchor and abs(reference.memory / anchor.memory - 1) > SAME_MEMORY:
        found = [f"memory of the baseline {reference.memory} bytes there, {round(anchor.memory)} here"]
    return found
