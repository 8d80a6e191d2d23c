"""The loop, with trainings that are computed: no backend, no process."""

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted import ANCHOR, OPTUNA, STUDY, ScriptedPool, measure, train

from fvsearch.archs.layout import parse_layout
from fvsearch.errors import ConfigError, EmptySpaceError, RunError
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor, Interval, Measured, MeasureRequest
from fvsearch.pools import NodeLost, WorkerDied
from fvsearch.report import summarise, words
from fvsearch.search import loop
from fvsearch.search.loop import Progress
from fvsearch.search.workers import RunSettings
from fvsearch.study import Proposer
from fvsearch.training.segment import Segment, SegmentResult


def test_a_study_gets_its_trials_the_baseline_first_each_arch_once(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    trials = run(pool).trials()
    assert len(trials) == 12
    assert trials[0].arch == STUDY.baseline
    assert len({trial.arch_hash for trial in trials}) == 12
    assert {trial.state for trial in trials} <= {"completed", "infeasible"}
    assert pool.submitted[0][0] == "measure_anchor"
    assert pool.submitted[-1][0] == "measure_throughputs"
    assert len(pool.segments()) == 12


def test_nothing_predicted_over_budget_is_trained(run: Callable[..., Ledger]) -> None:
    trials = run(ScriptedPool()).trials()
    assert all(trial.predicted["memory"] <= ANCHOR.memory for trial in trials)
    assert trials[0].predicted["memory"] == pytest.approx(ANCHOR.memory)


def test_the_same_seed_gives_the_same_trials_with_one_worker(run: Callable[..., Ledger], tmp_path: Path) -> None:
    first = [trial.arch_hash for trial in run(ScriptedPool(1)).trials()]
    (tmp_path / "out").rename(tmp_path / "before")
    assert [trial.arch_hash for trial in run(ScriptedPool(1)).trials()] == first
    (tmp_path / "out").rename(tmp_path / "between")
    assert [trial.arch_hash for trial in run(ScriptedPool(1), STUDY.with_settings(seed=1)).trials()] != first


def test_memory_as_measured_makes_a_trial_infeasible(run: Callable[..., Ledger]) -> None:
    def over(segment: Segment) -> SegmentResult:
        if segment.arch == STUDY.baseline:
            assert segment.max_memory is None
            return train(segment)
        assert segment.max_memory == ANCHOR.memory
        return SegmentResult(status="over_memory", reason="too much", measured={"memory": 30e6})

    trials = run(ScriptedPool(run_segment=over)).trials()
    assert [trial.state for trial in trials] == ["completed"] + ["infeasible"] * 11
    assert trials[1].constraints == pytest.approx({"memory": 0.5})
    assert trials[1].reason == "too much"


def test_the_baseline_is_trained_also_where_it_is_over_budget(run: Callable[..., Ledger]) -> None:
    ledger = run(ScriptedPool(), load_study("quickstart", ["trials=6", "recipe.epochs=2", "budget.memory=0.5x", *OPTUNA]))
    baseline = ledger_standings(ledger)[0]
    assert baseline.place == "infeasible"
    assert baseline.trial.values["top1"] > 0
    assert baseline.constraints == pytest.approx({"memory": 1.0})


def test_energy_is_kept_where_it_is_told(run: Callable[..., Ledger]) -> None:
    def told(segment: Segment) -> SegmentResult:
        joules = {} if segment.arch == STUDY.baseline else {"gpu": 40.0, "cpu": 2.0}
        return msgspec.structs.replace(train(segment), joules=joules)

    ledger = run(ScriptedPool(run_segment=told))
    assert [trial.joules for trial in ledger.trials()[:2]] == [{}, {"cpu": 2.0, "gpu": 40.0}]
    bill = summarise(ledger).bill
    assert (bill.joules, bill.silent) == ({"cpu": 22.0, "gpu": 440.0}, 1)
    assert words.energy(bill) == "462 J: gpu 440 J, cpu 22.0 J; 1 trial took energy that nothing told"


def test_another_place_to_run_is_no_other_study(run: Callable[..., Ledger]) -> None:
    run(ScriptedPool(), STUDY.with_settings(trials=3))
    assert len(run(ScriptedPool(), STUDY.with_settings(trials=4, resources={"GPU": 1.0})).trials()) == 4


def test_a_failed_training_is_recorded_with_its_reason_and_the_study_goes_on(run: Callable[..., Ledger]) -> None:
    def odd(segment: Segment) -> SegmentResult:
        number = int(Path(segment.folder).parent.name)
        return SegmentResult(status="failed", reason="loss became NaN in epoch 1") if number % 3 == 1 else train(segment)

    trials = run(ScriptedPool(run_segment=odd)).trials()
    assert len(trials) == 12
    failed = [trial for trial in trials if trial.state == "failed"]
    assert [trial.number for trial in failed] == [1, 4, 7, 10]
    assert {trial.reason for trial in failed} == {"loss became NaN in epoch 1"}


def test_an_absolute_throughput_budget_is_judged_once_the_baseline_is_measured(run: Callable[..., Ledger]) -> None:
    enough = load_study("quickstart", ["trials=12", "recipe.epochs=2", "budget.throughput=900 images/s", *OPTUNA])
    ledger = run(ScriptedPool(), enough)
    assert len(ledger.trials()) == 12
    assert all(trial.predicted["throughput"] >= 900 for trial in ledger.trials()[1:])


def test_an_absolute_throughput_budget_that_nothing_meets_ends_the_study_after_the_baseline(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    with pytest.raises(EmptySpaceError, match=r"meets `budget.throughput` = '1e9 images/s' as predicted; the smallest that would do"):
        run(pool, load_study("quickstart", ["trials=12", "budget.throughput=1e9 images/s", *OPTUNA]))
    assert pool.segments() == []


def test_wrong_input_that_a_worker_finds_ends_the_study(run: Callable[..., Ledger]) -> None:
    def refuse(segment: Segment) -> SegmentResult:
        raise ConfigError("`batch_size` must be at most the training split's 40 images")

    pool = ScriptedPool(run_segment=refuse)
    with pytest.raises(ConfigError, match="`batch_size` must be at most"):
        run(pool)
    assert len(pool.segments()) <= 2


def test_a_worker_that_dies_costs_a_retry_and_twice_the_trial(run: Callable[..., Ledger]) -> None:
    deaths: list[str] = []

    def deadly(segment: Segment) -> SegmentResult:
        number = Path(segment.folder).parent.name
        if (number == "0001" and not deaths) or number == "0002":
            deaths.append(number)
            raise WorkerDied("killed by signal 9")
        return train(segment)

    trials = run(ScriptedPool(run_segment=deadly)).trials()
    assert deaths == ["0001", "0002", "0002"]
    assert trials[1].state == "completed"
    assert trials[2].state == "failed"
    assert "its worker died 2 times" in trials[2].reason
    assert len(trials) == 12


def test_a_lost_machine_is_no_fault_of_the_trial_up_to_a_bound(run: Callable[..., Ledger]) -> None:
    begun: Counter[str] = Counter()

    def lossy(segment: Segment) -> SegmentResult:
        number = Path(segment.folder).parent.name
        begun[number] += 1
        # Four machines and one worker of its own are a trial's to lose.
        if (number == "0001" and begun[number] <= 5) or number == "0002":
            raise WorkerDied("killed by SIGKILL") if (number, begun[number]) == ("0001", 2) else NodeLost("the node was lost")
        return train(segment)

    trials = run(ScriptedPool(run_segment=lossy)).trials()
    assert (begun["0001"], trials[1].state) == (6, "completed")
    assert (begun["0002"], trials[2].state) == (5, "failed")
    assert trials[2].reason == "its machine was lost 5 times: the node was lost"
    assert len(trials) == 12


def test_a_measurement_is_begun_again_where_its_machine_was_lost(run: Callable[..., Ledger]) -> None:
    losses = iter([NodeLost("the node was lost")] * 3)

    def lossy(request: MeasureRequest) -> Anchor:
        for loss in losses:
            raise loss
        return ANCHOR

    assert len(run(ScriptedPool(measure_anchor=lossy)).trials()) == 12


def test_repeats_are_trained_with_seeds_of_their_own_and_averaged(run: Callable[..., Ledger]) -> None:
    pool = ScriptedPool()
    ledger = run(pool, STUDY.with_settings(repeats=3, trials=4))
    segments = pool.segments()
    assert len(segments) == 12
    assert len({segment.seed for segment in segments}) == 12
    for trial in ledger.trials():
        scores = [repeat.epochs[-1]["top1"] for repeat in trial.repeats]
        assert len(scores) == 3
        assert trial.values["top1"] == pytest.approx(sum(scores) / 3)
        assert trial.spread["top1"] == pytest.approx((sum((score - sum(scores) / 3) ** 2 for score in scores) / 2) ** 0.5)


def test_an_interrupted_study_goes_on_under_the_same_numbers(run: Callable[..., Ledger], tmp_path: Path) -> None:
    count = 0

    def interrupted(segment: Segment) -> SegmentResult:
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return train(segment)

    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1, run_segment=interrupted))
    before = Ledger.open(tmp_path / "out").trials()
    assert [trial.state for trial in before] == ["completed"] * 5 + ["running"]
    pool = ScriptedPool(1)
    after = run(pool).trials()
    assert after[:5] == before[:5]
    assert after[5].arch == before[5].arch
    assert len(pool.segments()) == 7, "only what was unfinished is run"
    assert len({trial.arch_hash for trial in after}) == len(after) == 12
    assert "measure_anchor" not in [name for name, _ in pool.submitted], "the anchor is kept"


def test_a_finished_study_can_be_given_more_trials(run: Callable[..., Ledger]) -> None:
    before = run(ScriptedPool()).trials()
    pool = ScriptedPool()
    after = run(pool, STUDY.with_settings(trials=15)).trials()
    assert after[:12] == before
    assert len(after) == 15
    assert len(pool.segments()) == 3


def test_a_front_point_that_breaks_its_budget_when_measured_is_replaced_until_all_are_measured(run: Callable[..., Ledger]) -> None:
    def slow_once(request: MeasureRequest) -> Measured:
        found = measure(request)
        slow = Interval(median=1e-3, low=1e-3, high=1e-3)
        return msgspec.structs.replace(found, ratio=(found.ratio[0], slow, *found.ratio[2:]))

    pool = ScriptedPool(measure_throughputs=slow_once)
    ledger = run(pool, load_study("quickstart", ["trials=12", "recipe.epochs=2", "budget.throughput=0.1x", *OPTUNA]))
    found = ledger_standings(ledger)
    measured = ledger.quiet_pass().throughput
    assert any(standing.place == "infeasible" and standing.number in measured for standing in found)
    assert all(standing.number in measured for standing in found if standing.place == "front")


def test_a_listed_study_ends_with_its_list(run: Callable[..., Ledger]) -> None:
    one, two = (parse_layout(f"B{depth}(17, h48, m96, a3)", patch_size=2, image_size=8) for depth in (1, 2))
    listed = STUDY.with_settings(space=None, engine=Proposer(name="listed", archs=(one, STUDY.baseline, two)), trials=9)
    trials = run(ScriptedPool(), listed).trials()
    assert [trial.arch.depth for trial in trials] == [4, 1, 2], "the baseline first, and not again"
    assert [trial.params for trial in trials] == [{}, {"index": 0}, {"index": 2}]


def test_the_time_budget_starts_no_trial_after_its_end(run: Callable[..., Ledger]) -> None:
    ledger = run(ScriptedPool(), settings=RunSettings(backend="jax", time_budget=0.0))
    assert ledger.trials() == ()


def test_progress_is_told(run: Callable[..., Ledger]) -> None:
    told: list[Progress] = []
    run(ScriptedPool(), watcher=told.append)
    assert [progress.done for progress in told if progress.ended] == list(range(1, 13))
    assert told[-1].activity == "done"
    assert told[-1].on_front > 0


def test_what_time_a_start_took_is_known_though_no_trial_ended(
    run: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.activity == "searching":
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "BILL_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(1), watcher=stop)
    with contextlib.closing(Ledger.open(tmp_path / "out")) as ledger:
        assert not any(trial.ended for trial in ledger.trials())
        assert ledger.invocations()[-1].seconds > 0


@pytest.mark.parametrize(
    ("settings", "error"),
    [(["budget.memory=0.01x"], EmptySpaceError), (["budget.memory=1 KiB"], EmptySpaceError), (["data.source=digit"], ConfigError)],
)
def test_what_cannot_run_is_refused_before_anything_is_written(
    run: Callable[..., Ledger], tmp_path: Path, settings: list[str], error: type[Exception]
) -> None:
    pool = ScriptedPool()
    with pytest.raises(error):
        run(pool, load_study("quickstart", settings))
    assert not (tmp_path / "out").exists()
    assert pool.submitted == []


def test_a_baseline_that_cannot_be_measured_is_an_error_with_its_reason(run: Callable[..., Ledger]) -> None:
    def broken(request: MeasureRequest) -> Anchor:
        raise ValueError("no device")

    with pytest.raises(
        RunError, match=r"the baseline B2\(17, h48, m96, a3\)-2\(17, h48, m96, a3\) cannot be measured: ValueError: no device"
    ):
        run(ScriptedPool(measure_anchor=broken))


def test_a_study_stays_on_its_backend(run: Callable[..., Ledger]) -> None:
    run(ScriptedPool())
    with pytest.raises(ConfigError, match="was searched on jax, and numbers of torch do not compare with it; give --backend jax"):
        run(ScriptedPool(), settings=RunSettings(backend="torch"))


def test_a_start_that_could_not_measure_the_baseline_binds_no_backend(run: Callable[..., Ledger]) -> None:
    def broken(request: MeasureRequest) -> Anchor:
        raise ValueError("no device")

    with pytest.raises(RunError):
        run(ScriptedPool(measure_anchor=broken), settings=RunSettings(backend="torch"))
    assert {trial.backend for trial in run(ScriptedPool()).trials()} == {"jax"}


def test_a_study_may_be_forced_to_another_backend_whose_baseline_is_measured_anew(run: Callable[..., Ledger]) -> None:
    def on(backend: str) -> dict[str, Any]:
        return {
            "measure_anchor": lambda request: msgspec.structs.replace(ANCHOR, backend=backend, memory=3e7 if backend == "torch" else 2e7)
        }

    run(ScriptedPool(**on("jax")))
    forced = RunSettings(backend="torch", force_backend=True)
    ledger = run(ScriptedPool(**on("torch")), STUDY.with_settings(trials=14), forced)
    assert [trial.backend for trial in ledger.trials()] == ["jax"] * 12 + ["torch"] * 2
    anchor = ledger.anchor()
    assert anchor and (anchor.backend, anchor.memory) == ("torch", 3e7)
    assert "jax and torch" in words.caution(summarise(ledger))


def test_a_study_begins_with_what_fits_of_another_and_trains_its_own_trials_beside(run: Callable[..., Ledger], tmp_path: Path) -> None:
    before = run(ScriptedPool()).trials()
    (tmp_path / "out").rename(tmp_path / "first")
    narrower = load_study("quickstart", ["trials=5", "recipe.epochs=2", "space.stages.0.depth=2", *OPTUNA])
    study = narrower.with_settings(engine=Proposer(name="optuna", warm_start=str(tmp_path / "first"), population=8))
    pool, told = ScriptedPool(1), list[Progress]()
    trials = run(pool, study, watcher=told.append).trials()
    fits = [trial.arch_hash for trial in before[1:] if study.space and study.space.contains(trial.arch)]
    assert fits and [trial.arch_hash for trial in trials if trial.imported] == fits
    assert len(pool.segments()) == 5 and sum(not trial.imported for trial in trials) == 5
    assert len({trial.arch_hash for trial in trials}) == len(trials)
    assert f"{len(fits)} trials imported" in told[-1].feasible
    assert (told[-1].done, told[-1].total) == (5, 5)


def test_a_warm_start_from_no_study_is_refused_before_anything_is_written(run: Callable[..., Ledger], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no study"):
        run(ScriptedPool(), STUDY.with_settings(engine=Proposer(name="optuna", warm_start=str(tmp_path / "nothing"))))
    assert not (tmp_path / "out").exists()


def test_listed_warm_starts_come_after_the_baseline(run: Callable[..., Ledger]) -> None:
    small, large = (
        parse_layout(f"B1(17, h{width}, m32, a{width // 16})-1(9, h16, m32, a1)", patch_size=2, image_size=8) for width in (16, 48)
    )
    trials = run(ScriptedPool(1), STUDY.with_settings(engine=Proposer(name="optuna", warm_start=(small, large)))).trials()
    assert [trial.arch for trial in trials[1:3]] == [small, large]
