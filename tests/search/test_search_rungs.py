"""The loop where trials end early: at rungs, or because their engine asked for fewer epochs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from scripted import EPOCHS, LONG, SETTINGS, ScriptedPool, train

from fvsearch.archs.space import Param, Params
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Done, Outcome, Stopped, Suggestion, Wait
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.search import beginning, workers
from fvsearch.search.loop import run_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import EarlyStopping, Proposer, Study
from fvsearch.training.segment import Segment, SegmentResult

RUNGS = LONG.with_settings(early_stopping=EarlyStopping(rungs=(0.25, 0.5), keep=0.3, min_trials=3))
ASKED = LONG.with_settings(trials=5, engine=Proposer(name="optuna"))
"""For an engine of the tests: no starts are evaluated before it is asked."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ledger]:
    def call(pool: ScriptedPool, study: Study = RUNGS, settings: RunSettings = SETTINGS) -> Ledger:
        monkeypatch.setattr(workers, "make_pool", lambda *arguments, **options: pool)
        return run_study(study, tmp_path / "out", settings)

    return call


def spans(pool: ScriptedPool, number: int) -> list[tuple[int, int]]:
    """(from_epoch, to_epoch) of a trial's segments."""
    return [(s.from_epoch, s.to_epoch) for s in pool.segments() if Path(s.folder).parent.name == f"{number:04d}"]


def test_trials_far_from_the_front_stop_at_a_rung_and_the_others_are_trained_to_the_end(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    trials = run(pool).trials()
    assert len(trials) == 16
    by_state = {state: [trial for trial in trials if trial.state == state] for state in ("completed", "stopped")}
    assert by_state["stopped"] and by_state["completed"]
    for trial in by_state["stopped"]:
        assert trial.epochs_done in (2, 4) and not trial.rungs[-1].goes_on
        assert set(trial.values) == {"top1", "memory"}
        assert [decision.epochs for decision in trial.rungs] == [2, 4][: len(trial.rungs)]
    for trial in by_state["completed"]:
        assert trial.epochs_done == EPOCHS and [decision.goes_on for decision in trial.rungs] == [True, True]
        assert spans(pool, trial.number) == [(0, 2), (2, 4), (4, 8)]
    assert trials[0].state == "completed"


def test_only_what_was_trained_to_the_end_is_on_the_front(run: Callable[..., Ledger]) -> None:
    found = ledger_standings(run(ScriptedPool()))
    assert all(standing.trial.epochs_done == EPOCHS for standing in found if standing.place == "front")
    assert {standing.place for standing in found if standing.trial.state == "stopped"} == {"stopped"}


def test_a_trials_seconds_are_those_of_all_its_segments(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    for trial in run(pool).trials():
        assert trial.seconds["train"] == 2.0 * len(spans(pool, trial.number))


def test_what_was_decided_at_a_rung_stands_after_a_kill(run: Callable[..., Ledger], tmp_path: Path) -> None:
    count = 0

    def interrupted(segment: Segment) -> SegmentResult:
        nonlocal count
        count += 1
        if count == 20:
            raise KeyboardInterrupt
        return train(segment)

    whole = [(trial.arch_hash, trial.state, trial.rungs) for trial in run(ScriptedPool(1)).trials()]
    (tmp_path / "out").rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1, run_segment=interrupted))
    before = Ledger.open(tmp_path / "out").trials()
    assert before[-1].state == "running"
    pool = ScriptedPool(1)
    after = run(pool).trials()
    assert pool.segments()[0].from_epoch == before[-1].epochs_done
    assert after[-1].rungs[: len(before[-1].rungs)] == before[-1].rungs
    assert [(trial.arch_hash, trial.state, trial.rungs) for trial in after][: len(before)] == whole[: len(before)]
    assert {trial.state for trial in after} == {"completed", "stopped"}


def test_under_another_backend_an_unfinished_trial_begins_anew(run: Callable[..., Ledger]) -> None:
    def interrupted(segment: Segment) -> SegmentResult:
        if segment.from_epoch == 4:
            raise KeyboardInterrupt
        return train(segment)

    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1, run_segment=interrupted))
    pool = ScriptedPool(1)
    trial = run(pool, settings=RunSettings(backend="torch", force_backend=True)).trials()[0]
    assert spans(pool, 0) == [(0, 2), (2, 4), (4, 8)]
    assert (trial.state, trial.backend, len(trial.rungs)) == ("completed", "torch", 2)


def test_only_a_first_repeat_has_rungs(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    trials = run(pool, RUNGS.with_settings(repeats=2)).trials()
    for trial in trials:
        whole = [(0, 2), (2, 4), (4, 8), (0, 8)]
        assert spans(pool, trial.number) == (whole if trial.state == "completed" else whole[: len(trial.rungs)])
    assert all(len(trial.repeats) == 2 for trial in trials if trial.state == "completed")


class Halving:
    """Asks for four archs for two epochs, then for the two best of them to the end."""

    def __init__(self, members: list[Params]) -> None:
        self.members, self.first = members, list(members)
        self.told: dict[tuple[Param, ...], tuple[Params, Outcome]] = {}
        self.second: list[Params] | None = None

    def ask(self) -> Suggestion | Wait | Done:
        if self.first:
            return Suggestion(params=self.first.pop(0), epochs=2)
        if self.second is None:
            known = [self.told[key] for member in self.members if (key := tuple(member.values())) in self.told]
            if len(known) < len(self.members):
                return Wait()
            best = sorted(known, key=lambda pair: -pair[1].values[0])[:2]
            self.second = [params for params, outcome in best if isinstance(outcome, Stopped)]
        return Suggestion(params=self.second.pop(0), epochs=EPOCHS) if self.second else Done(reason="halved")

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        self.told[tuple(params.values())] = (dict(params), outcome)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Halving]:
    """The engines that searches make."""
    made: list[Halving] = []
    stage: dict[str, Any] = {f"stages.{index}.{name}": value for index in (0, 1) for name, value in (("width", 16), ("mlp_dim", 32))}

    def make(study: Study, predictor: Predictor) -> Halving:
        defaults = {path: choices[0] for path, choices in study.space.domains().items()}
        made.append(Halving([defaults | stage | {"stages.0.depth": d, "stages.1.depth": e} for d in (1, 2) for e in (1, 2)]))
        return made[-1]

    monkeypatch.setattr(beginning, "make_engine", make)
    return made


def test_an_engine_may_ask_for_few_epochs_first_and_for_more_of_the_best(run: Callable[..., Ledger], engines: list[Halving]) -> None:
    pool = ScriptedPool(1)
    trials = run(pool, ASKED).trials()
    assert sorted(trial.state for trial in trials) == ["completed"] * 3 + ["paused"] * 2
    for trial in trials[1:]:
        assert spans(pool, trial.number) == [(0, 2), (2, EPOCHS)][: 2 if trial.state == "completed" else 1]
    told = [outcome for _, outcome in engines[0].told.values()]
    assert sum(isinstance(outcome, Completed) for outcome in told) == 3, "the baseline, and the best two"
    assert {outcome.epochs for outcome in told if isinstance(outcome, Stopped)} == {2}


def test_paused_trials_are_stopped_to_a_reader_and_asked_for_again_after_a_resume(
    run: Callable[..., Ledger], engines: list[Halving]
) -> None:
    def interrupted(segment: Segment) -> SegmentResult:
        if segment.from_epoch:
            raise KeyboardInterrupt
        return train(segment)

    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1, run_segment=interrupted), ASKED)
    pool = ScriptedPool(1)
    ledger = run(pool, ASKED)
    assert pool.segments()[0].from_epoch == 2, "it was on its way when the kill came"
    assert [s.from_epoch for s in pool.segments()] == [2, 2], "nothing is trained twice"
    assert {s.place for s in ledger_standings(ledger) if s.trial.state == "paused"} == {"stopped"}
    assert sum(trial.state == "completed" for trial in ledger.trials()) == 3
