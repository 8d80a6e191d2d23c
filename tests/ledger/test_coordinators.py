"""Several coordinators of one study: processes that share a database, some of them killed or stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fvsearch
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.ledger.address import read_kept

SCRIPT = Path(__file__).parents[1] / "coordinating.py"
LEASE = 2.5
"""Seconds."""

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(database: str, tmp_path: Path) -> Iterator[Begin]:
    """Starts a coordinator in a folder; those that still work at the test's end are killed."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: str, trials: int, seconds: float = 0.4, *changes: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(SCRIPT), database, str(tmp_path / folder), str(trials), str(seconds), str(LEASE), *changes]
        paths = os.pathsep.join([str(Path(fvsearch.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        with (tmp_path / f"log{len(running)}").open("w") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, text=True, env=os.environ | {"PYTHONPATH": paths})
        running.append(child)
        return child

    yield start
    for child in running:
        child.kill()
        child.wait()


@pytest.fixture(autouse=True)
def _password(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVSEARCH_STORAGE", database)


def await_trials(folder: Path, what: Callable[[tuple[TrialRecord, ...]], bool]) -> tuple[TrialRecord, ...]:
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if read_kept(folder):
            found = trials_of(folder)
            if what(found):
                return found
        time.sleep(0.1)
    raise AssertionError("it never came to be")


def trials_of(folder: Path) -> tuple[TrialRecord, ...]:
    with contextlib.closing(Ledger.open(folder)) as ledger:
        return ledger.trials()


def require_whole(trials: tuple[TrialRecord, ...], count: int) -> None:
    """Each trial once, each arch once, all ended."""
    assert [trial.number for trial in trials] == list(range(count))
    assert len({trial.arch_hash for trial in trials}) == count
    assert not [trial.number for trial in trials if trial.state in ("running", "paused")]
    assert all(trial.ended for trial in trials)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_four_coordinators_one_of_which_is_killed_end_one_study(begin: Begin, tmp_path: Path) -> None:
    count = 40
    children = [begin(f"machine{number}", count) for number in range(4)]
    await_trials(tmp_path / "machine0", lambda trials: len(trials) > 12)
    children[1].send_signal(signal.SIGKILL)
    for number in (0, 2, 3):
        assert children[number].wait(timeout=240) == 0, (tmp_path / f"log{number}").read_text()[-3000:]
    with contextlib.closing(Ledger.open(tmp_path / "machine0")) as ledger:
        trials = ledger.trials()
        require_whole(trials, count)
        # Optuna's rows say the same.
        optuna_trials = ledger.storage.get_all_trials(ledger.study_id)
        assert [trial.number for trial in optuna_trials] == list(range(count))
        assert all(trial.state.is_finished() for trial in optuna_trials)
        assert len(ledger.invocations()) == 4
        measured = ledger.quiet_pass().throughput
        assert 0 in measured and len(measured) > 1, "the front was measured"
        assert ledger.anchor() is not None
        assert len(Counter(entry.owner for entry in ledger.entries())) >= 3, "they shared the work"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_coordinator_that_is_killed_alone_leaves_its_trials_to_the_next(begin: Begin, tmp_path: Path) -> None:
    first = begin("one", 4, 30.0)
    before = await_trials(tmp_path / "one", lambda trials: [trial.state for trial in trials] == ["running"] * 2)
    first.kill()
    first.wait()
    began = time.monotonic()
    second = begin("two", 4, 0.2)
    assert second.wait(timeout=240) == 0, (tmp_path / "log1").read_text()[-3000:]
    trials = trials_of(tmp_path / "two")
    require_whole(trials, 4)
    assert [trial.arch for trial in trials[:2]] == [trial.arch for trial in before]
    assert [trial.started for trial in trials[:2]] == [trial.started for trial in before]
    # It saw that the process was gone, and waited for no lease: what it took is start and trainings.
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_coordinator_that_slept_past_its_lease_is_refused_and_goes_on_with_other_trials(begin: Begin, tmp_path: Path) -> None:
    sleeper = begin("one", 10, 0.5)
    await_trials(tmp_path / "one", lambda trials: any(trial.state == "running" for trial in trials[1:]))
    sleeper.send_signal(signal.SIGSTOP)
    other = begin("two", 10, 0.5)
    await_trials(tmp_path / "one", lambda trials: len(trials) >= 8)
    sleeper.send_signal(signal.SIGCONT)
    assert (sleeper.wait(timeout=240), other.wait(timeout=240)) == (0, 0), (tmp_path / "log0").read_text()[-3000:]
    require_whole(trials_of(tmp_path / "one"), 10)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_coordinators_may_share_a_folder(begin: Begin, tmp_path: Path) -> None:
    children = [begin("shared", 9, 0.2) for _ in range(2)]
    assert [child.wait(timeout=240) for child in children] == [0, 0], (tmp_path / "log0").read_text()[-3000:]
    require_whole(trials_of(tmp_path / "shared"), 9)
