"""A study's rows in our table of trials: what is entered of a trial, in one transaction with what Optuna's tools are shown of it.

The statements stand here once, with names for what changes: SQLAlchemy compiles one that it has seen no more.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from fvsearch.errors import ConfigError
from fvsearch.ledger._shown import Shown
from fvsearch.ledger._tables import TRIALS, insert_rows, next_revision
from fvsearch.ledger.records import Entry, Taken, TrialRecord
from fvsearch.records import plain_text

if TYPE_CHECKING:
    from fvsearch.ledger._storage import LedgerStorage

PAGE = 200
"""Trials that are read at a time where all are wanted one after the other."""

_ESCAPED = "\\u00"
"""How JSON writes a control character, and letters with accents."""

_UNFINISHED = ("running", "paused")

_OURS = TRIALS.c.study_id == sa.bindparam("of_study")
_THIS = sa.and_(_OURS, TRIALS.c.number == sa.bindparam("of_number"))
_ENTRY = sa.select(TRIALS.c.number, TRIALS.c.record, TRIALS.c.owner, TRIALS.c.revision).where(_OURS)
_CHANGED = _ENTRY.where(TRIALS.c.revision > sa.bindparam("after")).order_by(TRIALS.c.number)
# Only trials of ledgers that were before this table have a revision in common.
_LATER = sa.or_(
    TRIALS.c.revision > sa.bindparam("after"), sa.and_(TRIALS.c.revision == sa.bindparam("after"), TRIALS.c.number > sa.bindparam("last"))
)
_NEXT_PAGE = _ENTRY.where(_LATER).order_by(TRIALS.c.revision, TRIALS.c.number).limit(PAGE)
_ANY = sa.select(TRIALS.c.number).where(_OURS).limit(1)
_OF_ARCH = sa.select(TRIALS.c.number, TRIALS.c.owner).where(_OURS, TRIALS.c.arch_hash == sa.bindparam("of_arch"))
_COUNT_OWN = sa.select(sa.func.count()).select_from(TRIALS).where(_OURS, sa.not_(TRIALS.c.imported))
_STANDS = sa.select(TRIALS.c.trial_id, TRIALS.c.state, TRIALS.c.owner, TRIALS.c.revision).where(_THIS)
_TRIAL_ID = sa.select(TRIALS.c.trial_id).where(_THIS)
_CHANGE = sa.update(TRIALS).where(_THIS)


class TrialRows:
    """A study's trials, as one owner enters them.

    Args:
        storage: Where they are.
        study_id: Optuna's.
        shown: Their rows in Optuna's tables.
        owner: What is entered is marked with.
    """

    def __init__(self, storage: "LedgerStorage", study_id: int, shown: Shown, owner: str) -> None:
        self._storage, self._shown, self._owner = storage, shown, owner
        self._ours = {"of_study": study_id}

    @property
    def are_none(self) -> bool:
        """Whether there is no trial."""
        return self._storage.look(lambda connection: connection.execute(_ANY, self._ours).first()) is None

    def changed(self, after: int) -> list[Entry]:
        """Every trial that was entered or changed after a revision, by number."""
        rows = self._storage.look(lambda connection: connection.execute(_CHANGED, self._ours | {"after": after}).all())
        return [_entry(row) for row in rows]

    def in_order(self) -> Iterator[Entry]:
        """Every trial, in the order in which they were last changed; one that changes meanwhile may come again as it is then."""
        after, last = -1, -1
        while True:
            place = self._ours | {"after": after, "last": last}
            rows = self._storage.look(lambda connection, place=place: connection.execute(_NEXT_PAGE, place).all())  # type: ignore[misc]
            if not rows:
                return
            yield from map(_entry, rows)
            after, last = rows[-1].revision, rows[-1].number

    def trial_id(self, connection: sa.Connection, number: int) -> int:
        """A trial's id at Optuna's."""
        return int(connection.execute(_TRIAL_ID, self._ours | {"of_number": number}).scalar_one())

    def start(self, connection: sa.Connection, record: TrialRecord, limit: int | None) -> int:
        """Enter a trial that is about to run; its number. As Ledger.start."""
        revision = next_revision(connection, self._ours["of_study"])
        if before := connection.execute(_OF_ARCH, self._ours | {"of_arch": record.arch_hash}).one_or_none():
            if before.owner != self._owner:
                raise Taken
            # Entered a moment ago, and the answer was lost.
            return int(before.number)
        number = self._shown.next_number(connection)
        # Of so many trials no more than so many are the study's own: while there is room for all, they need not be counted.
        if limit is not None and number >= limit and connection.execute(_COUNT_OWN, self._ours).scalar_one() >= limit:
            raise Taken
        trial_id = self._shown.begin(connection, record, number)
        row = {"study_id": self._ours["of_study"], "number": number, "trial_id": trial_id, "arch_hash": record.arch_hash}
        insert_rows(connection, TRIALS, [row | self._told(msgspec.structs.replace(record, state="running"), revision)])
        return number

    def enter(self, connection: sa.Connection, record: TrialRecord, revision: int | None) -> bool:
        """Change a trial that has not ended and is this owner's, or stands as it did at a revision. As Ledger.update."""
        new = next_revision(connection, self._ours["of_study"])
        this = self._ours | {"of_number": record.number}
        row = connection.execute(_STANDS, this).one()
        mine = bool(row.owner == self._owner)
        if row.state not in _UNFINISHED:
            return mine
        if not mine and row.revision != revision:
            return False
        connection.execute(_CHANGE, this | self._told(record, new))
        if record.state not in _UNFINISHED:
            self._shown.end(connection, row.trial_id, record)
        elif record.state != row.state:
            self._shown.go_on(connection, row.trial_id, record)
        return True

    def _told(self, record: TrialRecord, revision: int) -> dict[str, Any]:
        told = {"state": record.state, "imported": bool(record.imported), "owner": self._owner, "revision": revision}
        # Python's JSON, for a diverged training's numbers are not all finite.
        return told | {"record": json.dumps(msgspec.to_builtins(record), separators=(",", ":"))}


def _entry(row: Any) -> Entry:
    return Entry(_decode(row.record, row.number), row.owner, row.revision)


def _with_plain_texts(text: str) -> TrialRecord:
    return msgspec.convert(plain_text(json.loads(text)), TrialRecord)


def _decode(text: str, number: int) -> TrialRecord:
    try:
        try:
            # JSON has control characters escaped.
            record = msgspec.json.decode(text, type=TrialRecord) if _ESCAPED not in text else _with_plain_texts(text)
        except msgspec.DecodeError:
            # A diverged training's NaN, which is no JSON but Python's.
            record = _with_plain_texts(text)
    except ValueError as error:
        raise ConfigError(f"a ledger must hold whole records, but that of trial {number} does not read: {error}") from None
    return msgspec.structs.replace(record, number=number)
