"""Databases that coordinators share: SQLite's, and PostgreSQL's where its server is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql import Server, serve


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    with serve() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return f"sqlite:///{tmp_path}/shared.db" if request.param == "sqlite" else request.getfixturevalue("server").database()
