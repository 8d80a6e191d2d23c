from pathlib import Path

import msgspec
import pytest
from calibrated import STUDY, anchor, calibration
from ledgers import TRIALS, empty, record

from fvsearch.calibrating.choose import check_wanted, settle_predictions
from fvsearch.calibrating.store import calibration_path, save_calibration
from fvsearch.costs.calibration import Predictions
from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.meters.measured import Anchor

FOUND = calibration()
ANCHOR = anchor(FOUND)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVSEARCH_CALIBRATIONS", str(tmp_path / "kept"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return empty(tmp_path, STUDY)


@pytest.fixture
def file(tmp_path: Path) -> str:
    save_calibration(FOUND, tmp_path / "given.json")
    return str(tmp_path / "given.json")


def settle(ledger: Ledger, wanted: str | None = None, anchor: Anchor = ANCHOR) -> Predictions:
    return settle_predictions(ledger, wanted, "jax", anchor)


def test_what_is_kept_for_the_device_is_used_and_entered_in_the_ledger(ledger: Ledger) -> None:
    save_calibration(FOUND, calibration_path(FOUND.conditions, FOUND.machine))
    assert settle(ledger).calibration == FOUND
    assert ledger.predictions() == settle(ledger)


def test_with_nothing_kept_the_note_says_how_to_calibrate(ledger: Ledger) -> None:
    found = settle(ledger)
    assert found.calibration is None
    assert "`fvsearch calibrate STUDY`" in found.note


def test_a_decision_stands_whatever_is_kept_later(ledger: Ledger) -> None:
    first = settle(ledger)
    path = calibration_path(FOUND.conditions, FOUND.machine)
    save_calibration(FOUND, path)
    assert settle(ledger) == first
    assert settle(ledger, "none") == first
    with pytest.raises(ConfigError, match=r"began with other predictions \(not calibrated.*leave --calibration out"):
        settle(ledger, str(path))


def test_none_uses_none(ledger: Ledger, file: str) -> None:
    save_calibration(FOUND, calibration_path(FOUND.conditions, FOUND.machine))
    found = settle(ledger, "none")
    assert found.calibration is None
    assert "--calibration none" in found.note
    with pytest.raises(ConfigError, match="began with other predictions"):
        settle(ledger, file)


def test_a_file_is_used_where_it_fits(ledger: Ledger, file: str) -> None:
    assert settle(ledger, file).calibration == FOUND
    assert settle(ledger, file).calibration == FOUND, "the same again is no contradiction"
    with pytest.raises(ConfigError, match="began with other predictions"):
        settle(ledger, "none")


def test_a_file_that_does_not_fit_the_device_is_an_error_and_nothing_is_decided(ledger: Ledger, file: str) -> None:
    with pytest.raises(ConfigError, match="device none there, NVIDIA H200 here"):
        settle(ledger, file, msgspec.structs.replace(ANCHOR, device="NVIDIA H200"))
    assert ledger.predictions() is None


def test_a_file_is_checked_before_anything_is_measured(file: str, tmp_path: Path) -> None:
    check_wanted(None, STUDY, "jax")
    check_wanted("none", STUDY, "jax")
    check_wanted(file, STUDY, "jax")
    with pytest.raises(ConfigError, match="backend jax there, tensorflow here"):
        check_wanted(file, STUDY, "tensorflow")
    with pytest.raises(ConfigError, match="cannot read the calibration"):
        check_wanted(str(tmp_path / "missing.json"), STUDY, "jax")


def test_a_search_from_before_calibrations_keeps_its_formula(tmp_path: Path) -> None:
    ledger = empty(tmp_path)
    ledger.start(record(TRIALS[0], 0))
    found = settle(ledger)
    assert found.calibration is None
    assert ledger.predictions() == found, "so status and the report say it"


def test_where_trials_run_on_other_processors_what_is_kept_for_this_one_is_not_used(ledger: Ledger) -> None:
    save_calibration(FOUND, calibration_path(FOUND.conditions, FOUND.machine))
    found = settle_predictions(ledger, None, "jax", msgspec.structs.replace(ANCHOR, device="cpu"), here=False)
    assert found.calibration is None
    assert "is of this machine's processor" in found.note


def test_a_gpu_is_the_same_wherever_it_is(ledger: Ledger) -> None:
    save_calibration(FOUND, calibration_path(FOUND.conditions, FOUND.machine))
    assert settle_predictions(ledger, None, "jax", ANCHOR, here=False).calibration == FOUND
