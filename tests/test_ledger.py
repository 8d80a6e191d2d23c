import math
from pathlib import Path

import msgspec
import pytest

from fvsearch.archs.layout import format_layout
from fvsearch.engines import Completed, Failed, Infeasible
from fvsearch.errors import ConfigError
from fvsearch.ledger import Invocation, Ledger, QuietPass, Repeat, TrialRecord
from fvsearch.ledger import _tables as tables
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor, Interval, Measured
from fvsearch.records import to_toml

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
    ledger.update(completed(first))
    reopened = Ledger.open(ledger.folder)
    assert reopened.study == STUDY
    assert reopened.trials() == (completed(first), second)
    assert first.seconds == {}
    assert completed(first).seconds == {"train": 4.0, "compile": 2.0}


def test_an_end_is_entered_once(ledger: Ledger) -> None:
    record = ledger.start(started())
    ledger.update(completed(record))
    ledger.update(msgspec.structs.replace(record, state="failed", reason="too late"))
    assert ledger.trials() == (completed(record),)


def test_a_change_is_made_as_a_whole_or_not_at_all(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    record = ledger.start(started())
    monkeypatch.setattr(tables, "insert_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        ledger.update(completed(record))
    assert (ledger.trials(), optuna_states(ledger)) == ((record,), ["RUNNING"])
    assert "constraints" not in ledger.storage.get_all_trials(ledger.study_id)[0].system_attrs
    monkeypatch.undo()
    monkeypatch.setattr(tables, "insert_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        ledger.start(started(2))
    monkeypatch.undo()
    assert (ledger.trials(), optuna_states(ledger)) == ((record,), ["RUNNING"])
    assert ledger.start(started(2)).number == 1


def test_numbers_that_are_not_finite_are_kept(ledger: Ledger) -> None:
    record = ledger.start(started())
    diverged = msgspec.structs.replace(
        record, state="failed", repeats=(Repeat(seed=1, epochs=({"loss": float("nan")}, {"loss": math.inf})),)
    )
    ledger.update(diverged)
    (found,) = ledger.trials()
    assert math.isnan(found.repeats[0].epochs[0]["loss"]) and found.repeats[0].epochs[1] == {"loss": math.inf}


def test_what_optuna_would_enter_row_by_row_is_entered_in_one_piece(ledger: Ledger) -> None:
    """Params and attributes are written to Optuna's tables by us: they are to be as Optuna writes them."""
    import optuna
    from optuna.distributions import CategoricalDistribution

    record = ledger.start(started(3))
    told = {"layout": record.layout, "predicted num_params": 5e4, "predicted macs per image": 1e6}
    told |= {"predicted memory (bytes)": 1e7, "predicted throughput (images/s)": 900.0}
    template = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params=record.params,
        distributions={path: CategoricalDistribution(STUDY.space.domains()[path]) for path in record.params},
        user_attrs=told,
    )
    ledger.storage.create_new_trial(ledger.study_id, template)
    ours, theirs = ledger.storage.get_all_trials(ledger.study_id)
    assert (ours.params, ours.distributions, ours.user_attrs) == (theirs.params, theirs.distributions, theirs.user_attrs)
    assert ours.state == theirs.state


def test_a_trial_that_was_ended_with_optunas_tools_is_still_ours_to_end(ledger: Ledger) -> None:
    import optuna

    record = ledger.start(started())
    study = optuna.load_study(study_name="quickstart", storage=f"sqlite:///{ledger.folder}/ledger.db")
    study.tell(0, state=optuna.trial.TrialState.FAIL)
    assert ledger.update(completed(record))
    assert (ledger.trials(), optuna_states(ledger)) == ((completed(record),), ["FAIL"])


def test_a_ledger_of_before_our_tables_is_brought_over(tmp_path: Path) -> None:
    import optuna

    before = completed(msgspec.structs.replace(started(), number=0))
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/ledger.db")
    directions = [optuna.study.StudyDirection[o.direction.upper()] for o in STUDY.objectives]
    study_id = storage.create_new_study(directions, STUDY.name)
    starts = [{"command": "fvsearch run", "started": "2026-01-01", "backend": "jax", "workers": 2, "version": "0.1.0"}]
    storage.set_study_system_attr(study_id, "fvsearch:invocations", starts)
    template = optuna.trial.create_trial(values=[0.9, 1.1e7], system_attrs={"fvsearch:trial": msgspec.to_builtins(before)})
    storage.create_new_trial(study_id, template)
    (tmp_path / "study.toml").write_text(to_toml(STUDY))
    ledger = Ledger.open(tmp_path)
    assert ledger.trials() == (before,)
    assert [invocation.command for invocation in ledger.invocations()] == ["fvsearch run"]
    assert ledger.start(started(2)).number == 1
    assert len(Ledger.open(tmp_path).trials()) == 2, "once"


def optuna_states(ledger: Ledger) -> list[str]:
    return [trial.state.name for trial in ledger.storage.get_all_trials(ledger.study_id)]


def test_optuna_reads_the_study(ledger: Ledger) -> None:
    import optuna

    records = [ledger.start(started(depth)) for depth in (1, 2, 3, 4)]
    ledger.update(completed(records[0]))
    ledger.update(msgspec.structs.replace(records[1], state="infeasible", constraints={"memory": 0.3}))
    ledger.update(msgspec.structs.replace(records[2], state="failed", reason="loss became NaN", constraints={"memory": 0.3}))
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
    ledger.update(over)
    (trial,) = optuna.load_study(study_name="quickstart", storage=f"sqlite:///{ledger.folder}/ledger.db").trials
    assert (trial.state.name, trial.values, trial.constraints) == ("PRUNED", [0.9, 1.1e7], {"0": 0.1})
    assert ledger.trials() == (over,)


def test_a_paused_trial_waits_and_goes_on(ledger: Ledger) -> None:
    record = ledger.start(started())
    paused = msgspec.structs.replace(completed(record), state="paused", target=1)
    ledger.update(paused)
    assert optuna_states(ledger) == ["WAITING"]
    assert ledger.trials() == (paused,)
    ledger.update(msgspec.structs.replace(paused, state="running"))
    assert optuna_states(ledger) == ["RUNNING"]


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
    invocations = tuple(
        Invocation(command=f"fvsearch run {n}", started=f"{n}", backend="jax", workers=2, version="0", key=f"{9 - n}") for n in range(3)
    )
    ledger.set_anchor(anchor)
    ledger.set_quiet_pass(quiet)
    for invocation in reversed(invocations):
        ledger.set_invocation(msgspec.structs.replace(invocation, workers=1))
        ledger.set_invocation(invocation)
    reopened = Ledger.open(ledger.folder)
    assert (reopened.anchor(), reopened.quiet_pass(), reopened.invocations()) == (anchor, quiet, invocations)


def test_a_folder_keeps_one_study_but_may_get_more_trials(ledger: Ledger) -> None:
    Ledger.create(ledger.folder, STUDY.with_settings(trials=99))
    assert Ledger.open(ledger.folder).study.trials == 99
    ledger.update(completed(ledger.start(started())))
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
