"""The ledger: the one record of a study's trials, kept on an Optuna storage in the study's folder.

A row is a dispatched arch, from its start to its end; what an engine suggested and was refused is not here. A trial's whole record is one
JSON attribute beside Optuna's own params, values, state and constraints, so that Optuna's tools can read the study too.
"""

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from fvsearch.arch import Arch
from fvsearch.budgets import is_met
from fvsearch.calibration import Predictions
from fvsearch.engines.base import Completed, Failed, Infeasible, Outcome
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.meters.measured import Anchor, Interval, Measured
from fvsearch.records import Record, from_toml, to_builtins, to_toml
from fvsearch.space import Params
from fvsearch.study import Study

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

State = Literal["running", "completed", "infeasible", "stopped", "failed"]

STUDY_FILE = "study.toml"
LEDGER_FILE = "ledger.db"

_TRIAL, _ANCHOR, _QUIET, _INVOCATIONS = "fvsearch:trial", "fvsearch:anchor", "fvsearch:quiet", "fvsearch:invocations"
_PREDICTIONS = "fvsearch:predictions"


class Repeat(Record, frozen=True, kw_only=True):
    """One training of a trial's arch.

    Attributes:
        seed: Of this training.
        epochs: Metrics of each: epoch, seconds, and loss, top1, top5 of the validation split, train_loss and so on of the training split.
        seconds: Of each activity: import, build, compile, train, measure.
    """

    seed: int
    epochs: tuple[dict[str, float], ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


class TrialRecord(Record, frozen=True, kw_only=True):
    """All that is known of a trial.

    Attributes:
        number: From 0, the baseline.
        state: "infeasible" is over budget as measured, so not trained; what is predicted so is never dispatched. The baseline is trained
            whatever its budget says.
        reason: Why it failed, or what broke its budget.
        params: The searched params, empty for a baseline outside the space.
        layout: The arch's canonical layout at the study's image size.
        predicted: Costs by formula: num_params, macs per image, memory in bytes, throughput in images/s.
        measured: Costs read from the device during the trial: memory in bytes.
        memory_source: How the memory was obtained.
        constraints: Dimensionless, by budget; at most 0 is feasible.
        values: By objective; means over repeats.
        spread: Standard deviation over repeats, of what training tells, where there are several.
        started, ended: ISO 8601, UTC.
    """

    number: int = -1
    state: State = "running"
    reason: str = ""
    params: Params = msgspec.field(default_factory=dict)
    arch: Arch
    layout: str
    arch_hash: str
    predicted: dict[str, float]
    measured: dict[str, float] = msgspec.field(default_factory=dict)
    memory_source: str = ""
    constraints: dict[str, float] = msgspec.field(default_factory=dict)
    values: dict[str, float] = msgspec.field(default_factory=dict)
    spread: dict[str, float] = msgspec.field(default_factory=dict)
    repeats: tuple[Repeat, ...] = ()
    backend: str = ""
    device: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    started: str = ""
    ended: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether this is the arch that budgets are relative to."""
        return self.number == 0

    @property
    def seconds(self) -> dict[str, float]:
        """Device-seconds by activity, summed over repeats."""
        names = {name for repeat in self.repeats for name in repeat.seconds}
        return {name: sum(repeat.seconds.get(name, 0.0) for repeat in self.repeats) for name in sorted(names)}

    def outcome(self, study: Study) -> Outcome:
        """What an engine is told of the ended trial."""
        if self.state == "completed" and is_met(self.constraints):
            return Completed(values=tuple(self.values[o.name] for o in study.objectives), constraints=self.constraints)
        if self.state in ("completed", "infeasible"):
            return Infeasible(constraints=self.constraints)
        return Failed(reason=self.reason)


class QuietPass(Record, frozen=True, kw_only=True):
    """Throughput of front and baseline, measured with nothing else running, interleaved.

    Attributes:
        throughput: Images/s, by trial number.
        seconds: All measurements took.
    """

    throughput: dict[int, Interval]
    seconds: float

    def with_measured(self, numbers: Sequence[int], measured: Measured) -> "QuietPass":
        """The pass with more trials measured, interleaved with the baseline.

        What is taken of a trial is its ratio to the baseline, paired by round: the baseline may run at another speed in another pass, and
        takes part in more rounds than any trial.

        Args:
            numbers: Of the trials.
            measured: The baseline first, then the trials.
        """
        first = self.throughput.get(0, measured.throughput[0])
        found = {
            number: Interval(median=first.median * ratio.median, low=first.median * ratio.low, high=first.median * ratio.high)
            for number, ratio in zip(numbers, measured.ratio[1:], strict=True)
        }
        return QuietPass(throughput={0: first} | self.throughput | found, seconds=self.seconds + sum(measured.seconds.values()))


class Invocation(Record, frozen=True, kw_only=True):
    """One start of `run` on the study.

    Attributes:
        seconds: Wall time until it ended; 0 where it was killed.
    """

    command: str
    started: str
    backend: str
    workers: int
    version: str
    seconds: float = 0.0


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


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
        """The ledger of a study, new or as it stands.

        Raises:
            ConfigError: The folder cannot be written, or holds another study.
        """
        path = folder / STUDY_FILE
        if path.exists():
            _require_same(from_toml(path, Study), study, folder)
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
            raise ConfigError(f"{folder} holds no study: `fvsearch run STUDY --out {folder}` makes one")
        return cls._connect(folder, from_toml(folder / STUDY_FILE, Study))

    @classmethod
    def _connect(cls, folder: Path, study: Study) -> "Ledger":
        import optuna
        from optuna.storages import RDBStorage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [optuna.study.StudyDirection[objective.direction.upper()] for objective in study.objectives]
        try:
            storage = RDBStorage(f"sqlite:///{(folder / LEDGER_FILE).resolve()}")
            with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
                storage.create_new_study(directions, study.name)
            return cls(folder, study, storage, storage.get_study_id_from_name(study.name))
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
            user_attrs={_TRIAL: msgspec.to_builtins(record), "layout": record.layout},
        )
        trial_id = self._storage.create_new_trial(self._study_id, template)
        return msgspec.structs.replace(record, number=self._storage.get_trial_number_from_id(trial_id))

    def finish(self, record: TrialRecord) -> None:
        """Enter a trial's end; entering the same end again changes nothing."""
        from optuna.trial import TrialState

        states = {
            "completed": TrialState.COMPLETE,
            "failed": TrialState.FAIL,
            "infeasible": TrialState.PRUNED,
            "stopped": TrialState.PRUNED,
        }
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, record.number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return
        # The record first, the state last: a kill in between leaves a running trial whose record is complete, and `finish` again ends it.
        self._storage.set_trial_user_attr(trial_id, _TRIAL, msgspec.to_builtins(record))
        # Optuna's samplers read one constraint a key; optuna-dashboard reads the older list.
        self._storage.set_trial_system_attr(trial_id, "constraints", list(record.constraints.values()))
        values = [record.values[o.name] for o in self.study.objectives] if record.state == "completed" else None
        self._storage.set_trial_state_values(trial_id, states[record.state], values)

    def anchor(self) -> Anchor | None:
        """The baseline's costs on this device, if they were taken."""
        anchor: Anchor | None = self._read(_ANCHOR, Anchor)
        return anchor

    def set_anchor(self, anchor: Anchor) -> None:
        """Enter the baseline's costs on this device."""
        self._write(_ANCHOR, anchor)

    def predictions(self) -> Predictions | None:
        """What the study's predictions rest on, if that was decided."""
        predictions: Predictions | None = self._read(_PREDICTIONS, Predictions)
        return predictions

    def set_predictions(self, predictions: Predictions) -> None:
        """Enter what the study's predictions rest on."""
        self._write(_PREDICTIONS, predictions)

    def quiet_pass(self) -> QuietPass:
        """The throughputs measured so far with nothing else running."""
        return self._read(_QUIET, QuietPass) or QuietPass(throughput={}, seconds=0.0)

    def set_quiet_pass(self, quiet: QuietPass) -> None:
        """Enter throughputs measured with nothing else running."""
        self._write(_QUIET, quiet)

    def invocations(self) -> tuple[Invocation, ...]:
        """Every start of `run` on the study, oldest first."""
        return self._read(_INVOCATIONS, tuple[Invocation, ...]) or ()

    def set_invocations(self, invocations: tuple[Invocation, ...]) -> None:
        """Enter the starts of `run`."""
        self._write(_INVOCATIONS, invocations)

    def settle(self) -> None:
        """End the trials whose record says so but whose state does not: their coordinator was killed between the two."""
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            record = self._record(trial)
            if record.state != "running":
                self.finish(record)

    def close(self) -> None:
        """Let go of the storage's connections."""
        self._storage.remove_session()

    def _record(self, trial: "FrozenTrial") -> TrialRecord:
        record = msgspec.convert(trial.user_attrs[_TRIAL], TrialRecord)
        return msgspec.structs.replace(record, number=trial.number)

    def _distributions(self, params: Params) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        domains = self.study.space.domains() if self.study.space else {"index": tuple(range(len(self.study.engine.archs)))}
        return {path: CategoricalDistribution(domains[path]) for path in params}

    def _read(self, key: str, kind: Any) -> Any:
        attrs = self._storage.get_study_user_attrs(self._study_id)
        return msgspec.convert(attrs[key], kind, strict=False) if key in attrs else None

    def _write(self, key: str, value: Any) -> None:
        self._storage.set_study_user_attr(self._study_id, key, msgspec.to_builtins(value, str_keys=True))


def _require_same(old: Study, new: Study, folder: Path) -> None:
    """The law that a folder keeps one study; the number of trials may change."""
    before, after = _flat(to_builtins(old)), _flat(to_builtins(new))
    for path in sorted(before.keys() | after.keys()):
        if path not in ("trials", "description") and before.get(path) != after.get(path):
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
