"""The ledger: the one record of a study's trials, on an Optuna storage: in the study's folder, or in a database that coordinators share.

A row is a dispatched arch, from its start to its end; what an engine suggested and was refused is not here. Optuna's tools read the study
too: its params, values, states, constraints and a few user attributes are theirs to show (_shown). Whole records are in tables of ours
beside them (_tables), changed in the same transactions.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.costs.calibration import Predictions
from fvsearch.errors import ConfigError
from fvsearch.files import no_room, write_atomically
from fvsearch.ledger._giving_way import make_room
from fvsearch.ledger.address import LEDGER_FILE, STUDY_FILE, Address, Kept, keep, read_kept
from fvsearch.ledger.records import Entry, Invocation, QuietPass, Repeat, RungDecision, State, Taken, TrialRecord, now
from fvsearch.meters.measured import Anchor
from fvsearch.records import from_toml, show_value, to_toml
from fvsearch.study import Study
from fvsearch.study.transfer import is_transfer_folder

if TYPE_CHECKING:
    import sqlalchemy

    from fvsearch.ledger._storage import LedgerStorage

__all__ = [
    "STUDY_FILE",
    "Address",
    "Entry",
    "Invocation",
    "Ledger",
    "QuietPass",
    "Repeat",
    "RungDecision",
    "State",
    "Taken",
    "TrialRecord",
    "now",
]

_ANCHOR, _QUIET, _PREDICTIONS = "fvsearch:anchor", "fvsearch:quiet", "fvsearch:predictions"
_INVOCATION = "fvsearch:invocation:"


class Ledger:
    """The trials of the study in a folder.

    Args:
        folder: Of the study.
        study: Its definition, from the folder's study.toml.
        storage: Where the trials are.
        study_id: Optuna's, there.

    Attributes:
        owner: What the trials are marked with that this very object enters: of two owners of one trial, only the later may enter more.
        shared: Where the ledger is shared with other coordinators, the database; none where it lies in the folder.
    """

    def __init__(self, folder: Path, study: Study, storage: "LedgerStorage", study_id: int, shared: Address | None = None) -> None:
        from fvsearch.ledger._rows import TrialRows
        from fvsearch.ledger._shown import Shown

        self.folder = folder
        self.study = study
        self.storage = storage
        self.study_id = study_id
        self.shared = shared
        self.owner = uuid.uuid4().hex
        self._shown = Shown(storage, study_id, study)
        self._rows = TrialRows(storage, study_id, self._shown, self.owner)
        self._heard = 0

    @classmethod
    def create(cls, folder: Path, study: Study, address: Address | None = None) -> "Ledger":
        """The ledger of a study, new or as it stands; another study that never trained an epoch gives way to it.

        Args:
            folder: Of the study.
            study: Its definition.
            address: Of the database that it is shared in; what the folder says, else the folder itself.

        Raises:
            ConfigError: The folder cannot be written, or it or the database holds another study; the database cannot be used.
            DiskFullError: There is no room for it.
        """
        kept = read_kept(folder)
        if kept and address and kept.url != address.shown:
            raise ConfigError(f"{folder} takes part in the study at {kept.url}, not at {address.shown}; give another folder with --out")
        address = address or (Address.of_folder(kept) if kept else None)
        if address and (folder / LEDGER_FILE).exists():
            raise ConfigError(
                f"{folder} holds a study with a ledger of its own, which the one at {address.shown} cannot go on with; "
                "give another folder with --out, and engine.warm_start to begin with its trials"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not address:
                make_room(folder, study, lambda before: cls._connect(folder, before, None))
                write_atomically(folder / STUDY_FILE, to_toml(study).encode())
                return cls._connect(folder, study, None)
            ledger = cls._connect(folder, study, address, kept)
            write_atomically(folder / STUDY_FILE, to_toml(study).encode())
            keep(folder, Kept(url=address.shown, study_key=ledger._key()))
            return ledger
        except OSError as error:
            raise no_room(error) or ConfigError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """The ledger that a folder holds, or takes part in.

        Raises:
            ConfigError: It does neither, or the database cannot be used.
        """
        kept = read_kept(folder)
        if not (folder / STUDY_FILE).exists() or not (kept or (folder / LEDGER_FILE).exists()):
            if is_transfer_folder(folder):
                raise ConfigError(
                    f"{folder} holds a transfer study, which searches nothing: `fvsearch report {folder}` tells what it found, and each "
                    "training below it is a run's folder"
                )
            raise ConfigError(f"{folder} holds no study: `fvsearch run STUDY --out {folder}` makes one")
        return cls._connect(folder, from_toml(folder / STUDY_FILE, Study), Address.of_folder(kept) if kept else None, kept)

    @classmethod
    def _connect(cls, folder: Path, study: Study, address: Address | None, kept: Kept | None = None) -> "Ledger":
        from fvsearch.ledger import _opening as opening

        storage = opening.connect(address, folder / LEDGER_FILE, study)
        study_id = opening.open_study(storage, study, address, kept, folder)
        return cls(folder, study, storage, study_id, address)

    def _key(self) -> str:
        import sqlalchemy as sa

        from fvsearch.ledger._tables import STUDIES

        query = sa.select(STUDIES.c.study_key).where(STUDIES.c.study_id == self.study_id)
        return str(self.storage.look(lambda connection: connection.execute(query).scalar_one()))

    @property
    def is_empty(self) -> bool:
        """Whether no trial is entered."""
        return self._rows.are_none

    def trials(self) -> tuple[TrialRecord, ...]:
        """Every trial, by number."""
        return tuple(entry.record for entry in self.entries())

    def entries(self) -> list[Entry]:
        """Every trial, by number."""
        return self._rows.changed(-1)

    def history(self) -> Iterator[Entry]:
        """Every trial, in the order in which they were last changed: so those that have ended come as they did.

        A few are held at a time. What is news counts from here; a trial that changes meanwhile may come again, as it is then.
        """
        for entry in self._rows.in_order():
            self._heard = max(self._heard, entry.revision)
            yield entry

    def news(self) -> list[Entry]:
        """Every trial that others entered or changed since this or `history` was last asked, by number; at first, all."""
        found = self._rows.changed(self._heard)
        self._heard = max((entry.revision for entry in found), default=self._heard)
        return [entry for entry in found if entry.owner != self.owner]

    def start(self, record: TrialRecord, limit: int | None = None) -> TrialRecord:
        """Enter a trial that is about to run; the record with its number comes back.

        Args:
            record: Of the trial.
            limit: Trials, those of other studies aside, that there may be with it.

        Raises:
            Taken: The arch is another coordinator's, or so many trials there are. Nothing is entered.
        """
        return msgspec.structs.replace(record, number=self.storage.change(lambda connection: self._rows.start(connection, record, limit)))

    def add(self, record: TrialRecord) -> None:
        """Enter a trial that has ended elsewhere, from its start to its end."""
        self.storage.change(lambda connection: self.update(self.start(record)))

    def take(self, entry: Entry, record: TrialRecord | None = None) -> bool:
        """Make a trial this owner's that has not ended, as it stands or with a new record; not where another was faster.

        Args:
            entry: The trial as it was seen.
            record: To enter.
        """
        return self.storage.change(lambda connection: self._rows.enter(connection, record or entry.record, entry.revision))

    def update(self, record: TrialRecord) -> bool:
        """Enter how a trial stands now: a rung that it passed, that it is paused or goes on, or its end. An end is for good.

        Returns:
            Whether it is entered, now or before: not where another coordinator took the trial over.
        """
        return self.storage.change(lambda connection: self._rows.enter(connection, record, None))

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
        return tuple(sorted(self.read_all(_INVOCATION, Invocation).values(), key=lambda invocation: invocation.started))

    def set_invocation(self, invocation: Invocation) -> None:
        """Enter a start of `run`, or how long it has taken by now."""
        self.write(f"{_INVOCATION}{invocation.started}:{invocation.key}", invocation)

    def note(self, text: str, number: int | None = None) -> None:
        """Note what Optuna's own record of an ended trial cannot say any more, where optuna-dashboard shows it: notes may change.

        Args:
            text: Markdown, in place of the note that stood there; a note that a user wrote there stays.
            number: Of the trial; none is a note on the study.
        """

        def enter(connection: "sqlalchemy.Connection") -> None:
            self._shown.note(text, None if number is None else self._rows.trial_id(connection, number))

        self.storage.change(enter)

    def close(self) -> None:
        """Let go of the storage's connections."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def read(self, key: str, kind: Any) -> Any:
        """What is entered under a key beside the trials, as a record of this kind; none where nothing is."""
        return self._stands(lambda name: name == key, kind).get(key)

    def read_all(self, prefix: str, kind: Any) -> dict[str, Any]:
        """All that is entered beside the trials under keys that begin so, by key, each as a record of this kind."""
        return self._stands(lambda name: name.startswith(prefix), kind)

    def _stands(self, wanted: Callable[[str], bool], kind: Any) -> dict[str, Any]:
        try:
            attrs = self.storage.insist(lambda: self.storage.get_study_system_attrs(self.study_id))
            return {key: msgspec.convert(attrs[key], kind, strict=False) for key in sorted(attrs) if wanted(key)}
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"a ledger must hold what fvsearch wrote into it, but what stands beside the trials of {self.folder} does not read: "
                f"{show_value(str(error))}"
            ) from None

    def write(self, key: str, value: Any) -> None:
        """Enter a value under a key beside the trials, in place of what stood there; it is whole or not there after a kill."""
        from fvsearch.ledger._tables import next_revision

        def enter(connection: "sqlalchemy.Connection") -> None:
            # Of two who enter the first value of a key at once, Optuna would drop one.
            next_revision(connection, self.study_id)
            self.storage.set_study_system_attr(self.study_id, key, msgspec.to_builtins(value, str_keys=True))

        self.storage.change(enter)
