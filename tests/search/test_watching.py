"""What a search tells, and what another process may know of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import TRIALS, record

from fvsearch.processes import ProcessName, born
from fvsearch.search import watching
from fvsearch.search.watching import LIVE_FILE, Countdown, Live, Progress, is_alive, kept, read_live

SEARCHING = Progress(activity="searching", done=3, total=9, refused=4, stopped=1, on_front=2, hypervolume=0.25, seconds_left=60.0)


@pytest.fixture
def told(tmp_path: Path) -> Live:
    kept(tmp_path, lambda progress: None)(SEARCHING)
    live = read_live(tmp_path)
    assert live is not None
    return live


def test_the_watcher_is_told_everything_and_the_file_holds_the_latest(tmp_path: Path) -> None:
    heard: list[Progress] = []
    keeper = kept(tmp_path, heard.append)
    ended = msgspec.structs.replace(SEARCHING, activity="measuring", done=4, refused=7, ended=record(TRIALS[1], 1))
    for progress in (SEARCHING, ended):
        keeper(progress)
    assert heard == [SEARCHING, ended]
    live = read_live(tmp_path)
    assert live is not None
    assert (live.activity, live.total, live.refused, live.hypervolume) == ("measuring", 9, 7, 0.25)
    assert 59 < live.seconds_left <= 60


def test_the_file_is_not_written_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KEEP_EVERY", 1000.0)
    keeper = kept(tmp_path, lambda progress: None)
    keeper(SEARCHING)
    keeper(msgspec.structs.replace(SEARCHING, refused=5))
    assert read_live(tmp_path).refused == 4
    keeper(msgspec.structs.replace(SEARCHING, refused=6, activity="measuring"))
    assert read_live(tmp_path).refused == 6


def test_a_file_that_cannot_be_written_ends_no_search(tmp_path: Path) -> None:
    heard: list[Progress] = []
    kept(tmp_path / "gone", heard.append)(SEARCHING)
    assert heard == [SEARCHING]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"at": 3}'])
def test_a_file_that_does_not_read_tells_nothing(content: bytes, tmp_path: Path) -> None:
    assert read_live(tmp_path) is None
    (tmp_path / LIVE_FILE).write_bytes(content)
    assert read_live(tmp_path) is None


def of_process(told: Live, **changes: Any) -> Live:
    return msgspec.structs.replace(told, process=msgspec.structs.replace(told.process, **changes))


def born_earlier(told: Live, seconds: float) -> Live:
    return of_process(told, born=told.process.born - seconds)


def test_a_search_is_alive_while_its_process_is(told: Live) -> None:
    assert told.process == ProcessName.here()
    assert is_alive(told)
    assert is_alive(born_earlier(told, 1)), "rounded otherwise"
    assert not is_alive(born_earlier(told, 5)), "another process has its number now"
    assert not is_alive(msgspec.structs.replace(told, activity="done")), "it came to its end"


def test_a_search_lives_on_when_the_clock_is_set(told: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    began, booted = psutil.Process.create_time, psutil.boot_time()
    for hours in (-5, 5):
        # What the system reckons by the clock, and what psutil makes of it.
        monkeypatch.setattr(psutil, "boot_time", lambda hours=hours: booted + 3600 * hours)
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, hours=hours: began(self) + 3600 * hours)
        assert is_alive(told)
    ahead = msgspec.structs.replace(told, at="2126-01-02T03:00:00+00:00")
    assert watching.seconds_since(ahead.at) == 0.0


def test_a_search_that_was_killed_is_not_alive(told: Live) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        theirs = of_process(told, number=child.pid, born=born(child.pid))
        assert is_alive(theirs)
        child.kill()
        child.wait()
        assert not is_alive(theirs)


def test_a_search_on_another_machine_is_alive_while_it_tells(told: Live) -> None:
    elsewhere = of_process(told, host="elsewhere", born=0.0)
    assert is_alive(elsewhere)
    assert not is_alive(msgspec.structs.replace(elsewhere, at="2026-01-02T03:00:00+00:00"))


def test_time_left_counts_down_until_it_is_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: clock[0])
    countdown = Countdown()
    assert countdown.seconds() is None
    countdown.hear(SEARCHING)
    clock[0] += 15
    countdown.hear(SEARCHING)
    assert countdown.seconds() == 45.0
    # A trial has ended, and the estimate is what it was.
    countdown.hear(msgspec.structs.replace(SEARCHING, ended=record(TRIALS[1], 1)))
    assert countdown.seconds() == 60.0
    clock[0] += 100
    assert countdown.seconds() == 0.0
