import io
import json

import msgspec
from calibrated import STUDY, calibration
from ledgers import empty, fill
from rich.console import Console

from fvsearch.calibrating import Calibrated
from fvsearch.calibrating.store import calibration_path, save_calibration
from fvsearch.costs.calibration import Calibration, Predictions, Skipped
from fvsearch.report.calibration import calibration_document, calibration_table
from fvsearch.report.dry_run import dry_run_table
from fvsearch.report.page import write_report
from fvsearch.report.tables import status_document, status_table

FOUND = calibration()


def shown(renderable: object) -> str:
    console = Console(width=220, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_the_table_has_errors_of_both_predictors_the_sample_and_the_conditions() -> None:
    text = shown(calibration_table(Calibrated(calibration=FOUND, path="/cache/here.json", measured=True)))
    assert "error on patterns left out of the fit" in text
    for name in ("memory, regression", "memory, formula", "step time, regression", "step time, formula"):
        assert name in text
    assert f"{FOUND.step_time.formula_error.mape:.1%}" in text
    for sampled in FOUND.sample:
        assert sampled.layout in text
        assert f"{sampled.ratio:.3f}x ({sampled.ratio_low:.3f} to {sampled.ratio_high:.3f})" in text
    assert "training at batch 64, float32, adamw, dropout 0.1" in text
    assert "keras 2" in text
    assert "kept in /cache/here.json" in text


def test_it_says_what_is_used_where_the_formula_errs_less_and_what_was_skipped() -> None:
    found = msgspec.structs.replace(
        FOUND,
        memory=msgspec.structs.replace(FOUND.memory, source="formula"),
        skipped=(Skipped(arch=STUDY.baseline, layout="B9(17)", reason="the device's memory ran out"),),
    )
    text = shown(calibration_table(Calibrated(calibration=found, path="here.json", measured=False)))
    row = next(line for line in text.splitlines() if "memory, regression" in line)
    assert "no: errs more" in row
    assert "skipped: B9(17): the device's memory ran out" in text
    assert "kept already, measured anew with --again, in here.json" in text


def test_the_document_is_the_calibration_itself() -> None:
    document = json.loads(json.dumps(calibration_document(Calibrated(calibration=FOUND, path="here.json", measured=True))))
    assert document["path"] == "here.json"
    assert msgspec.convert(document["calibration"], Calibration, strict=False) == FOUND


def test_status_report_and_front_say_what_predictions_rest_on(tmp_path) -> None:
    ledger = fill(empty(tmp_path))
    ledger.set_predictions(Predictions(calibration=None, note="not calibrated [at all]"))
    assert "not calibrated [at all]" in shown(status_table(ledger))
    assert status_document(ledger)["predictions"] == "not calibrated [at all]"
    assert "not calibrated [at all]" in write_report(ledger).read_text(encoding="utf-8")


def test_a_dry_run_names_the_calibrations_that_are_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FVSEARCH_CALIBRATIONS", str(tmp_path))
    assert "`fvsearch calibrate STUDY` says how far that errs" in shown(dry_run_table(STUDY))
    save_calibration(FOUND, calibration_path(FOUND.conditions, FOUND.machine))
    assert FOUND.text in " ".join(shown(dry_run_table(STUDY)).replace("│", " ").split())
    assert FOUND.text not in " ".join(shown(dry_run_table(STUDY, "none")).replace("│", " ").split())
