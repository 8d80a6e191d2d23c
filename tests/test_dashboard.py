"""The ledger as optuna-dashboard serves it."""

import json
from pathlib import Path
from typing import Any

import pytest
from ledgers import EVERY_STATE, QUIET, STUDY, fill

from fvsearch.fronts.standing import front, ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.search.noting import note_measured

dashboard = pytest.importorskip("optuna_dashboard", reason="the extra dashboard is not installed")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return fill(Ledger.create(tmp_path_factory.mktemp("study"), STUDY), EVERY_STATE, quiet={})


def ask(ledger: Ledger, path: str) -> Any:
    """What the dashboard's own server answers, without a port."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "0",
        "wsgi.errors": None,
    }
    environ["wsgi.url_scheme"] = "http"
    app = dashboard.wsgi(f"sqlite:///{ledger.folder}/ledger.db")
    body = b"".join(app(environ, lambda code, headers, *rest: status.append(code)))
    assert status == ["200 OK"], body
    return json.loads(body)


@pytest.fixture(scope="module")
def shown(ledger: Ledger) -> Any:
    (study,) = ask(ledger, "/api/studies")["study_summaries"]
    return ask(ledger, f"/api/studies/{study['study_id']}")


def test_its_best_trials_are_our_front(ledger: Ledger, shown: Any) -> None:
    ours = [standing.number for standing in front(ledger_standings(ledger))]
    assert [trial["number"] for trial in shown["best_trials"]] == ours == [1, 2, 3]


def test_states_are_told_apart(shown: Any) -> None:
    states = ["Pruned", "Complete", "Complete", "Complete", "Pruned", "Fail", "Pruned", "Waiting", "Running"]
    assert [trial["state"] for trial in shown["trials"]] == states


def test_what_is_over_budget_has_a_constraint_above_zero_and_nothing_else_has(ledger: Ledger, shown: Any) -> None:
    over = {trial["number"] for trial in shown["trials"] if any(value > 0 for value in trial["constraints"])}
    assert over == {standing.number for standing in ledger_standings(ledger) if standing.place == "infeasible"} == {0, 4}


def test_a_trial_below_full_fidelity_has_no_values(shown: Any) -> None:
    assert [trial["number"] for trial in shown["trials"] if "values" in trial] == [0, 1, 2, 3]


def test_objectives_have_their_names_units_and_directions(shown: Any) -> None:
    assert shown["objective_names"] == ["top1", "memory (bytes)"]
    assert shown["directions"] == ["maximize", "minimize"]


def test_params_and_attributes_are_readable(ledger: Ledger, shown: Any) -> None:
    trial = shown["trials"][2]
    params = {param["name"]: param["param_external_value"] for param in trial["params"]}
    assert params == {path: str(value) for path, value in ledger.trials()[2].params.items()}
    attributes = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
    assert attributes["layout"] == "B2(17, h32, m96, a2)-2(9, h32, m64, a2)"
    assert attributes["predicted throughput (images/s)"] == "3000"
    assert max(len(value) for value in attributes.values()) < 200, "no record in JSON"
    reasons = [{a["key"]: a["value"] for a in trial["user_attrs"]}.get("reason") for trial in shown["trials"]]
    assert reasons[5] == "the loss is NaN in epoch 3"


def test_what_left_the_front_in_the_quiet_pass_is_noted(tmp_path: Path) -> None:
    ledger = fill(Ledger.create(tmp_path, STUDY), EVERY_STATE, quiet={0: QUIET[0], 1: QUIET[1], 2: QUIET[8], 3: QUIET[3]})
    note_measured(ledger, ledger.trials())
    shown = ask(ledger, "/api/studies/1")
    assert "the front, measured: trials 1, 3. Left it for the budget, once measured: trial 2." in shown["note"]["body"]
    assert "5.0% short of the budget: it left the front." in shown["trials"][2]["note"]["body"]
