"""The loop with a calibration: which one predicts, how far its margin reaches, and what a resumed search rests on."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from calibrated import STEP_TIME, anchor, calibration
from scripted import OPTUNA, SETTINGS, ScriptedPool, measure, train

from fvsearch.calibrating.store import calibration_path, save_calibration
from fvsearch.costs.calibration import Calibration
from fvsearch.costs.conditions import Conditions, Items
from fvsearch.costs.predictor import Predictor
from fvsearch.errors import ConfigError
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.library import load_study
from fvsearch.meters.measured import Interval, Measured, MeasureRequest
from fvsearch.search import workers
from fvsearch.search.loop import Progress, run_study
from fvsearch.study import Study
from fvsearch.training.segment import Segment, SegmentResult

STUDY = load_study("quickstart", ["trials=12", "recipe.epochs=2", *OPTUNA])
FOUND = calibration(STUDY)
ANCHOR = anchor(FOUND)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ledger]:
    def call(pool: ScriptedPool | None = None, study: Study = STUDY, calibration: str | None = None, **others: object) -> Ledger:
        scripted = pool or ScriptedPool(1)
        scripted.functions["measure_anchor"] = lambda request: others.get("anchor", ANCHOR)
        monkeypatch.setattr(workers, "make_pool", lambda *arguments, **options: scripted)
        settings = msgspec.structs.replace(SETTINGS, calibration=calibration)
        return run_study(study, tmp_path / "out", settings, others.get("watcher", lambda progress: None))

    monkeypatch.setenv("FVSEARCH_CALIBRATIONS", str(tmp_path / "kept"))
    return call


def keep(found: Calibration = FOUND) -> None:
    save_calibration(found, calibration_path(found.conditions, found.machine))


def with_margins(memory: float, step_time: float) -> Calibration:
    changed = {
        name: msgspec.structs.replace(getattr(FOUND, name), margin=margin)
        for name, margin in (("memory", memory), ("step_time", step_time))
    }
    return msgspec.structs.replace(FOUND, **changed)


def test_trials_are_predicted_by_the_calibration_anchored_on_the_baseline(run: Callable[..., Ledger]) -> None:
    keep()
    told: list[Progress] = []
    ledger = run(watcher=told.append)
    assert ledger.predictions().calibration == FOUND
    assert told[-1].predictions == ledger.predictions().note
    assert "on average" in told[-1].predictions
    conditions = Conditions.of(STUDY, "jax")
    base = Items(conditions, STUDY.baseline)
    for trial in ledger.trials():
        items = Items(conditions, trial.arch)
        assert trial.predicted["throughput"] == pytest.approx(1000 * base.total(STEP_TIME) / items.total(STEP_TIME), rel=1e-3)
    baseline = ledger.trials()[0]
    assert baseline.predicted["throughput"] == pytest.approx(ANCHOR.throughput)
    assert baseline.predicted["memory"] == pytest.approx(ANCHOR.memory)


def test_without_one_the_formula_predicts_and_the_note_says_so(run: Callable[..., Ledger]) -> None:
    ledger = run()
    assert ledger.predictions().note.startswith("not calibrated")
    expected = Predictor.anchored(STUDY, ANCHOR.memory, ANCHOR.throughput, backend="jax")
    assert ledger.trials()[1].predicted == expected.costs(ledger.trials()[1].arch)


def test_a_resumed_search_predicts_as_it_began(run: Callable[..., Ledger]) -> None:
    keep()
    before = run(study=STUDY.with_settings(trials=6)).trials()
    other = msgspec.structs.replace(FOUND.step_time, prices={"constant": 1.0})
    keep(msgspec.structs.replace(FOUND, step_time=other))
    after = run().trials()
    assert after[:6] == before
    predictor = Predictor.anchored(STUDY, ANCHOR.memory, ANCHOR.throughput, backend="jax", calibration=FOUND)
    assert [trial.predicted for trial in after] == [predictor.costs(trial.arch) for trial in after]


def test_an_arch_is_refused_only_beyond_the_margin(run: Callable[..., Ledger], tmp_path: Path) -> None:
    tight = STUDY.with_settings(budget=msgspec.structs.replace(STUDY.budget, memory="0.5x"))
    limit = 0.5 * ANCHOR.memory

    def metered(segment: Segment) -> SegmentResult:
        if segment.max_memory is None:
            return train(segment)
        assert segment.max_memory == pytest.approx(limit), "the meter is held to the budget itself"
        return SegmentResult(status="over_memory", reason="too much", measured={"memory": 1.01 * limit})

    memory = {}
    for margin in (0.0, 0.3):
        keep(with_margins(margin, 0.0))
        trials = run(ScriptedPool(1, run_segment=metered), tight).trials()
        memory[margin] = max(trial.predicted["memory"] for trial in trials[1:])
        (tmp_path / "out").rename(tmp_path / f"out{margin}")
    assert memory[0.0] <= limit < memory[0.3] <= 1.3 * limit


def test_throughput_within_the_margin_is_decided_by_the_quiet_pass(run: Callable[..., Ledger]) -> None:
    fast = STUDY.with_settings(budget=msgspec.structs.replace(STUDY.budget, memory=None, throughput="1.5x"))

    def slow(request: MeasureRequest) -> Measured:
        found = measure(request)
        ratio = tuple(Interval(median=value, low=value, high=value) for value in (1.0, *([1.4] * (len(request.archs) - 1))))
        return msgspec.structs.replace(found, ratio=ratio)

    keep(with_margins(0.0, 0.2))
    ledger = run(ScriptedPool(1, measure_throughputs=slow), fast)
    found = [trial for trial in ledger.trials()[1:] if trial.predicted["throughput"] < 1500.0]
    assert found, "predicted short of the budget, within the margin, and tried"
    assert all(trial.state == "completed" and trial.constraints["throughput"] <= 0 for trial in found)
    assert all(trial.predicted["throughput"] >= 0.8 * 1500.0 * (1 - 1e-9) for trial in found)
    standings = ledger_standings(ledger)
    measured = [standing for standing in standings if standing.number in ledger.quiet_pass().throughput and standing.number]
    assert measured
    assert {standing.place for standing in measured} == {"infeasible"}
    assert measured[0].constraints["throughput"] == pytest.approx(1 - 1400 / 1500)


def test_a_named_file_that_does_not_fit_ends_it_before_anything_is_written(run: Callable[..., Ledger], tmp_path: Path) -> None:
    file = tmp_path / "given.json"
    save_calibration(msgspec.structs.replace(FOUND, conditions=msgspec.structs.replace(FOUND.conditions, batch_size=32)), file)
    pool = ScriptedPool()
    with pytest.raises(ConfigError, match=r"the calibration .*given\.json does not fit quickstart: batch_size 32 there, 64 here"):
        run(pool, calibration=str(file))
    assert not (tmp_path / "out").exists()
    assert pool.submitted == []


def test_a_named_file_of_another_device_ends_it_once_the_device_is_known(run: Callable[..., Ledger], tmp_path: Path) -> None:
    file = tmp_path / "given.json"
    save_calibration(FOUND, file)
    pool = ScriptedPool()
    with pytest.raises(ConfigError, match="device none there, NVIDIA H200 here"):
        run(pool, calibration=str(file), anchor=msgspec.structs.replace(ANCHOR, device="NVIDIA H200"))
    assert pool.segments() == []
