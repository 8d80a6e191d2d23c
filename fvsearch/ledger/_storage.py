"""An Optuna storage whose calls can be one transaction, tried again where the database does not answer for a while."""

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from fvsearch.errors import ConfigError, DiskFullError, RunError
from fvsearch.records import plain_text

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds for which a database that does not answer is asked again."""

_SETTING_UP = 10
"""Tries to make the tables: several coordinators that start at once on an empty database get in each other's way."""

_FLEETING = ("08", "40", "53", "57P")
"""How the SQLSTATEs begin of what passes: the connection, a deadlock, too many connections, a server that is going down or coming up."""


_FULL = "53100"
"""PostgreSQL's SQLSTATE for a full disk: no wait makes room."""


class LedgerStorage(RDBStorage):
    """Optuna's storage on a database, and our own tables beside Optuna's.

    What is done within `transaction` is done as a whole or not at all, Optuna's calls and ours: they share a connection, and Optuna's
    commits are savepoints in it.

    Args:
        url: Of the database, with its password.
        connect_args: For the driver.
        shown: What is said of it: no password.
        clean: Takes passwords out of a text.

    Attributes:
        on_wait: Told, in a few words, that the database does not answer.
        patience: Seconds for which it is asked again.
    """

    def __init__(self, url: str, connect_args: dict[str, Any], shown: str, clean: Callable[[str], str] = str) -> None:
        self.shown, self._clean = shown, clean
        self.on_wait: Callable[[str], None] = lambda activity: None
        self.patience = PATIENCE
        # Optuna takes the URL for a template.
        template = url.replace("{", "{{").replace("}", "}}")
        super().__init__(template, {"connect_args": connect_args, "pool_pre_ping": True, "hide_parameters": True})
        self._here = threading.local()
        self.scoped_session = scoped_session(self._open_session)  # type: ignore[arg-type]  # any maker of sessions will do
        if self.engine.dialect.name == "sqlite":
            # Python's driver would begin a transaction with the first write, and none for a read before it.
            sqlalchemy.event.listen(self.engine, "checkout", _begin_nothing)
            sqlalchemy.event.listen(self.engine, "begin", _begin)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """What stands beside a study's trials, by key.

        Raises:
            ConfigError: Somebody else wrote into it.
        """
        try:
            attrs: dict[str, Any] = plain_text(super().get_study_system_attrs(study_id))
            return attrs
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"a ledger must hold what fvsearch wrote into it, but what stands beside the trials at {self.shown} does not read: {error}"
            ) from None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlalchemy.Connection]:
        """The connection for a block whose changes are made as one; within another such block, its connection."""
        outer = self._connection
        if outer is not None:
            yield outer
            return
        self.scoped_session.remove()
        with self.engine.connect().execution_options(fvsearch_writes=True) as connection, connection.begin():
            self._here.connection = connection
            try:
                yield connection
            finally:
                self._here.connection = None
                self.scoped_session.remove()

    def change(self, action: Callable[[sqlalchemy.Connection], T]) -> T:
        """What an action in a transaction comes to; done again from its beginning where the database went away meanwhile.

        It may have been done before: an answer that is lost says nothing of whether it was.

        Raises:
            RunError: The database refuses it, or does not answer for as long as our patience lasts.
        """

        def once() -> T:
            with self.transaction() as connection:
                return action(connection)

        return once() if self._connection is not None else self.insist(once)

    def look(self, action: Callable[[sqlalchemy.Connection], T]) -> T:
        """What an action that changes nothing comes to.

        Raises:
            RunError: As `change`.
        """
        if (outer := self._connection) is not None:
            return action(outer)

        def once() -> T:
            with self.engine.connect() as connection:
                return action(connection)

        return self.insist(once)

    def insist(self, once: Callable[[], T]) -> T:
        """What calls come to that have their own transactions; called again while the database does not answer.

        Raises:
            RunError: As `change`.
            DiskFullError: The database has no room.
        """
        began, pause = time.monotonic(), 0.1
        while True:
            try:
                return once()
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
                if full := self.no_room(error):
                    raise full from None
                reason = self.explain(error)
                if not is_fleeting(error):
                    raise RunError(f"the ledger at {self.shown} cannot be used: {reason}; the same command goes on from here") from None
                if time.monotonic() - began > self.patience:
                    raise RunError(
                        f"the ledger at {self.shown} has not answered for {self.patience:.0f} s ({reason}); nothing is lost, "
                        "and the same command goes on from here"
                    ) from None
            self.on_wait(f"waiting for the ledger at {self.shown}: {reason}")
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 5.0)

    def no_room(self, error: BaseException) -> DiskFullError | None:
        """The sentence for an error that means a full database; none for another."""
        return full_database(error, self.shown, self._clean)

    def explain(self, error: BaseException) -> str:
        """Why, in a line without a password."""
        return self._clean(first_line(_driver_error(error)))

    @property
    def _connection(self) -> sqlalchemy.Connection | None:
        found: sqlalchemy.Connection | None = getattr(self._here, "connection", None)
        return found

    def _open_session(self) -> Session:
        connection = self._connection
        if connection is None:
            return Session(bind=self.engine)
        return Session(bind=connection, join_transaction_mode="create_savepoint")


def _begin_nothing(connection: Any, record: Any, proxy: Any) -> None:
    connection.isolation_level = None


def _begin(connection: sqlalchemy.Connection) -> None:
    """A transaction that is going to write takes SQLite's lock at once: two that have read first would wait for each other."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("fvsearch_writes") else "BEGIN")


def set_up(make: Callable[[], T]) -> T:
    """What connecting and making the tables comes to, tried again where another coordinator makes them at the same moment."""
    for trial in range(_SETTING_UP):
        try:
            return make()
        except SQLAlchemyError as error:
            if trial == _SETTING_UP - 1 or not _is_a_race(error):
                raise
        time.sleep(random.uniform(0.05, 0.3))
    raise AssertionError("the last try ends the loop")


def _is_a_race(error: SQLAlchemyError) -> bool:
    """Whether a table is there already, a row is, or SQLite is locked; a server that cannot be reached at all will not be in a moment."""
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None)
    said = str(original)
    return (state or "")[:2] in ("23", "42", "40") or any(word in said for word in ("already exists", "UNIQUE", "locked"))


def is_fleeting(error: BaseException) -> bool:
    """Whether the same may succeed in a while."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, DBAPIError):
        found = found.__cause__
    if not isinstance(found, DBAPIError):
        return isinstance(error, sqlalchemy.exc.TimeoutError)
    state = getattr(found.orig, "sqlstate", None)
    if state:
        return str(state) != _FULL and str(state).startswith(_FLEETING)
    lost = found.connection_invalidated or "connect" in str(found.orig).lower() or "server closed" in str(found.orig)
    return lost or "locked" in str(found.orig) or "busy" in str(found.orig)


def full_database(error: BaseException, shown: str, clean: Callable[[str], str] = str) -> DiskFullError | None:
    """The sentence for an error that means a full database; none for another.

    Args:
        error: SQLAlchemy's or Optuna's.
        shown: What is said of the database.
        clean: Takes passwords out of a text.
    """
    found: BaseException | None = error
    while found is not None:
        said: Any = getattr(found, "orig", None)
        if getattr(said, "sqlstate", None) == _FULL or getattr(said, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            why = clean(first_line(said))
            return DiskFullError(
                f"the ledger at {shown} must have room, but there is none ({why}); make room, and the same command goes on from here"
            )
        # SQLite takes the whole transaction back by itself: SQLAlchemy then misses its savepoint, and says that last.
        found = found.__cause__ or found.__context__
    return None


def _driver_error(error: BaseException) -> BaseException:
    """What the driver said; SQLAlchemy and Optuna say more about themselves."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, DBAPIError) and found.orig is not None:
            return found.orig
        found = found.__cause__
    return error


def first_line(error: BaseException) -> str:
    """Of its message, or what it is."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
