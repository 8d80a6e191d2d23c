"""Workers that hang, die, or take too long: the trial is given up with its reason, and the study ends with its trials."""

import subprocess
from pathlib import Path

import pretend
import pytest
from storms import require_nobody, require_whole

from fvsearch.ledger import Ledger
from fvsearch.search.confirmations import confirmations


@pytest.mark.slow
def test_what_hangs_is_given_up_and_what_dies_is_tried_again(tmp_path: Path) -> None:
    faults = {1: "loop", 2: "stop after 2", 3: "die", 4: "die once"}
    command = ("run", *pretend.SMALL, "--out", "out", "--trials", "6", "--workers", "2", "--trial-timeout", "2s")
    run = subprocess.run(
        pretend.command(*command), cwd=tmp_path, env=pretend.environment(faults), capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    require_nobody(tmp_path)
    assert require_whole(tmp_path / "out", 6) == {"failed": 3, "completed": 3}
    reasons = {record.number: record.reason for record in Ledger.open(tmp_path / "out").trials()}
    for number in (1, 2):
        assert reasons[number].startswith("a task must end within 2 s, but it did not, and its worker was stopped; its output is in ")
    assert reasons[3].startswith("its worker died 2 times: a worker must live until its task ends, but process ")
    assert "was killed by SIGKILL (as the system does when memory runs out)" in reasons[3]
    assert [reasons[number] for number in (0, 4, 5)] == ["", "", ""]
    again = subprocess.run(pretend.command(*command), cwd=tmp_path, env=pretend.environment(), capture_output=True, text=True, timeout=100)
    assert again.returncode == 0, again.stderr
    assert {record.number: record.reason for record in Ledger.open(tmp_path / "out").trials()} == reasons, "what failed has failed"


@pytest.mark.slow
def test_what_hangs_while_it_is_confirmed_is_given_up(tmp_path: Path) -> None:
    def fvsearch(*command: str, faults: dict[int, str]) -> None:
        run = subprocess.run(
            pretend.command(*command), cwd=tmp_path, env=pretend.environment(faults), capture_output=True, text=True, timeout=100
        )
        assert run.returncode == 0, run.stderr

    fvsearch("run", *pretend.SMALL, "--out", "out", "--trials", "2", "--workers", "2", faults={})
    fvsearch("confirm", "out", "--seeds", "1", "--workers", "2", "--trial-timeout", "2s", faults={0: "loop"})
    require_nobody(tmp_path)
    reasons = {one.trial: one.reason for one in confirmations(Ledger.open(tmp_path / "out"))}
    assert reasons[0].startswith("a task must end within 2 s, but it did not, and its worker was stopped")
    assert all(reason == "" for trial, reason in reasons.items() if trial != 0)
