"""Opening a ledger's database: connecting, making the tables and the study in them, and the laws of whose study it is."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import optuna
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from fvsearch.errors import ConfigError
from fvsearch.ledger import _tables as tables
from fvsearch.ledger._shown import METRIC_NAMES, name_metrics
from fvsearch.ledger._storage import LedgerStorage, first_line, full_database, set_up
from fvsearch.ledger.address import Address, Kept
from fvsearch.ledger.records import Invocation, TrialRecord
from fvsearch.ledger.sameness import difference
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study import Study

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFINITION = "fvsearch:study"
"""Under which a shared study's definition is kept beside its trials."""

_MAKING_TABLES = 0x66767365
"""A number that no other program's advisory lock is likely to have."""

_OLD_TRIAL, _OLD_INVOCATIONS = "fvsearch:trial", "fvsearch:invocations"
"""Where ledgers of before our own tables kept records."""


def connect(address: Address | None, path: Path, study: Study) -> LedgerStorage:
    """A storage on a database, with Optuna's tables and ours in it.

    Args:
        address: Of the database; none is the file.
        path: Of the ledger in the study's folder.
        study: Named in errors.

    Raises:
        ConfigError: The database cannot be reached, or is none of Optuna's.
        DiskFullError: It has no room.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = address.url if address else sa.URL.create("sqlite", database=str(path.resolve())).render_as_string()
    arguments = address.connect_args if address else {"timeout": 60}
    shown = address.shown if address else str(path)

    def make() -> LedgerStorage:
        with _one_at_a_time(url, arguments):
            storage = LedgerStorage(url, arguments, shown, address.clean if address else str)
            tables.METADATA.create_all(storage.engine)
            return storage

    try:
        return set_up(make)
    except (KeyError, RuntimeError, optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        if full := full_database(error, shown, address.clean if address else str):
            raise full from None
        if address is None:
            raise ConfigError(f"{path} is no ledger of the study {study.name!r}: {first_line(error)}") from None
        original = getattr(error, "orig", None) or error
        why = address.clean(" ".join(str(original).split()))
        hint = "" if address.has_password else " (a password may be given by PGPASSWORD, ~/.pgpass or a URL in FVSEARCH_STORAGE)"
        raise ConfigError(f"the ledger at {address.shown} cannot be opened: {why}{hint}") from None


@contextlib.contextmanager
def _one_at_a_time(url: str, arguments: dict[str, Any]) -> Iterator[None]:
    """Keep other coordinators from making the tables at the same moment, where the database has a lock for it."""
    engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)
    if engine.dialect.name != "postgresql":
        yield
        return
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_MAKING_TABLES})")
        yield


def open_study(storage: LedgerStorage, study: Study, address: Address | None, kept: Kept | None, folder: Path) -> int:
    """Optuna's id of the study, made if need be.

    Raises:
        ConfigError: The database holds another study of this name, or another than the folder took part in.
        DiskFullError: It has no room.
    """
    directions = [optuna.study.StudyDirection[objective.direction.upper()] for objective in study.objectives]

    def find() -> int:
        with storage.transaction() as connection:
            try:
                study_id = storage.create_new_study(directions, study.name)
                # An earlier study may have had the id, removed with Optuna's tools.
                tables.forget(connection, study_id)
            except optuna.exceptions.DuplicatedStudyError:
                study_id = storage.get_study_id_from_name(study.name)
            query = sa.select(tables.STUDIES.c.study_key).where(tables.STUDIES.c.study_id == study_id)
            key = connection.execute(query).scalar_one_or_none()
            if key is None:
                key = uuid.uuid4().hex
                tables.insert_rows(connection, tables.STUDIES, [{"study_id": study_id, "study_key": key, "revision": 0}])
                _bring_over(connection, storage, study_id)
            tables.next_revision(connection, study_id)
            name_metrics(storage, study_id, study)
            if address:
                _require_the_same(storage, study_id, key, study, address, kept, folder)
            return study_id

    try:
        # Who only reads writes nothing: not on a full disk either.
        standing = _standing_study(storage, study, address, kept)
        return set_up(find) if standing is None else standing
    except (KeyError, RuntimeError, optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        why = f"{storage.shown} is no ledger of the study {study.name!r}: {storage.explain(error)}"
        raise storage.no_room(error) or ConfigError(why) from None


def _standing_study(storage: LedgerStorage, study: Study, address: Address | None, kept: Kept | None) -> int | None:
    """Optuna's id of the study where nothing is left to enter of it, and none of its laws is broken; else none."""
    try:
        study_id = storage.get_study_id_from_name(study.name)
    except KeyError:
        return None
    query = sa.select(tables.STUDIES.c.study_key).where(tables.STUDIES.c.study_id == study_id)
    key = storage.look(lambda connection: connection.execute(query).scalar_one_or_none())
    attrs: Mapping[str, Any] = storage.get_study_system_attrs(study_id)
    if key is None or METRIC_NAMES not in attrs:
        return None
    if address and ((kept and kept.study_key != key) or attrs.get(DEFINITION) != to_builtins(study)):
        return None
    return study_id


def _require_the_same(
    storage: LedgerStorage, study_id: int, key: str, study: Study, address: Address, kept: Kept | None, folder: Path
) -> None:
    if kept and kept.study_key != key:
        raise ConfigError(
            f"{folder} took part in another study {study.name!r} at {address.shown} than there is now, which was made anew; "
            "give another folder with --out"
        )
    attrs: Mapping[str, Any] = storage.get_study_system_attrs(study_id)
    before = from_builtins(attrs[DEFINITION], Study, "the shared study") if DEFINITION in attrs else None
    if before is not None and (found := difference(before, study)):
        raise ConfigError(
            f"{address.shown} holds another study {study.name!r}: {found}; "
            "coordinators share one study, so give it another name with --set name=NAME"
        )
    if before != study:
        storage.set_study_system_attr(study_id, DEFINITION, to_builtins(study))


def _bring_over(connection: sa.Connection, storage: LedgerStorage, study_id: int) -> None:
    """Enter in our tables what ledgers of before kept in Optuna's."""
    rows = []
    for trial in storage.get_all_trials(study_id, deepcopy=False):
        if _OLD_TRIAL not in trial.system_attrs:
            continue
        record = msgspec.structs.replace(msgspec.convert(trial.system_attrs[_OLD_TRIAL], TrialRecord), number=trial.number)
        rows.append(
            {
                "study_id": study_id,
                "number": trial.number,
                "trial_id": trial._trial_id,
                "arch_hash": record.arch_hash,
                "state": record.state,
                "imported": bool(record.imported),
                "owner": "",
                "revision": 0,
                "record": json.dumps(msgspec.to_builtins(record)),
            }
        )
    tables.insert_rows(connection, tables.TRIALS, rows)
    starts = storage.get_study_system_attrs(study_id).get(_OLD_INVOCATIONS, [])
    for number, start in enumerate(starts):
        invocation = msgspec.convert(start | {"key": str(number)}, Invocation)
        storage.set_study_system_attr(study_id, f"fvsearch:invocation:{invocation.started}:{number}", msgspec.to_builtins(invocation))
