from pathlib import Path

import msgspec
import pytest

from fvsearch.engines import Completed, Failed, Infeasible
from fvsearch.errors import ConfigError
from fvsearch.layout import format_layout
from fvsearch.ledger import Invocation, Ledger, QuietPass, Repeat, State, TrialRecord
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor, Interval, Measured

STUDY = load_study("quickstart")
PREDICTED = {"num_params": 5e4, "macs": 1e6, "memory": 1e7, "throughput": 900.0}


def started(depth: int = 1) -> TrialRecord:
    params = {"stages.0.mlp_dim": (32, 64, 96, 128)[depth - 1], "stages.1.pooling": "max"}
    arch = STUDY.space.arch(params)
    return TrialRecord(params=params, arch=arch, layout=format_layout(arch, 8), arch_hash=arch.arch_hash, predicted=PREDICTED)


def completed(record: TrialRecord) -> TrialRecord:
    return msgspec.structs.replace(
        record,
        state="completed",
        measured={"memory": 1.1e7},
        constraints={"memory": -0.25},
        values={"top1": 0.9, "memory": 1.1e7},
        repeats=(Repeat(seed=3, epochs=({"epoch": 0, "top1": 0.9},), seconds={"train": 2.0, "compile": 1.0}),) * 2,
        versions={"keras": "3.15.1"},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path, STUDY)


def test_trials_are_numbered_from_zero_and_kept_whole(ledger: Ledger) -> None:
    first, second = ledger.start(started(1)), ledger.start(started(2))
    assert (first.number, second.number) == (0, 1)
    assert first.is_baseline
    ledger.finish(completed(first))
    reopened = Ledger.open(ledger.folder)
    assert reopened.study == STUDY
    assert reopened.trials() == (completed(first), second)
    assert first.seconds == {}
    assert completed(first).seconds == {"train": 4.0, "compile": 2.0}


def test_an_end_is_entered_once(ledger: Ledger) -> None:
    record = ledger.start(started())
    ledger.finish(completed(record))
    ledger.finish(msgspec.structs.replace(record, state="failed", reason="too late"))
    assert ledger.trials() == (completed(record),)


def test_an_end_that_was_cut_short_is_settled(ledger: Ledger) -> None:
    record = ledger.start(started())
    # What a kill leaves between the record and the state.
    trial_id = ledger._storage.get_trial_id_from_study_id_trial_number(ledger._study_id, 0)
    ledger._storage.set_trial_system_attr(trial_id, "fvsearch:trial", msgspec.to_builtins(completed(record)))
    ledger.settle()
    assert ledger._storage.get_trial(trial_id).state.name == "COMPLETE"
    assert ledger.trials() == (completed(record),)


@pytest.mark.parametrize(("record_says", "before", "after"), [("paused", "RUNNING", "WAITING"), ("running", "WAITING", "RUNNING")])
def test_a_pause_or_its_end_that_was_cut_short_is_settled(ledger: Ledger, record_says: State, before: str, after: str) -> None:
    record = ledger.start(started())
    if before == "WAITING":
        ledger.update(msgspec.structs.replace(record, state="paused"))
    left = msgspec.structs.replace(record, state=record_says)
    ledger._storage.set_trial_system_attr(
        ledger._storage.get_all_trials(ledger._study_id)[0]._trial_id, "fvsearch:trial", msgspec.to_builtins(left)
    )
    assert ledger._storage.get_all_trials(ledger._study_id)[0].state.name == before
    ledger.settle()
    assert ledger._storage.get_all_trials(ledger._study_id)[0].state.name == after
    assert ledger.trials() == (left,)


def test_optuna_reads_the_study(ledger: Ledger) -> None:
    import optuna

    records = [ledger.start(started(depth)) for depth in (1, 2, 3, 4)]
    ledger.finish(completed(records[0]))
    ledger.finish(msgspec.structs.replace(records[1], state="infeasible", constraints={"memory": 0.3}))
    ledger.finish(msgspec.structs.replace(records[2], state="failed", reason="loss became NaN", constraints={"memory": 0.3}))
    study = optuna.load_study(study_name="quickstart", storage=f"sqlite:///{ledger.folder}/ledger.db")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert study.trials[0].values == [0.9, 1.1e7]
    assert study.trials[0].params == records[0].params
    assert [trial.system_attrs.get("constraints") for trial in study.trials[:2]] == [[-0.25], [0.3]]
    assert study.best_trials == [study.trials[0]]
    assert study.metric_names == ["top1", "memory (bytes)"]
    assert study.trials[0].user_attrs["layout"] == records[0].layout
    assert study.trials[0].user_attrs["predicted throughput (images/s)"] == 900.0
    assert study.trials[2].user_attrs["reason"] == "loss became NaN"


def test_what_was_trained_over_budget_is_not_complete_to_optuna(ledger: Ledger) -> None:
    import optuna

    over = msgspec.structs.replace(completed(ledger.start(started())), constraints={"memory": 0.1})
    ledger.finish(over)
    (trial,) = optuna.load_study(study_name="quickstart", storage=f"sqlite:///{ledger.folder}/ledger.db").trials
    assert (trial.state.name, trial.values, trial.constraints) == ("PRUNED", [0.9, 1.1e7], {"0": 0.1})
    assert ledger.trials() == (over,)


def test_a_paused_trial_waits_and_goes_on(ledger: Ledger) -> None:
    record = ledger.start(started())
    paused = msgspec.structs.replace(completed(record), state="paused", target=1)
    ledger.update(paused)
    assert ledger._storage.get_all_trials(ledger._study_id)[0].state.name == "WAITING"
    assert ledger.trials() == (paused,)
    ledger.update(msgspec.structs.replace(paused, state="running"))
    assert ledger._storage.get_all_trials(ledger._study_id)[0].state.name == "RUNNING"


def test_outcomes_are_what_engines_are_told(ledger: Ledger) -> None:
    record = started()
    assert completed(record).outcome(STUDY) == Completed(values=(0.9, 1.1e7), constraints={"memory": -0.25})
    over = msgspec.structs.replace(record, state="infeasible", constraints={"memory": 0.3})
    assert over.outcome(STUDY) == Infeasible(constraints={"memory": 0.3})
    assert msgspec.structs.replace(record, state="failed", reason="NaN").outcome(STUDY) == Failed(reason="NaN")


def test_study_wide_entries_are_kept(ledger: Ledger) -> None:
    assert ledger.anchor() is None
    assert ledger.quiet_pass().throughput == {}
    assert ledger.invocations() == ()
    anchor = Anchor(throughput=9.0, memory=1e7, memory_source="compiled step", device="cpu", seconds=3.0)
    quiet = QuietPass(throughput={0: Interval(median=2.0, low=1.0, high=3.0)}, seconds=1.0)
    invocations = (Invocation(command="fvsearch run quickstart", started="now", backend="jax", workers=2, version="0"),)
    ledger.set_anchor(anchor)
    ledger.set_quiet_pass(quiet)
    ledger.set_invocations(invocations)
    reopened = Ledger.open(ledger.folder)
    assert (reopened.anchor(), reopened.quiet_pass(), reopened.invocations()) == (anchor, quiet, invocations)


def test_a_folder_keeps_one_study_but_may_get_more_trials(ledger: Ledger) -> None:
    Ledger.create(ledger.folder, STUDY.with_settings(trials=99))
    assert Ledger.open(ledger.folder).study.trials == 99
    ledger.finish(completed(ledger.start(started())))
    other = load_study("quickstart", ["recipe.epochs=3"])
    with pytest.raises(ConfigError, match=r"holds another study: recipe.epochs is 15 there and 3 now; give another folder with --out"):
        Ledger.create(ledger.folder, other)
    assert Ledger.open(ledger.folder).study.recipe.epochs == 15


def test_a_study_that_never_trained_gives_way_to_a_mended_one(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path, STUDY)
    trial = ledger.start(started())
    ledger.close()
    mended = load_study("quickstart", ["recipe.epochs=3"])
    metrics = tmp_path / "trials" / f"{trial.number:04d}" / "repeat0" / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("")
    with pytest.raises(ConfigError, match="holds another study"):
        Ledger.create(tmp_path, mended)
    metrics.unlink()
    again = Ledger.create(tmp_path, mended)
    assert (again.study.recipe.epochs, again.trials()) == (3, ())


def test_a_folder_without_a_study_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no study: `fvsearch run STUDY --out .*` makes one"):
        Ledger.open(tmp_path / "nothing")


def test_a_broken_ledger_is_one_sentence(ledger: Ledger) -> None:
    (ledger.folder / "ledger.db").write_bytes(b"no database, but long enough to look at" * 9)
    with pytest.raises(ConfigError, match=r"ledger.db is no ledger of the study 'quickstart'"):
        Ledger.open(ledger.folder)


def test_a_quiet_pass_takes_ratios_for_the_baseline_may_have_run_at_another_speed() -> None:
    def around(value: float) -> Interval:
        return Interval(median=value, low=0.9 * value, high=1.1 * value)

    first = QuietPass(throughput={0: around(100.0)}, seconds=1.0)
    # The baseline took part in slow rounds that the trial rested in: by its own median the trial would be three times as fast.
    measured = Measured(
        throughput=(around(50.0), around(150.0)),
        ratio=(around(1.0), around(2.0)),
        memory=(),
        backend="jax",
        device="none",
        versions={},
        seconds={"measure": 2.0},
    )
    found = first.with_measured([4], measured)
    assert found.throughput == {0: around(100.0), 4: around(200.0)}
    assert found.seconds == 3.0
