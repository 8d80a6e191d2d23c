"""What Optuna's tools read of a trial: params, values, states, constraints, a few attributes, notes. Whole records are in our tables."""

import datetime
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, distribution_to_json

from fvsearch.ledger import _tables as tables
from fvsearch.ledger.records import TrialRecord
from fvsearch.study import Study
from fvsearch.study.budgets import is_met

if TYPE_CHECKING:
    from fvsearch.ledger._storage import LedgerStorage

UNFINISHED = {"running": "RUNNING", "paused": "WAITING"}
"""Optuna's states of trials that have not ended."""

ENDED = {"completed": "PRUNED", "failed": "FAIL", "infeasible": "PRUNED", "stopped": "PRUNED"}
"""Of those that have; what is completed within its budget is COMPLETE."""

_OF_STUDY: sa.BindParameter[int] = sa.bindparam("of_study")
_TRIALS = tables.OPTUNA_TRIALS
_LOCK = sa.select(tables.OPTUNA_STUDIES.c.study_id).where(tables.OPTUNA_STUDIES.c.study_id == _OF_STUDY).with_for_update()
_LAST_NUMBER = sa.select(_TRIALS.c.number).where(_TRIALS.c.study_id == _OF_STUDY).order_by(_TRIALS.c.trial_id.desc()).limit(1)
_BEGIN = sa.insert(_TRIALS)
_CHANGE = sa.update(_TRIALS).where(_TRIALS.c.trial_id == sa.bindparam("of_trial"), _TRIALS.c.state.in_(tuple(UNFINISHED.values())))

UNITS = {"memory": "memory (bytes)", "throughput": "throughput (images/s)", "macs": "macs per image"}
"""Of objectives, as Optuna's tools name their values: these have no room for a unit beside each number."""

METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps what Study.set_metric_names is given."""

NOTED_BY, NOTE_LENGTH = "fvsearch", 2045
"""How our notes begin; characters of a note that optuna-dashboard keeps in one piece."""


class Shown:
    """A study's rows in Optuna's tables.

    Args:
        storage: Where they are.
        study_id: Optuna's.
        study: Whose trials.
    """

    def __init__(self, storage: "LedgerStorage", study_id: int, study: Study) -> None:
        self._storage, self._study_id, self._study = storage, study_id, study
        domains = study.space.domains() if study.space else {"index": tuple(range(len(study.engine.archs)))}
        self._distributions = {path: CategoricalDistribution(choices) for path, choices in domains.items()}
        self._told = {path: distribution_to_json(distribution) for path, distribution in self._distributions.items()}

    def next_number(self, connection: sa.Connection) -> int:
        """Of the trial that begins next; who begins one with Optuna's tools waits until the transaction ends, as they do for each other."""
        ours = {"of_study": self._study_id}
        connection.execute(_LOCK, ours).one()
        last = connection.execute(_LAST_NUMBER, ours).scalar_one_or_none()
        return 0 if last is None else int(last) + 1

    def begin(self, connection: sa.Connection, record: TrialRecord, number: int) -> int:
        """Enter a trial that runs: its id at Optuna's."""
        row = {"number": number, "study_id": self._study_id, "state": "RUNNING", "datetime_start": _now()}
        entered = connection.execute(_BEGIN, row).inserted_primary_key
        assert entered is not None, "one row has one key"
        trial_id = int(entered[0])
        params = [
            {
                "trial_id": trial_id,
                "param_name": path,
                "param_value": self._distributions[path].to_internal_repr(value),
                "distribution_json": self._told[path],
            }
            for path, value in record.params.items()
        ]
        told = {"layout": record.layout} | {f"predicted {UNITS.get(name, name)}": cost for name, cost in record.predicted.items()}
        tables.insert_rows(connection, tables.OPTUNA_PARAMS, params)
        tables.insert_rows(connection, tables.OPTUNA_ATTRIBUTES, _attributes(trial_id, told))
        return trial_id

    def go_on(self, connection: sa.Connection, trial_id: int, record: TrialRecord) -> None:
        """Enter that a trial is paused, or runs again."""
        started = {"datetime_start": _now()} if record.state == "running" else {}
        connection.execute(_CHANGE, {"of_trial": trial_id, "state": UNFINISHED[record.state]} | started)

    def end(self, connection: sa.Connection, trial_id: int, record: TrialRecord) -> None:
        """Enter a trial's end.

        What was trained over budget (the baseline may be) is not COMPLETE to Optuna, though its values are kept: optuna-dashboard looks for
        the best among all that are, whatever their constraints.
        """
        state = "COMPLETE" if record.state == "completed" and is_met(record.constraints) else ENDED[record.state]
        changed = connection.execute(_CHANGE, {"of_trial": trial_id, "state": state, "datetime_complete": _now()})
        if not changed.rowcount:
            # Somebody ended or removed the trial with Optuna's tools: the record is ours, and Optuna's rows are theirs.
            return
        known = {"reason": record.reason} if record.reason else {}
        tables.insert_rows(connection, tables.OPTUNA_ATTRIBUTES, _attributes(trial_id, known))
        # Optuna's samplers read one constraint a key; optuna-dashboard reads the older list, and Optuna itself both.
        constraints = {"constraints": list(record.constraints.values())}
        tables.insert_rows(connection, tables.OPTUNA_SYSTEM_ATTRIBUTES, _attributes(trial_id, constraints))
        values = [record.values[o.name] for o in self._study.objectives] if record.state == "completed" else []
        rows = [{"trial_id": trial_id, "objective": index, "value": value, "value_type": "FINITE"} for index, value in enumerate(values)]
        tables.insert_rows(connection, tables.OPTUNA_VALUES, rows)

    def note(self, text: str, trial_id: int | None) -> None:
        """Note, on a trial or on the study, where optuna-dashboard shows it; a note that a user wrote there stays."""
        place = "" if trial_id is None else f"{trial_id}:"
        text_key, version_key = f"dashboard:{place}note_str:0", f"dashboard:{place}note_ver"
        attrs = self._storage.get_study_system_attrs(self._study_id)
        text = f"{NOTED_BY}: {text}"[:NOTE_LENGTH]
        before = attrs.get(text_key, "")
        if before != text and (not before or before.startswith(NOTED_BY)):
            self._storage.set_study_system_attr(self._study_id, text_key, text)
            self._storage.set_study_system_attr(self._study_id, version_key, attrs.get(version_key, 0) + 1)


def name_metrics(storage: "LedgerStorage", study_id: int, study: Study) -> None:
    """Name the values of a study's trials."""
    if METRIC_NAMES not in storage.get_study_system_attrs(study_id):
        names: Any = [UNITS.get(o.name, o.name) for o in study.objectives]
        storage.set_study_system_attr(study_id, METRIC_NAMES, names)


def _attributes(trial_id: int, told: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in told.items()]


def _now() -> datetime.datetime:
    """As Optuna's tables hold times: UTC, and nothing that says so."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
