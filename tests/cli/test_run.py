"""The main job from end to end, through the command line: search, kill, resume, front, report, export, train."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from commands import fvsearch, start, wait_until, workers_of, working_in

from fvsearch.ledger import Ledger

SMALL = [
    *("--set", "recipe.epochs=2", "--set", "recipe.warmup_epochs=0.5", "--set", "space.stages.0.depth=1"),
    *("--set", "space.stages.1.depth=1", "--set", "space.stages.2.depth=0", "--set", "baseline=B1(17, h48, m96, a3)-1(17, h48, m96, a3)"),
]


def first_epochs(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.glob("out/trials/*/*/metrics.jsonl"))


@pytest.mark.every_backend
def test_the_main_job_from_study_to_trained_model(tmp_path: Path) -> None:
    run = fvsearch("run", "quickstart", "--out", "out", "--trials", "4", "--workers", "2", *SMALL, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    ledger = Ledger.open(tmp_path / "out")
    trials = ledger.trials()
    assert [trial.state for trial in trials] == ["completed"] * 4
    assert len({trial.arch_hash for trial in trials}) == 4
    assert trials[0].arch == ledger.study.baseline
    for trial in trials:
        assert len(trial.repeats[0].epochs) == 2
        assert 0 <= trial.values["top1"] <= 1
        assert trial.values["memory"] == trial.measured["memory"] > 0
        assert trial.backend == os.environ["KERAS_BACKEND"]
    assert trials[0].measured["memory"] == ledger.anchor().memory

    front = json.loads(fvsearch("front", "out", "--json", cwd=tmp_path).stdout)
    assert front
    measured = ledger.quiet_pass().throughput
    assert 0 in measured
    assert all(interval.low <= interval.median <= interval.high for interval in measured.values())
    assert (tmp_path / "out" / "report.html").stat().st_size > 1e6

    exported = fvsearch("export", "out", "--pick", "best", "-o", "run.toml", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    trained = fvsearch("train", "run.toml", "--out", "trained", cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert (tmp_path / "trained" / "model.keras").exists()
    assert len((tmp_path / "trained" / "metrics.jsonl").read_text().splitlines()) == 2
    again = fvsearch("run", "quickstart", "--out", "out", "--trials", "4", "--workers", "2", *SMALL, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert Ledger.open(tmp_path / "out").trials() == trials, "a finished study is left as it is"


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    arguments = ("run", "quickstart", "--out", "out", "--trials", "4", "--workers", "2", *SMALL)
    coordinator = start(*arguments, cwd=tmp_path)
    assert wait_until(lambda: first_epochs(tmp_path), 120)
    coordinator.kill()
    coordinator.communicate()
    assert wait_until(lambda: not working_in(tmp_path), 10), "workers die with their coordinator"
    before = {trial.number: trial for trial in Ledger.open(tmp_path / "out").trials()}
    assert before

    coordinator = start(*arguments, cwd=tmp_path)
    assert wait_until(lambda: len(workers_of(coordinator)) > 1, 60)
    victim = max(workers_of(coordinator), key=lambda process: process.cpu_times().user)
    os.kill(victim.pid, signal.SIGKILL)
    output, _ = coordinator.communicate(timeout=200)
    assert coordinator.returncode == 0, output
    trials = Ledger.open(tmp_path / "out").trials()
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert len({trial.arch_hash for trial in trials}) == 4
    assert {trial.state for trial in trials} == {"completed"}
    for number, trial in before.items():
        assert trials[number].arch == trial.arch, "adopted under its number"
    assert wait_until(lambda: not working_in(tmp_path), 10)


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_goes_on(tmp_path: Path) -> None:
    arguments = ("run", "quickstart", "--out", "out", "--trials", "3", "--workers", "2", *SMALL)
    coordinator = start(*arguments, cwd=tmp_path)
    assert wait_until(lambda: first_epochs(tmp_path), 120)
    coordinator.send_signal(signal.SIGINT)
    output, _ = coordinator.communicate(timeout=30)
    assert coordinator.returncode == 130
    assert output.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in output
    assert wait_until(lambda: not working_in(tmp_path), 10)
    again = fvsearch(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert [trial.state for trial in Ledger.open(tmp_path / "out").trials()] == ["completed"] * 3


@pytest.mark.slow
def test_a_search_on_data_of_ones_own(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "examples" / "user_data.py", tmp_path)
    own = ("--set", "data.source=user_data:stripes", "--set", "data.num_classes=3", "--set", "recipe.batch_size=16")
    run = fvsearch("run", "quickstart", "--out", "out", "--trials", "2", "--workers", "1", *SMALL, *own, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert [trial.state for trial in Ledger.open(tmp_path / "out").trials()] == ["completed"] * 2
