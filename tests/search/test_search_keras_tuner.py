"""The loop with KerasTuner's oracles: the same ledger, front and report as with any other engine. Trainings are computed."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from scripted import SETTINGS, STUDY, ScriptedPool

from fvsearch.errors import ConfigError
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.report import summarise, write_report
from fvsearch.search.loop import run_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import Proposer, Study
from fvsearch.study.recipe import Recipe
from fvsearch.testing import tiny_study


def study_of(oracle: str, trials: int = 12, epochs: int = 2) -> Study:
    recipe = msgspec.structs.replace(STUDY.recipe, epochs=epochs, warmup_epochs=0.5)
    return STUDY.with_settings(engine=Proposer(name="keras_tuner", oracle=oracle, scalar="top1"), trials=trials, recipe=recipe)


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband", "grid"])
def test_each_oracle_fills_a_ledger_a_front_and_a_report(oracle: str, run: Callable[..., Ledger]) -> None:
    ledger = run(ScriptedPool(), study_of(oracle))
    trials = ledger.trials()
    assert len({trial.arch_hash for trial in trials}) == 12
    assert {standing.place for standing in ledger_standings(ledger)} >= {"front"}
    assert summarise(ledger).front
    assert write_report(ledger).exists()


def test_hyperband_trains_the_best_further_from_their_checkpoints(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool(num_workers=1)
    ledger = run(pool, study_of("hyperband", trials=23, epochs=9))
    trials = ledger.trials()
    # The baseline to its end, then a sweep: 9, 5 and 3 archs that begin with 1, 3 and 9 epochs; of each bracket a third goes on.
    assert Counter(trial.epochs_done for trial in trials[:10]) == {1: 6, 3: 2, 9: 2}
    spans = [(segment.from_epoch, segment.to_epoch) for segment in pool.segments()]
    assert {(0, 9), (0, 1), (1, 3), (3, 9), (0, 3)} == set(spans)
    for trial in trials[1:10]:
        own = [segment for segment in pool.segments() if segment.arch == trial.arch]
        assert [segment.from_epoch for segment in own] == [0, *(segment.to_epoch for segment in own[:-1])]
    on_front = [standing.trial for standing in ledger_standings(ledger) if standing.place == "front"]
    assert on_front
    assert all(trial.epochs_done == 9 for trial in on_front)


def test_a_hyperband_search_that_gets_more_trials_trains_nothing_twice(run: Callable[..., Ledger]) -> None:
    first, second = (ScriptedPool(num_workers=1) for _ in range(2))
    run(first, study_of("hyperband", trials=6, epochs=9))
    ledger = run(second, study_of("hyperband", trials=16, epochs=9))
    assert len(ledger.trials()) == 16
    spans = [(segment.arch.arch_hash, epoch) for pool in (first, second) for segment in pool.segments() for epoch in _epochs(segment)]
    assert len(spans) == len(set(spans))
    assert Counter(trial.epochs_done for trial in ledger.trials()[:10]) == {1: 6, 3: 2, 9: 2}


def _epochs(segment):
    return range(segment.from_epoch, segment.to_epoch)


def test_two_workers_do_not_lose_what_hyperband_would_promote_at_the_end(run: Callable[..., Ledger]) -> None:
    ledger = run(ScriptedPool(num_workers=2), study_of("hyperband", trials=10, epochs=9))
    assert Counter(trial.epochs_done for trial in ledger.trials()) == {1: 6, 3: 2, 9: 2}


def test_the_law_of_the_scalar_is_said_before_any_work(tmp_path: Path) -> None:
    study = STUDY.with_settings(engine=Proposer(name="keras_tuner", oracle="bayesian"))
    with pytest.raises(ConfigError, match="the plain sum"):
        run_study(study, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


@pytest.mark.every_backend
@pytest.mark.slow
def test_a_search_by_hyperband_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.search.quiet.MEASURE_SECONDS", 0.1)
    proposer = Proposer(name="keras_tuner", oracle="hyperband", scalar="top1")
    study = tiny_study(engine=proposer, recipe=Recipe(epochs=3, batch_size=512), trials=4)
    ledger = run_study(study, tmp_path / "out", RunSettings(backend=os.environ["KERAS_BACKEND"], pool="inline"))
    trials = ledger.trials()
    assert Counter(trial.epochs_done for trial in trials) == {1: 2, 3: 2}
    assert Counter(trial.state for trial in trials) == {"paused": 2, "completed": 2}
    assert all(standing.trial.state == "completed" for standing in ledger_standings(ledger) if standing.place == "front")
    assert summarise(ledger).front
