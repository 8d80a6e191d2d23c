"""`fvsearch confirm` with real trainings: killed, gone on with, and what it refuses."""

import os
from pathlib import Path

import pytest
from commands import fvsearch, start, wait_until, working_in
from ledgers import STUDY, TRIALS, fill

from fvsearch.ledger import Ledger
from fvsearch.search.confirmations import confirmations
from fvsearch.study.recipe import Recipe


def searched(folder: Path) -> Ledger:
    """As after a search on JAX of the baseline and one trial."""
    (folder / "out").mkdir()
    return fill(Ledger.create(folder / "out", STUDY.with_settings(recipe=Recipe(epochs=2, batch_size=128))), TRIALS[:2])


@pytest.mark.slow
def test_kill_9_and_then_more_seeds_record_each_training_once(tmp_path: Path) -> None:
    ledger = searched(tmp_path)
    command = ("confirm", "out", "--workers", "2", "--backend", "jax")
    coordinator = start(*command, "--seeds", "1", cwd=tmp_path)
    assert wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("out/trials/*/repeat1/metrics.jsonl")), 120)
    coordinator.kill()
    coordinator.communicate()
    assert wait_until(lambda: not working_in(tmp_path), 10), "workers die with their coordinator"
    before = confirmations(ledger)
    end = fvsearch(*command, "--seeds", "2", cwd=tmp_path)
    assert end.returncode == 0, end.stderr
    found = confirmations(ledger)
    assert sorted((one.trial, one.repeat) for one in found) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [one for one in found if one in before] == list(before)
    assert not any(one.failed for one in found)
    assert len({one.seed for one in found}) == 4
    assert all(one.measured["memory"] > 0 and len(one.epochs) == 2 for one in found)
    assert sum("repeat" in line for line in end.stderr.splitlines()) == 4 - len(before), "a line for each that ended"
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["confirm", "nothing"], "nothing holds no study"),
        (["confirm", "out", "--backend", "torch"], "was searched on jax, and trainings on torch cannot confirm its numbers"),
        (["confirm", "out", "--backend", "jox"], "the backend must be one of jax, tensorflow, torch, but got 'jox'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    searched(tmp_path)
    run = fvsearch(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert sentence in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_the_backend_of_the_environment_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    run = fvsearch("confirm", "out", cwd=tmp_path)
    assert run.returncode == 2
    assert "give --backend jax" in run.stderr
    assert os.listdir(tmp_path) == ["out"]
