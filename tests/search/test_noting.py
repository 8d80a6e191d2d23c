"""What optuna-dashboard is told of the quiet pass."""

from pathlib import Path

import msgspec
from ledgers import QUIET, STUDY, TRIALS, empty, fill

from fvsearch.ledger import Ledger
from fvsearch.search.noting import note_measured
from fvsearch.study import Objective


def noted(ledger: Ledger, number: int | None = None) -> str:
    place = "" if number is None else f"{ledger.storage.get_trial_id_from_study_id_trial_number(ledger.study_id, number)}:"
    return ledger.storage.get_study_system_attrs(ledger.study_id).get(f"dashboard:{place}note_str:0", "")


def test_a_trial_that_left_the_front_says_why(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path))
    note_measured(ledger, ledger.trials())
    assert noted(ledger, 8) == (
        "fvsearch: 1,900 images/s measured with nothing else running, 0.95x the baseline's; predicted 2,100 images/s. "
        "That is 5.0% short of the budget: it left the front."
    )
    assert noted(ledger, 3).endswith("1.15x the baseline's; predicted 2,400 images/s.")
    assert noted(ledger, 5) == "", "it was not measured"


def test_the_study_says_which_trials_are_the_front_now(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path))
    note_measured(ledger, ledger.trials())
    assert noted(ledger).startswith("fvsearch: the front, measured: trials 1, 2, 3, 9. Left it for the budget, once measured: trial 8. ")
    assert "Throughput among the values" not in noted(ledger)


def test_where_throughput_is_an_objective_the_note_says_whose_numbers_optuna_has(tmp_path: Path) -> None:
    study = msgspec.structs.replace(STUDY, objectives=(*STUDY.objectives, Objective(name="throughput", direction="maximize")))
    ledger = fill(empty(tmp_path, study))
    note_measured(ledger, ledger.trials())
    assert "Throughput among the values here is as predicted during the search." in noted(ledger)


def test_without_a_quiet_pass_there_is_nothing_to_note(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), TRIALS, quiet={})
    note_measured(ledger, ledger.trials())
    assert noted(ledger) == ""


def test_a_note_is_renewed_but_never_put_over_a_users(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), TRIALS, quiet={0: QUIET[0], 3: QUIET[3]})
    note_measured(ledger, ledger.trials())
    first = noted(ledger)
    fill_key = f"dashboard:{ledger.storage.get_trial_id_from_study_id_trial_number(ledger.study_id, 3)}:note_str:0"
    ledger.storage.set_study_system_attr(ledger.study_id, fill_key, "the one we shipped")
    ledger.set_quiet_pass(msgspec.structs.replace(ledger.quiet_pass(), throughput=fill(empty(tmp_path)).quiet_pass().throughput))
    note_measured(ledger, ledger.trials())
    assert noted(ledger) != first
    assert noted(ledger, 3) == "the one we shipped"
