"""Kills of coordinator, workers and both at random moments: nothing is lost, nothing recorded twice, nobody is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pretend
import pytest
import storms
from storms import Storm, require_nobody, require_whole, wait_until

from fvsearch.ledger import Ledger

RUN = ("run", *pretend.SMALL, "--out", "out", "--workers", "2")


def storm_in(folder: Path, seed: int) -> Storm:
    return Storm(pretend.command(*RUN), folder / "out", folder, pretend.environment(), seed, longest=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
def test_three_rounds_of_kills(tmp_path: Path, seed: int) -> None:
    storm = storm_in(tmp_path, seed)
    for kinds in (["kill a worker", "kill the coordinator"], ["kill a worker", "SIGTERM to all"], ["sleep", "kill both"]):
        storm.round(kinds)
    assert storm.blows.total() >= 3
    assert storm.finish().total() == storm.trials


@pytest.mark.slow
def test_a_storm_that_a_shell_started_in_the_background_heeds_ctrl_c(tmp_path: Path) -> None:
    storm, before = storm_in(tmp_path, 1), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = storm.start()
        assert wait_until(lambda: epochs_of(tmp_path, 0), 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 128 + signal.SIGINT, storm.said()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_storm_says_by_which_blow_a_search_did_not_end_and_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = f"{pretend.DUMP}\nimport time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    storm = Storm([sys.executable, "-c", deaf], tmp_path / "out", tmp_path, os.environ, seed=0, longest=3.0)
    start = storm.start

    def started() -> "subprocess.Popen[bytes]":
        process = start()
        assert wait_until(lambda: b"up" in storm.log.read_bytes(), 10)
        return process

    monkeypatch.setattr(storm, "start", started)
    monkeypatch.setattr(storms, "GONE_SECONDS", 0.2)
    with pytest.raises(AssertionError, match=r"it goes on 0.2 s after SIGTERM:[^$]*line 5 in <module>"):
        storm.round(["SIGTERM"])


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_rounds_of_kills(tmp_path: Path, seed: int) -> None:
    storm = storm_in(tmp_path, seed)
    for _ in range(20):
        storm.round()
    assert storm.finish().total() == storm.trials


def popen(folder: Path, *arguments: str, faults: dict[int, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        pretend.command(*arguments),
        cwd=folder,
        env=pretend.environment(faults),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def epochs_of(folder: Path, trial: int) -> int:
    path = folder / "out" / "trials" / f"{trial:04d}" / "repeat0" / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_a_schedulers_sigterm_keeps_what_is_there_and_says_so(tmp_path: Path) -> None:
    # Its third trial hangs after an epoch, so that the search is in the middle of its work.
    search = popen(tmp_path, *RUN, "--trials", "4", faults={2: "loop after 1"})
    assert wait_until(lambda: epochs_of(tmp_path, 2) == 1 and epochs_of(tmp_path, 3) == 4, 30)
    os.killpg(search.pid, signal.SIGTERM)
    said, _ = search.communicate(timeout=15)  # SIGKILL would come after 30 s
    assert search.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in said
    require_nobody(tmp_path)
    before = {record.number: record for record in Ledger.open(tmp_path / "out").trials()}
    assert before[2].state == "running"
    again = popen(tmp_path, *RUN, "--trials", "4")
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert require_whole(tmp_path / "out", 4) == {"completed": 4}
    after = Ledger.open(tmp_path / "out").trials()[2]
    assert (after.arch, after.started) == (before[2].arch, before[2].started), "the same trial, under its number"
    assert after.seconds["train"] == pytest.approx(3 * pretend.EPOCH_SECONDS), "its first epoch was not trained again"


@pytest.mark.slow
def test_a_second_coordinator_is_refused_also_while_the_first_sleeps(tmp_path: Path) -> None:
    first = popen(tmp_path, *RUN, "--trials", "5")
    assert wait_until(lambda: epochs_of(tmp_path, 0), 30)
    os.killpg(first.pid, signal.SIGSTOP)
    second = popen(tmp_path, *RUN, "--trials", "5")
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said.splitlines()[-1].startswith("error: another process of fvsearch works in out; wait until it ends, end it, or give")
    assert "Traceback" not in said
    os.killpg(first.pid, signal.SIGCONT)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert require_whole(tmp_path / "out", 5) == {"completed": 5}
    require_nobody(tmp_path)
