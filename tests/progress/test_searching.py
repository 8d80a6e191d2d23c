"""What a search shows on a terminal, and what where there is none."""

import io
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import STUDY, TRIALS, record, write_metrics
from rich.console import Console

from fvsearch.ledger import TrialRecord
from fvsearch.progress import searching, watch
from fvsearch.progress.searching import Shown, trial_line
from fvsearch.search.watching import Progress


def numbered(index: int) -> TrialRecord:
    return msgspec.structs.replace(record(TRIALS[index], index), number=index)


RUNNING = numbered(11)
SEARCHING = Progress(
    activity="searching",
    done=3,
    total=16,
    running=(RUNNING,),
    refused=10,
    stopped=2,
    on_front=2,
    hypervolume=0.41234,
    seconds_left=250.0,
    predictions="not calibrated",
    feasible="120 of 3,456 archs are within budget",
)


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    write_metrics(tmp_path, 11, 0, 0.5, 0.912)
    return Shown(STUDY, tmp_path)


def drawn(shown: Shown, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None, force_terminal=True)
    with console.capture() as captured:
        console.print(shown.table())
    return captured.get()


def test_a_line_tells_trials_front_and_time(shown: Shown) -> None:
    shown.hear(SEARCHING)
    assert shown.line() == (
        "searching: 3 of 16 trials; front 2, hypervolume 0.4123, refused 10, stopped 2; #11 epoch 2 of 5 at 91.2%; about 4 min 10 s left"
    )


def test_before_the_first_trial_has_ended_a_line_says_what_is_known(tmp_path: Path) -> None:
    shown = Shown(STUDY, tmp_path)
    shown.hear(Progress(activity="searching", done=0, total=16, running=(RUNNING,)))
    assert shown.line() == "searching: 0 of 16 trials; #11 epoch 0 of 5"


def test_space_and_predictions_are_said_once(shown: Shown) -> None:
    assert shown.hear(SEARCHING) == ["space: 120 of 3,456 archs are within budget", "predictions: not calibrated"]
    assert shown.hear(SEARCHING) == []


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_holds_everything_at_every_width(width: int, shown: Shown) -> None:
    shown.hear(SEARCHING)
    lines = drawn(shown, width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for told in ("3 of 16 trials", "about 4 min 10 s left", "front 2, hypervolume 0.4123, refused 10, stopped 2", "#11 2 of 5 91.2%"):
        assert told in text
    assert RUNNING.layout.replace(" ", "") in re.sub(r"\s", "", text)


def test_an_ended_trial_is_a_line() -> None:
    assert trial_line(STUDY, numbered(3)) == (
        "#3 completed B2(17, h48, m128, a3)-2(9, h48, m96, a3): validation top-1 97.0%, memory 8.00 MiB, 10 s"
    )
    assert trial_line(STUDY, numbered(7)) == "#7 failed B3(17, h64, m128, a4): the loss is NaN in epoch 3"


def test_a_stopped_trial_says_at_which_epoch() -> None:
    whole = numbered(3)
    first = msgspec.structs.replace(whole.repeats[0], epochs=whole.repeats[0].epochs[:2])
    stopped = msgspec.structs.replace(whole, state="stopped", repeats=(first,))
    assert trial_line(STUDY, stopped) == "#3 stopped at epoch 2 of 5 B2(17, h48, m128, a3)-2(9, h48, m96, a3): validation top-1 97.0%, 10 s"


def test_where_there_is_no_terminal_a_line_a_trial_and_one_in_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(searching.time, "monotonic", lambda: clock[0])
    with watch(STUDY, tmp_path) as watcher:
        for second in range(100):
            clock[0] = 1000.0 + second
            ended: Any = {"ended": numbered(3), "done": 4} if second == 50 else {}
            watcher(msgspec.structs.replace(SEARCHING, predictions="", feasible="", **ended))
    lines = capsys.readouterr().err.splitlines()
    # At once, after 30 s of silence, the trial, and after 30 s of silence again.
    assert [line.split(" ", 1)[0] for line in lines] == ["searching:", "searching:", "#3", "searching:"]


def test_while_a_search_measures_and_tells_nothing_a_line_comes_nevertheless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PLAIN_EVERY", 0.0)
    monkeypatch.setattr(searching, "TICK", 0.01)
    lines: list[str] = []
    with watch(STUDY, tmp_path) as watcher:
        watcher(Progress(activity="measuring the baseline", done=0, total=16))
        end = time.monotonic() + 20
        while len(lines) < 3 and time.monotonic() < end:
            # With no patience at all, a line may come before the search tells anything.
            lines += [line for line in capsys.readouterr().err.splitlines() if not line.startswith("starting")]
            time.sleep(0.01)
    assert lines[:3] == ["measuring the baseline: 0 of 16 trials"] * 3


def test_another_activity_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with watch(STUDY, tmp_path) as watcher:
        watcher(Progress(activity="searching", done=1, total=16))
        watcher(Progress(activity="measuring 3 front points and the baseline, alone", done=16, total=16, on_front=3))
    assert capsys.readouterr().err.splitlines() == [
        "searching: 1 of 16 trials; front 0",
        "measuring 3 front points and the baseline, alone: 16 of 16 trials; front 3",
    ]


def test_on_a_terminal_ended_trials_stay_and_long_layouts_have_lines_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    narrow = Console(file=file, width=80, height=30, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr("rich.console.Console", lambda **settings: narrow)
    with watch(STUDY, tmp_path) as watcher:
        watcher(msgspec.structs.replace(SEARCHING, ended=numbered(3)))
        watcher(msgspec.structs.replace(SEARCHING, ended=numbered(7)))
    said = file.getvalue()
    assert "#3 completed: validation top-1 97.0%, memory 8.00 MiB, 10 s" in said
    assert "\n    B2(17, h48, m128, a3)-2(9, h48, m96, a3)" in said
    assert "#7 failed B3(17, h64, m128, a4): the loss is NaN in epoch 3" in said
