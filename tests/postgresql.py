"""A PostgreSQL server for tests: one a session, of its own, on a free port, gone with the session."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REQUIRED = "FVSEARCH_REQUIRE_POSTGRESQL"
"""Where it is set, as in CI, a missing server is an error and no reason to skip."""

PASSWORD = "pass@word/1%{x}"
"""One that a URL has to quote, and Optuna's template too."""


class Server:
    """A server in a folder.

    Attributes:
        port: On the loopback.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder, self._programs = folder, programs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._count = 0

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to be root, as containers are; it has a user of its own then.
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        command = [str(self._programs / program), *arguments]
        ended = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **user)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=80"
        self.run("pg_ctl", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        self._count += 1
        name = f"study{self._count}"
        with psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, password: str = PASSWORD) -> str:
        import urllib.parse

        return f"postgresql://postgres:{urllib.parse.quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(program).parent if (program := shutil.which("initdb")) else None


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A server for the block; a skip, or an error, where there is no PostgreSQL."""
    programs = find_programs()
    if programs is None:
        why = "no PostgreSQL server is installed; on Debian and Ubuntu: apt-get install postgresql"
        pytest.fail(why) if os.environ.get(REQUIRED) else pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="fvsearch-postgresql-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        server = Server(folder, programs)
        server.run("initdb", "-D", f"{folder}/data", "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
