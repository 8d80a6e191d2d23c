"""The ledger: the one record of a study's trials, kept on an Optuna storage in the study's folder.

A row is a dispatched arch, from its start to its end; what an engine suggested and was refused is not here. Optuna's tools read the study
too: its params, values, states, constraints and a few user attributes are theirs to show. Whole records are system attributes beside them,
which optuna-dashboard does not show.
"""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.budgets import is_met
from fvsearch.calibration import Predictions
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.ledger.records import Invocation, QuietPass, Repeat, RungDecision, State, TrialRecord, now
from fvsearch.meters.measured import Anchor
from fvsearch.records import from_toml, to_builtins, to_toml
from fvsearch.space import Params
from fvsearch.study import Study
from fvsearch.transfer_study import is_transfer_folder

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["STUDY_FILE", "Invocation", "Ledger", "QuietPass", "Repeat", "RungDecision", "State", "TrialRecord", "now"]

STUDY_FILE = "study.toml"
LEDGER_FILE = "ledger.db"

_TRIAL, _ANCHOR, _QUIET, _INVOCATIONS = "fvsearch:trial", "fvsearch:anchor", "fvsearch:quiet", "fvsearch:invocations"
_PREDICTIONS = "fvsearch:predictions"

_UNFINISHED = {"running": "RUNNING", "paused": "WAITING"}
"""Optuna's names of the states of trials that have not ended."""

_METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps what Study.set_metric_names is given."""

UNITS = {"memory": "memory (bytes)", "throughput": "throughput (images/s)", "macs": "macs per image"}
"""Of objectives, as Optuna's tools name their values: these have no room for a unit beside each number."""

NOTED_BY, NOTE_LENGTH = "fvsearch", 2045
"""How our notes begin; characters of a note that optuna-dashboard keeps in one piece."""


class Ledger:
    """The trials of the study in a folder.

    Attributes:
        folder: Of the study.
        study: Its definition, from the folder's study.toml.
    """

    def __init__(self, folder: Path, study: Study, storage: "BaseStorage", study_id: int) -> None:
        self.folder = folder
        self.study = study
        self._storage = storage
        self._study_id = study_id

    @classmethod
    def create(cls, folder: Path, study: Study) -> "Ledger":
        """The ledger of a study, new or as it stands; another study that never trained an epoch gives way to it.

        Raises:
            ConfigError: The folder cannot be written, or holds another study.
        """
        path = folder / STUDY_FILE
        if path.exists():
            before = from_toml(path, Study)
            try:
                _require_same(before, study, folder)
            except ConfigError:
                if not cls._is_blank(folder, before):
                    raise
                (folder / LEDGER_FILE).unlink(missing_ok=True)
                shutil.rmtree(folder / "trials", ignore_errors=True)
        try:
            write_atomically(path, to_toml(study).encode())
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None
        return cls._connect(folder, study)

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """The ledger that a folder holds.

        Raises:
            ConfigError: It holds none.
        """
        if not (folder / STUDY_FILE).exists() or not (folder / LEDGER_FILE).exists():
            if is_transfer_folder(folder):
                raise ConfigError(
                    f"{folder} holds a transfer study, which searches nothing: `fvsearch report {folder}` tells what it found, and each "
                    "training below it is a run's folder"
                )
            raise ConfigError(f"{folder} holds no study: `fvsearch run STUDY --out {folder}` makes one")
        return cls._connect(folder, from_toml(folder / STUDY_FILE, Study))

    @classmethod
    def _is_blank(cls, folder: Path, study: Study) -> bool:
        """Whether nothing was trained for the study in a folder, so that a mistake in its definition can be mended in place."""
        if any((folder / "trials").glob("*/*/metrics.jsonl")):
            return False
        if not (folder / LEDGER_FILE).exists():
            return True
        ledger = cls._connect(folder, study)
        try:
            return all(record.state == "running" and not record.repeats for record in ledger.trials())
        finally:
            ledger.close()

    @classmethod
    def _connect(cls, folder: Path, study: Study) -> "Ledger":
        import optuna
        from optuna.storages import RDBStorage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [optuna.study.StudyDirection[objective.direction.upper()] for objective in study.objectives]
        try:
            # Another tool may hold it for a while: a backup, a dashboard.
            url = f"sqlite:///{(folder / LEDGER_FILE).resolve()}"
            storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
            with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
                storage.create_new_study(directions, study.name)
            study_id = storage.get_study_id_from_name(study.name)
            if _METRIC_NAMES not in storage.get_study_system_attrs(study_id):
                storage.set_study_system_attr(study_id, _METRIC_NAMES, [UNITS.get(o.name, o.name) for o in study.objectives])
            return cls(folder, study, storage, study_id)
        except (KeyError, RuntimeError, optuna.exceptions.OptunaError, _database_error()) as error:
            raise ConfigError(f"{folder / LEDGER_FILE} is no ledger of the study {study.name!r}: {_first_line(error)}") from None

    def trials(self) -> tuple[TrialRecord, ...]:
        """Every trial, by number."""
        return tuple(self._record(trial) for trial in self._storage.get_all_trials(self._study_id, deepcopy=False))

    def start(self, record: TrialRecord) -> TrialRecord:
        """Enter a trial that is about to run; the record with its number comes back."""
        import optuna

        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=dict(record.params),
            distributions=self._distributions(record.params),
            user_attrs={"layout": record.layout} | {f"predicted {UNITS.get(name, name)}": cost for name, cost in record.predicted.items()},
            system_attrs={_TRIAL: msgspec.to_builtins(record)},
        )
        trial_id = self._storage.create_new_trial(self._study_id, template)
        return msgspec.structs.replace(record, number=self._storage.get_trial_number_from_id(trial_id))

    def update(self, record: TrialRecord) -> None:
        """Enter how a trial stands that has not ended: a rung that it passed, or that it is paused or goes on."""
        from optuna.trial import TrialState

        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, record.number)
        self._storage.set_trial_system_attr(trial_id, _TRIAL, msgspec.to_builtins(record))
        self._storage.set_trial_state_values(trial_id, TrialState[_UNFINISHED[record.state]])

    def finish(self, record: TrialRecord) -> None:
        """Enter a trial's end; entering the same end again changes nothing.

        What was trained over budget (the baseline may be) is not COMPLETE to Optuna, though its values are kept: optuna-dashboard looks for
        the best among all that are, whatever their constraints.
        """
        from optuna.trial import TrialState

        states = {
            "completed": TrialState.COMPLETE if is_met(record.constraints) else TrialState.PRUNED,
            "failed": TrialState.FAIL,
            "infeasible": TrialState.PRUNED,
            "stopped": TrialState.PRUNED,
        }
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, record.number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return
        # The record first, the state last: a kill in between leaves a running trial whose record is complete, and `finish` again ends it.
        self._storage.set_trial_system_attr(trial_id, _TRIAL, msgspec.to_builtins(record))
        if record.reason:
            self._storage.set_trial_user_attr(trial_id, "reason", record.reason)
        # Optuna's samplers read one constraint a key; optuna-dashboard reads the older list, and Optuna itself both.
        self._storage.set_trial_system_attr(trial_id, "constraints", list(record.constraints.values()))
        values = [record.values[o.name] for o in self.study.objectives] if record.state == "completed" else None
        self._storage.set_trial_state_values(trial_id, states[record.state], values)

    def anchor(self) -> Anchor | None:
        """The baseline's costs on this device, if they were taken."""
        anchor: Anchor | None = self.read(_ANCHOR, Anchor)
        return anchor

    def set_anchor(self, anchor: Anchor) -> None:
        """Enter the baseline's costs on this device."""
        self.write(_ANCHOR, anchor)

    def predictions(self) -> Predictions | None:
        """What the study's predictions rest on, if that was decided."""
        predictions: Predictions | None = self.read(_PREDICTIONS, Predictions)
        return predictions

    def set_predictions(self, predictions: Predictions) -> None:
        """Enter what the study's predictions rest on."""
        self.write(_PREDICTIONS, predictions)

    def quiet_pass(self) -> QuietPass:
        """The throughputs measured so far with nothing else running."""
        return self.read(_QUIET, QuietPass) or QuietPass(throughput={}, seconds=0.0)

    def set_quiet_pass(self, quiet: QuietPass) -> None:
        """Enter throughputs measured with nothing else running."""
        self.write(_QUIET, quiet)

    def invocations(self) -> tuple[Invocation, ...]:
        """Every start of `run` on the study, oldest first."""
        return self.read(_INVOCATIONS, tuple[Invocation, ...]) or ()

    def set_invocations(self, invocations: tuple[Invocation, ...]) -> None:
        """Enter the starts of `run`."""
        self.write(_INVOCATIONS, invocations)

    def note(self, text: str, number: int | None = None) -> None:
        """Note what Optuna's own record of an ended trial cannot say any more, where optuna-dashboard shows it: notes may change.

        Args:
            text: Markdown, in place of the note that stood there; a note that a user wrote there stays.
            number: Of the trial; none is a note on the study.
        """
        place = "" if number is None else f"{self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)}:"
        text_key, version_key = f"dashboard:{place}note_str:0", f"dashboard:{place}note_ver"
        attrs = self._storage.get_study_system_attrs(self._study_id)
        text = f"{NOTED_BY}: {text}"[:NOTE_LENGTH]
        before = attrs.get(text_key, "")
        if before != text and (not before or before.startswith(NOTED_BY)):
            self._storage.set_study_system_attr(self._study_id, text_key, text)
            self._storage.set_study_system_attr(self._study_id, version_key, attrs.get(version_key, 0) + 1)

    def settle(self) -> None:
        """Give the trials whose record says another state than Optuna's the record's: their coordinator was killed between the two."""
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            record = self._record(trial)
            if record.state not in _UNFINISHED:
                self.finish(record)
            elif trial.state.name != _UNFINISHED[record.state]:
                self.update(record)

    def close(self) -> None:
        """Let go of the storage's connections."""
        self._storage.remove_session()

    def _record(self, trial: "FrozenTrial") -> TrialRecord:
        record = msgspec.convert(trial.system_attrs[_TRIAL], TrialRecord)
        return msgspec.structs.replace(record, number=trial.number)

    def _distributions(self, params: Params) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        domains = self.study.space.domains() if self.study.space else {"index": tuple(range(len(self.study.engine.archs)))}
        return {path: CategoricalDistribution(domains[path]) for path in params}

    def read(self, key: str, kind: Any) -> Any:
        """What is entered under a key beside the trials, as a record of this kind; none where nothing is."""
        attrs = self._storage.get_study_system_attrs(self._study_id)
        return msgspec.convert(attrs[key], kind, strict=False) if key in attrs else None

    def read_all(self, prefix: str, kind: Any) -> dict[str, Any]:
        """All that is entered beside the trials under keys that begin so, by key, each as a record of this kind."""
        attrs = self._storage.get_study_system_attrs(self._study_id)
        return {key: msgspec.convert(attrs[key], kind, strict=False) for key in sorted(attrs) if key.startswith(prefix)}

    def write(self, key: str, value: Any) -> None:
        """Enter a value under a key beside the trials, in place of what stood there; it is whole or not there after a kill."""
        self._storage.set_study_system_attr(self._study_id, key, msgspec.to_builtins(value, str_keys=True))


def _require_same(old: Study, new: Study, folder: Path) -> None:
    """The law that a folder keeps one study; the number of trials may change, what is confirmed after them, and where it runs."""
    before, after = _flat(to_builtins(old)), _flat(to_builtins(new))
    for path in sorted(before.keys() | after.keys()):
        if path.partition(".")[0] not in ("trials", "description", "confirm", "resources") and before.get(path) != after.get(path):
            raise ConfigError(
                f"{folder} holds another study: {path} is {before.get(path)!r} there and {after.get(path)!r} now; "
                "give another folder with --out"
            )


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """{"recipe": {"epochs": 5}} -> {"recipe.epochs": 5}."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, Mapping):
        return {path: value}
    return {inner: item for key, child in value.items() for inner, item in _flat(child, f"{path}.{key}" if path else str(key)).items()}


def _database_error() -> type[Exception]:
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
