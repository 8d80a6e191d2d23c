"""The loop with the front engine: what it proposes, after a kill too, with few workers and with many."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from scripted import ANCHOR, LONG, STUDY, ScriptedPool, memory, train

from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.report import summarise
from fvsearch.search import workers
from fvsearch.search.loop import Progress, run_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import EarlyStopping, Proposer, Study
from fvsearch.training.segment import Segment, SegmentResult

SPACE = STUDY.space
assert SPACE is not None
# With two sizes of MLPs: 37 thousand archs, of 581.
SMALLER = msgspec.structs.replace(SPACE, stages=tuple(msgspec.structs.replace(stage, mlp_dim=(32, 96)) for stage in SPACE.stages))
FRONT = STUDY.with_settings(space=SMALLER, engine=Proposer(name="front"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ledger]:
    def call(pool: ScriptedPool, study: Study = FRONT, watcher: Callable[[Progress], None] = lambda progress: None) -> Ledger:
        monkeypatch.setattr(workers, "make_pool", lambda *arguments, **options: pool)
        return run_study(study, tmp_path / "out", RunSettings(backend="jax", workers=pool.num_workers), watcher)

    return call


def test_it_proposes_what_meets_the_budget_and_the_baseline_is_one_of_its_starts(run: Callable[..., Ledger]) -> None:
    said: set[str] = set()
    ledger = run(ScriptedPool(1), FRONT, lambda progress: said.add(progress.feasible))
    trials = ledger.trials()
    assert len({trial.arch_hash for trial in trials}) == 12
    assert trials[0].is_baseline
    assert all(trial.predicted["memory"] <= ANCHOR.memory for trial in trials)
    # The cheapest comes next, for the baseline is at the other end.
    assert trials[1].predicted["memory"] < 0.2 * trials[0].predicted["memory"]
    assert any("the engine looks at all of them for each proposal" in one for one in said)
    assert summarise(ledger).posterior is not None


def test_killed_and_started_again_it_proposes_what_it_would_have(run: Callable[..., Ledger], tmp_path: Path) -> None:
    count = 0

    def interrupted(segment: Segment) -> SegmentResult:
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        return train(segment)

    whole = [trial.arch_hash for trial in run(ScriptedPool(1)).trials()]
    (tmp_path / "out").rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1, run_segment=interrupted))
    assert [trial.arch_hash for trial in run(ScriptedPool(1)).trials()] == whole


def test_eight_workers_train_eight_archs_also_after_a_kill(run: Callable[..., Ledger]) -> None:
    class Stuck(ScriptedPool):
        """Begins its segments and is killed before any ends."""

        def submit(self, function, argument):  # type: ignore[no-untyped-def]
            if function.__name__ == "run_segment" and len(self.segments()) == 8:
                raise KeyboardInterrupt
            future = super().submit(function, argument)
            return future if function.__name__ != "run_segment" else type(future)()

    with pytest.raises(KeyboardInterrupt):
        run(Stuck(9), FRONT.with_settings(trials=20))
    after = run(ScriptedPool(8), FRONT.with_settings(trials=20)).trials()
    assert len({trial.arch_hash for trial in after}) == 20
    assert {trial.state for trial in after} == {"completed"}


def test_rungs_stop_what_it_proposes_and_it_goes_on(run: Callable[..., Ledger]) -> None:
    early = EarlyStopping(rungs=(0.25, 0.5), keep=0.2, min_trials=3)
    rungs = LONG.with_settings(space=SMALLER, engine=Proposer(name="front"), early_stopping=early)
    ledger = run(ScriptedPool(), rungs)
    states = [trial.state for trial in ledger.trials()]
    assert len(states) == 16
    assert {"completed", "stopped"} == set(states)
    believed = summarise(ledger).posterior
    assert believed is not None
    assert set(believed.trials) == {standing.number for standing in ledger_standings(ledger) if standing.trial.state == "completed"}


def test_what_a_device_has_no_memory_for_is_proposed_less(run: Callable[..., Ledger]) -> None:
    def over(segment: Segment) -> SegmentResult:
        needed = 3 * memory(segment.arch)
        if segment.max_memory is not None and needed > segment.max_memory:
            return SegmentResult(status="over_memory", reason="too much", measured={"memory": needed})
        found = train(segment)
        return (
            found
            if segment.max_memory is None
            else type(found)(status="completed", epochs=found.epochs, measured={"memory": needed}, seconds=found.seconds)
        )

    trials = run(ScriptedPool(1, run_segment=over), FRONT.with_settings(trials=24)).trials()
    refused = [trial.state == "infeasible" for trial in trials]
    assert sum(refused[12:]) <= sum(refused[:12])
