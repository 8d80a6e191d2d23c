"""The loop of a transfer study, with trainings that are computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from transfers import STUDY, ScriptedPool, measured_of, summary_of

from fvsearch.cli import cli
from fvsearch.errors import ConfigError, RunError, TrainingError
from fvsearch.ledger import Ledger
from fvsearch.meters.measured import Measured, MeasureRequest
from fvsearch.pools import TimedOut, WorkerDied
from fvsearch.records import to_toml
from fvsearch.search import workers
from fvsearch.search.transferring import Transferring, failed_note, is_transfer_folder, read_transfer, results, run_transfer
from fvsearch.search.workers import RunSettings
from fvsearch.study.transfer import TransferStudy

SETTINGS = RunSettings(backend="jax", workers=2)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    def call(pool: ScriptedPool, study: TransferStudy = STUDY, settings: RunSettings = SETTINGS, **others: Any) -> Path:
        monkeypatch.setattr(workers, "make_pool", lambda *ignored, **options: pool)
        run_transfer(study, tmp_path / "out", settings, **others)
        return tmp_path / "out"

    return call


def raising(error: Exception) -> Callable[[Any], Any]:
    def task(ignored: Any) -> Any:
        raise error

    return task


def test_every_arch_is_pre_trained_and_fine_tuned_as_every_other_with_every_seed(run: Callable[..., Path]) -> None:
    pool = ScriptedPool()
    folder = run(pool)
    found = results(folder)
    assert len(found) == len(pool.tasks) == STUDY.num_runs
    assert len({one.seed for one in found}) == STUDY.num_runs
    assert {(one.pretrained, one.finetuned) for one in found} == {("ViT", None), ("Funnel", None), *STUDY.ways}
    assert all(one.summary and one.ended and not one.reason for one in found)


def test_a_fine_tuning_starts_from_the_pre_training_of_its_seed_after_it_has_ended(run: Callable[..., Path]) -> None:
    pool = ScriptedPool(4)
    folder = run(pool)
    begun = pool.names()
    for task in pool.tasks:
        name = task.run.name
        if "-as-" in name:
            source, _, rest = name.partition("-as-")
            arch, _, index = rest.partition("-seed")
            assert task.run.start == str(folder / "pretraining" / f"{source}-seed{index}")
            assert begun.index(f"{source}-seed{index}") < begun.index(name)
            assert (task.run.arch, task.run.data, task.run.recipe) == (STUDY.archs[arch], STUDY.finetuning.data, STUDY.finetuning.recipe)
            assert task.folder == folder / "finetuning" / name
        else:
            assert task.run.start is None
            assert (task.run.data, task.run.recipe) == (STUDY.pretraining.data, STUDY.pretraining.recipe)
            assert task.folder == folder / "pretraining" / name


def test_the_same_call_goes_on_and_repeats_nothing(run: Callable[..., Path]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(ScriptedPool(script={"ViT-as-Funnel-seed1": raising(KeyboardInterrupt())}))  # type: ignore[arg-type]
    pool = ScriptedPool()
    folder = run(pool)
    assert "ViT-as-Funnel-seed1" in pool.names()
    assert 0 < len(pool.tasks) < STUDY.num_runs
    assert len(results(folder)) == STUDY.num_runs
    before = {path: path.read_bytes() for path in (folder / "ended").iterdir()}
    idle = ScriptedPool()
    run(idle)
    assert idle.tasks == []
    assert {path: path.read_bytes() for path in (folder / "ended").iterdir()} == before


def test_more_seeds_add_to_those_that_stand(run: Callable[..., Path]) -> None:
    run(ScriptedPool(), msgspec.structs.replace(STUDY, seeds=1))
    pool = ScriptedPool()
    folder = run(pool)
    assert len(pool.tasks) == STUDY.num_runs - 6
    assert not any(name.endswith("seed0") for name in pool.names())
    run(ScriptedPool(), msgspec.structs.replace(STUDY, seeds=1))
    assert read_transfer(folder)[0].seeds == 3, "fewer seeds take none away"


def test_a_failed_pre_training_fails_what_starts_from_it_and_the_rest_goes_on(run: Callable[..., Path]) -> None:
    pool = ScriptedPool(script={"Funnel-seed1": raising(TrainingError("the loss became NaN in epoch 2 of 2"))})
    folder = run(pool)
    failed = {one.name: one.reason for one in results(folder) if one.summary is None}
    assert failed == {
        "Funnel-seed1": "the loss became NaN in epoch 2 of 2",
        "Funnel-as-ViT-seed1": "its pre-training failed: the loss became NaN in epoch 2 of 2",
        "Funnel-as-Funnel-seed1": "its pre-training failed: the loss became NaN in epoch 2 of 2",
    }
    assert len(results(folder)) == STUDY.num_runs


def test_a_worker_that_dies_once_costs_nothing_and_twice_the_training(run: Callable[..., Path]) -> None:
    once = iter([WorkerDied("it was killed")])

    def dies_once(task: Any) -> Any:
        for error in once:
            raise error
        return summary_of(task)

    folder = run(ScriptedPool(script={"ViT-seed0": dies_once, "Funnel-as-ViT-seed2": raising(WorkerDied("it was killed"))}))
    assert [(one.name, one.reason) for one in results(folder) if one.summary is None] == [
        ("Funnel-as-ViT-seed2", "its worker died 2 times: it was killed")
    ]


def test_what_failed_stands_and_says_how_it_is_tried_again(run: Callable[..., Path]) -> None:
    folder = run(ScriptedPool(script={"ViT-as-ViT-seed2": raising(TimedOut("a task must end within 60 s, but it did not"))}))
    (failed,) = (one for one in results(folder) if one.summary is None)
    assert (failed.name, failed.reason) == ("ViT-as-ViT-seed2", "a task must end within 60 s, but it did not")
    path = folder / "ended" / "ViT-as-ViT-seed2.json"
    assert failed_note(folder) == f"one training failed, and so will stand; to try it again: rm {path}, then the same command"
    idle = ScriptedPool()
    run(idle)
    assert idle.tasks == []
    path.unlink()
    again = ScriptedPool()
    run(again)
    assert (again.names(), failed_note(folder)) == (["ViT-as-ViT-seed2"], "")


def test_a_training_has_as_long_as_a_trial_may_take_and_each_arch_that_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timeouts: list[float] = []

    def make(*ignored: Any, timeout: float, **options: Any) -> ScriptedPool:
        timeouts.append(timeout)
        return ScriptedPool()

    monkeypatch.setattr(workers, "make_pool", make)
    run_transfer(STUDY, tmp_path / "out", msgspec.structs.replace(SETTINGS, trial_timeout=60.0))
    assert timeouts == [60.0, 60.0 * len(STUDY.archs)]


def test_the_command_passes_the_limit_on_and_says_how_what_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    def scripted(study: TransferStudy, folder: Path, settings: RunSettings, watcher: Any) -> None:
        limits.append(settings.trial_timeout)
        pool = ScriptedPool(script={"ViT-seed0": raising(TrainingError("the loss became NaN"))})
        monkeypatch.setattr(workers, "make_pool", lambda *ignored, **options: pool)
        run_transfer(study, folder, settings, watcher)

    monkeypatch.setattr("fvsearch.search.transferring.run_transfer", scripted)
    (tmp_path / "small.toml").write_text(to_toml(STUDY))
    ended = CliRunner().invoke(cli, ["run", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out"), "--trial-timeout", "20m"])
    assert ended.exit_code == 0, ended.output
    assert limits == [1200.0]
    names = ("ViT-as-Funnel-seed0", "ViT-as-ViT-seed0", "ViT-seed0")
    files = " ".join(str(tmp_path / "out" / "ended" / f"{name}.json") for name in names)
    assert f"3 trainings failed, and so will stand; to try them again: rm {files}, then the same command\n" in ended.stdout


def test_wrong_data_ends_it_before_and_in_the_middle(run: Callable[..., Path], tmp_path: Path) -> None:
    broken = msgspec.structs.replace(STUDY, pretraining=msgspec.structs.replace(STUDY.pretraining, data=nothing()))
    with pytest.raises(ConfigError, match="the data source must be"):
        run(ScriptedPool(), broken)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="every class must have"):
        run(ScriptedPool(script={"ViT-seed0": raising(ConfigError("every class must have images"))}))


def nothing() -> Any:
    return msgspec.structs.replace(STUDY.pretraining.data, source="shaps", options={})


def test_another_study_or_backend_is_refused(run: Callable[..., Path]) -> None:
    folder = run(ScriptedPool())
    with pytest.raises(ConfigError, match="differs in more than its seeds"):
        run(ScriptedPool(), msgspec.structs.replace(STUDY, seed=7))
    with pytest.raises(ConfigError, match=r"was trained on jax, and numbers of torch do not compare with it; give --backend jax"):
        run(ScriptedPool(), settings=RunSettings(backend="torch"))
    assert is_transfer_folder(folder)
    with pytest.raises(ConfigError, match="holds a transfer study, which searches nothing: `fvsearch report"):
        Ledger.open(folder)
    with pytest.raises(ConfigError, match="must be the folder of a transfer study"):
        read_transfer(folder / "pretraining")


def test_what_the_archs_cost_is_measured_once_at_the_end(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(ScriptedPool(), msgspec.structs.replace(STUDY, seeds=1))
    _, _, costs = read_transfer(folder)
    assert costs
    assert len(costs.pretraining.throughput) == len(costs.finetuning.memory) == 2
    (folder / "costs.json").unlink()
    monkeypatch.setattr("transfers.measured_of", raising(RunError("no room")))
    with pytest.raises(RunError, match="the trainings stand and the same command tries again, but their archs cannot be measured: no room"):
        run(ScriptedPool(), msgspec.structs.replace(STUDY, seeds=1))


def test_a_step_is_measured_as_the_device_takes_it(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[MeasureRequest] = []

    def measured(request: MeasureRequest) -> Measured:
        asked.append(request)
        return measured_of(request)

    monkeypatch.setattr("transfers.measured_of", measured)
    recipe = msgspec.structs.replace(STUDY.pretraining.recipe, batch_size=64, accumulate=8)
    pretraining = msgspec.structs.replace(STUDY.pretraining, recipe=recipe)
    run(ScriptedPool(), msgspec.structs.replace(STUDY, seeds=1, pretraining=pretraining))
    assert [request.batch_size for request in asked] == [8, STUDY.finetuning.recipe.batch_size]


def test_progress_is_told(run: Callable[..., Path]) -> None:
    told: list[Transferring] = []
    run(ScriptedPool(), watcher=told.append)
    ended = [one for one in told if one.ended]
    assert [one.done for one in ended] == list(range(1, STUDY.num_runs + 1))
    assert {one.total for one in told} == {STUDY.num_runs}
    assert any(one.running for one in told)
