"""A clock that jumps: durations are of another, which only goes forward."""

import ast
import subprocess
import time
from pathlib import Path

import pretend
import pytest
from storms import require_whole

import fvsearch
from fvsearch.ledger import Ledger

PACKAGE = Path(fvsearch.__file__).parent

TELLS_THE_TIME = {
    ("ledger/_shown.py", "now"),
    ("ledger/records.py", "now"),
    ("training/environment_file.py", "now"),
    ("search/watching.py", "now"),
}
"""Who asks the clock on the wall, for a reader to know when something was."""


def test_only_what_tells_the_time_asks_the_clock_on_the_wall() -> None:
    asked = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Attribute(value=ast.Name(id="time"), attr="time" | "localtime" | "gmtime" | "ctime"):
                    asked.add((path.relative_to(PACKAGE).as_posix(), node.attr))
                case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr="now" | "utcnow" | "today"):
                    asked.add((path.relative_to(PACKAGE).as_posix(), node.attr))
    assert asked == TELLS_THE_TIME


@pytest.mark.slow
def test_a_search_while_the_clock_jumps(tmp_path: Path) -> None:
    command = ("run", *pretend.SMALL, "--out", "out", "--workers", "2", "--trial-timeout", "20s", "--time-budget", "60s", "--trials")
    for trials in ("2", "4"):
        began = time.monotonic()
        run = subprocess.run(
            pretend.command(*command, trials),
            cwd=tmp_path,
            env=pretend.environment(CLOCK="jumps"),
            capture_output=True,
            text=True,
            timeout=60,
        )
        took = time.monotonic() - began
        assert run.returncode == 0, run.stderr
        ledger = Ledger.open(tmp_path / "out")
        assert 0 < ledger.invocations()[-1].seconds < took
    assert require_whole(tmp_path / "out", 4) == {"completed": 4}
    days = {record.started[:10] for record in ledger.trials()} | {record.ended[:10] for record in ledger.trials()}
    assert len(days) > 1, "the clock did jump"
