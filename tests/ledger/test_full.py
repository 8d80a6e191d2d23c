"""A database without room is a full disk, wherever that is found out: at the opening, or in the middle."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from fvsearch.errors import DiskFullError
from fvsearch.ledger import Ledger
from fvsearch.ledger._storage import full_database, is_fleeting
from fvsearch.testing import tiny_study


def test_a_ledger_that_is_full_says_so_and_keeps_what_was_there(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "out", tiny_study())
    ledger.write("before", "whole")
    with ledger.storage.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    ledger.storage.engine.dispose()
    sa.event.listen(ledger.storage.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(DiskFullError, match=r"the ledger at .*ledger.db must have room, but there is none \(.*disk is full\); make room"):
        ledger.write("after", "x" * 1_000_000)
    assert (ledger.read("before", str), ledger.read("after", str)) == ("whole", None)


def test_a_new_ledger_without_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*ignored: object) -> None:
        raise OperationalError("CREATE TABLE", {}, _error(sqlite_errorcode=13))

    monkeypatch.setattr("fvsearch.ledger._tables.METADATA.create_all", no_room)
    with pytest.raises(DiskFullError, match=r"ledger.db must have room, but there is none \(as it says\)"):
        Ledger.create(tmp_path / "out", tiny_study())


def test_a_server_without_room_is_full_and_is_not_waited_for() -> None:
    full, crowded = (OperationalError("INSERT", {}, _error(sqlstate=state)) for state in ("53100", "53300"))
    assert isinstance(full_database(full, "there"), DiskFullError)
    assert not is_fleeting(full)
    assert full_database(crowded, "there") is None
    assert is_fleeting(crowded)


def _error(**told: object) -> Exception:
    """What a driver raises."""
    error = Exception("as it says")
    error.__dict__.update(told)
    return error
