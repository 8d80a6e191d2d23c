"""A PostgreSQL server that goes away, that is not there, that refuses; and what is told of it, never with the password."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from coordinating import settings
from ledgers import STUDY
from postgresql import PASSWORD, Server, serve

import fvsearch
from fvsearch.errors import ConfigError, RunError
from fvsearch.ledger import Address, Ledger
from fvsearch.ledger.crew import Lease, Member, SharedCrew
from fvsearch.library import load_study
from fvsearch.processes import ProcessName
from fvsearch.search.loop import run_study

SECRETS = (PASSWORD, "pass%40word%2F1%25%7Bx%7D", "pass%40word/1%25%7Bx%7D", "pass%40word%2F1%25{x}", "hunter2")


def require_no_secret(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text], text


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_ledger_is_kept_in_postgresql(database: str, tmp_path: Path) -> None:
    with contextlib.closing(Ledger.create(tmp_path, STUDY, Address(database))) as ledger:
        assert (ledger.trials(), ledger.anchor()) == ((), None)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSWORD", PASSWORD)
        with contextlib.closing(Ledger.open(tmp_path)) as again:
            assert again.trials() == ()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            require_no_secret(file.read_text(errors="replace"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda server: server.url("postgres", "hunter2"), "cannot be opened: .*password authentication failed for user"),
        (lambda server: server.url("nowhere"), 'cannot be opened: .*database "nowhere" does not exist'),
        (lambda server: server.url("postgres").replace(f":{server.port}", ":1"), "cannot be opened: .*[Cc]onnection refused"),
        (lambda server: server.url("postgres").replace("127.0.0.1", "no-such-host.invalid"), "cannot be opened: .*resolve"),
    ],
    ids=["wrong password", "no such database", "no server", "no host"],
)
def test_a_database_that_cannot_be_opened_is_one_sentence(server: Server, tmp_path: Path, change, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as raised:
        Ledger.create(tmp_path, STUDY, Address(change(server)))
    assert "\n" not in str(raised.value)
    require_no_secret(str(raised.value))


def test_many_may_begin_at_once_on_an_empty_database(server: Server, tmp_path: Path) -> None:
    address = Address(server.database())
    keys: list[str] = []

    def begin(number: int) -> None:
        with contextlib.closing(Ledger.create(tmp_path / str(number), STUDY, address)) as ledger:
            keys.append(ledger._key())

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4 and len(set(keys)) == 1


def test_a_server_that_goes_away_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    study = load_study("quickstart", ["trials=24", "recipe.epochs=4", "recipe.warmup_epochs=1"])
    told: list[str] = []
    with serve() as server:
        database = server.database()

        def restart() -> None:
            while len(told) < 8:
                time.sleep(0.05)
            server.stop()
            time.sleep(1.5)
            server.start()

        thread = threading.Thread(target=restart)
        thread.start()
        with contextlib.closing(run_study(study, tmp_path, settings(database, 0.3, 2.5), lambda p: told.append(p.activity))) as ledger:
            thread.join()
            trials = ledger.trials()
        waited = {activity for activity in told if activity.startswith("waiting for the ledger at postgresql://postgres@127.0.0.1")}
        assert waited
        require_no_secret(" ".join(told))
        assert [trial.number for trial in trials] == list(range(24))
        assert len({trial.arch_hash for trial in trials}) == 24
        assert not [trial for trial in trials if trial.state == "running"]

        # And one that stays away is one sentence, soon enough.
        ledger = Ledger.create(tmp_path, study, Address(database))
        crew = SharedCrew(ledger, Member(process=ProcessName.here(), workers=1, lease=Lease(heartbeat=0.2, length=1)))
        ledger.storage.patience = 0.5
        server.stop()
        with pytest.raises(RunError, match=r"the ledger at postgresql://.* has not answered for 0 s \(.*\); nothing is lost") as raised:
            ledger.trials()
        require_no_secret(str(raised.value))
        began = time.monotonic()
        crew.leave()
        assert time.monotonic() - began < 15, "good-byes are not insisted on"
        ledger.close()
        server.start()


def test_the_command_line_keeps_the_password_to_itself(server: Server, tmp_path: Path) -> None:
    """A wrong one too, with --debug; and what is recorded of a command that had one."""

    def fvsearch_(*arguments: str, **variables: str) -> str:
        code = "import sys; from fvsearch.cli import main; sys.argv[0] = 'fvsearch'; main()"
        paths = os.pathsep.join([str(Path(fvsearch.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": paths} | variables
        ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)
        require_no_secret(ended.stdout + ended.stderr)
        return ended.stdout + ended.stderr

    run = ["run", "quickstart", "--set", "recipe.epochs=1", "--set", "recipe.warmup_epochs=0", "--trials", "1", "--pool", "inline"]
    wrong = fvsearch_("--debug", *run, "--out", "wrong", "--storage", server.url("postgres", "hunter2"))
    assert "password authentication failed" in wrong and "others on this machine see a password" in wrong
    url = server.database()
    said = fvsearch_(*run, "--out", "right", "--storage", url)
    assert "report:" in said
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FVSEARCH_STORAGE", url)
        with contextlib.closing(Ledger.open(tmp_path / "right")) as ledger:
            assert "--storage postgresql://postgres@127.0.0.1" in ledger.invocations()[0].command
    assert "1 of 1 ended" in fvsearch_("status", "right", PGPASSWORD=PASSWORD)
    assert "1 of 1 ended" in fvsearch_("status", "right", FVSEARCH_STORAGE=url)
    assert "PGPASSWORD, ~/.pgpass or a URL in FVSEARCH_STORAGE" in fvsearch_("status", "right")
    for file in tmp_path.rglob("*"):
        if file.is_file():
            require_no_secret(file.read_text(errors="replace"))
