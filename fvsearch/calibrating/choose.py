"""Which calibration a study's predictions rest on: decided once, at its first start, and kept in its ledger."""

from pathlib import Path

from fvsearch.calibrating.store import find_calibration, load_calibration, require_fitting
from fvsearch.costs.calibration import Predictions
from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.meters.measured import Anchor
from fvsearch.study import Study

NONE = "none"
"""What a user asks for who wants no calibration."""

NOT_ASKED = Predictions(note="not calibrated, as --calibration none says: the formula, scaled by the baseline's measurement")

ANOTHER = Predictions(note="not calibrated, for the calibration is of another backend: the formula, scaled by the baseline's measurement")

ELSEWHERE = Predictions(
    note="not calibrated, for what is kept here is of this machine's processor, and trials run on others: the formula, scaled by the "
    "baseline's measurement; --calibration FILE says otherwise"
)

BEFORE = Predictions(note="not calibrated: the formula, scaled by the baseline's measurement")
"""What a search that began before there were calibrations rests on."""


def check_wanted(wanted: str | None, study: Study, backend: str) -> None:
    """The law that a calibration file that was asked for fits, as far as that is known before anything is measured.

    Args:
        wanted: A file, "none", or nothing: what is kept for this device.
        study: Whose costs it is to predict.
        backend: That the study runs on.

    Raises:
        ConfigError: It cannot be read or does not fit.
    """
    if wanted not in (None, NONE):
        require_fitting(load_calibration(Path(wanted)), wanted, study, backend)


def settle_predictions(ledger: Ledger, wanted: str | None, backend: str, anchor: Anchor, *, here: bool = True) -> Predictions:
    """What the ledger's study is predicted by: as it was decided, else as it is now, and then kept.

    Args:
        ledger: Of the study.
        wanted: As `check_wanted`.
        backend: That the study runs on.
        anchor: The baseline's measurement.
        here: Whether trials run on this machine.

    Raises:
        ConfigError: The calibration asked for does not fit, or the search stands and rests on another.
    """
    kept = ledger.predictions()
    if kept is None and ledger.trials():
        kept = BEFORE
        ledger.set_predictions(kept)
    if kept is None:
        # A GPU says what it is, wherever it is.
        elsewhere = wanted is None and not here and anchor.device == "cpu"
        kept = ELSEWHERE if elsewhere else _choose(ledger.study, wanted, backend, anchor)
        ledger.set_predictions(kept)
    elif kept.calibration is not None and kept.calibration.conditions.backend != backend:
        # Only a search that is forced to another backend comes here.
        return ANOTHER
    elif wanted is not None and (None if wanted == NONE else load_calibration(Path(wanted))) != kept.calibration:
        raise ConfigError(
            f"the search in {ledger.folder} began with other predictions ({kept.note}), and its trials were chosen by them; "
            "leave --calibration out, or give another folder with --out"
        )
    return kept


def _choose(study: Study, wanted: str | None, backend: str, anchor: Anchor) -> Predictions:
    if wanted == NONE:
        return NOT_ASKED
    if wanted is None:
        return find_calibration(study, anchor)
    calibration = load_calibration(Path(wanted))
    require_fitting(calibration, wanted, study, backend, anchor)
    return Predictions(calibration=calibration, note=f"{calibration.text} ({wanted})")
