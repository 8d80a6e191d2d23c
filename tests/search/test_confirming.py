"""Trainings with fresh seeds, computed: no backend, no process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import STUDY, TRIALS, arch, fill
from scripted import ScriptedPool, train

from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.pools import WorkerDied
from fvsearch.search import workers
from fvsearch.search.confirmations import confirmations
from fvsearch.search.confirming import Confirming, confirm, confirm_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import Confirm
from fvsearch.training.segment import Segment, SegmentResult, derive_seed

SETTINGS = RunSettings(backend="jax", workers=2)
FURTHER = arch("B2(17, h64, m64, a4)")


def test_front_and_baseline_get_fresh_seeds(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool()
    found = confirming(pool, small, 3)
    assert len(found) == len(pool.segments()) == 5 * 3
    assert {one.trial for one in found} == {0, 1, 2, 3, 9}
    assert len({one.seed for one in found}) == 15
    for one in found:
        assert one.arch == small.trials()[one.trial].arch
        assert one.layout == small.trials()[one.trial].layout
        assert one.repeat in (1, 2, 3), "the search had repeat 0"
        assert one.seed == derive_seed(STUDY.seed, one.arch_hash, one.repeat)
        assert (one.failed, one.train_share, one.backend) == (False, 1.0, "jax")
        assert len(one.epochs) == STUDY.recipe.epochs
        assert one.value("top1") == one.epochs[-1]["top1"] > 0
        assert one.measured["memory"] > 0
        assert one.ended


def test_a_training_is_whole_in_a_folder_beside_the_trials(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool()
    confirming(pool, small, 1)
    segment = next(segment for segment in pool.segments() if segment.arch == small.trials()[3].arch)
    assert (segment.from_epoch, segment.to_epoch, segment.max_memory) == (0, STUDY.recipe.epochs, None)
    assert segment.folder == str(small.folder / "trials" / "0003" / "repeat1")
    assert (segment.data, segment.recipe) == (STUDY.data, STUDY.recipe)


def test_trials_are_left_as_they_are(small: Ledger, confirming: Callable[..., Any]) -> None:
    before = small.trials()
    confirming(ScriptedPool(), small)
    assert small.trials() == before


def test_more_seeds_add_to_those_that_stand(small: Ledger, confirming: Callable[..., Any]) -> None:
    first = confirming(ScriptedPool(), small, 2)
    again, more = ScriptedPool(), ScriptedPool()
    assert confirming(again, small, 2) == first
    assert again.segments() == []
    assert confirming(ScriptedPool(), small, 1) == first, "fewer take none away"
    found = confirming(more, small, 4)
    assert len(more.segments()) == 10
    assert {one.key: one for one in found} | {one.key: one for one in first} == {one.key: one for one in found}


@pytest.mark.parametrize("after", [0, 1, 4, 9])
def test_an_interrupted_call_goes_on_and_repeats_nothing(after: int, small: Ledger, confirming: Callable[..., Any]) -> None:
    begun: list[Segment] = []

    def interrupted(segment: Segment) -> SegmentResult:
        if len(begun) == after:
            raise KeyboardInterrupt
        begun.append(segment)
        return train(segment)

    with pytest.raises(KeyboardInterrupt):
        confirming(ScriptedPool(1, run_segment=interrupted), small)
    before = confirmations(small)
    assert len(before) == after, "each is written as it ends"
    pool = ScriptedPool(1)
    found = confirming(pool, small)
    assert len(pool.segments()) == 10 - after
    assert len({one.key for one in found}) == len(found) == 10
    assert [one for one in found if one in before] == list(before)


def test_what_fails_is_recorded_with_its_reason_and_not_tried_again(small: Ledger, confirming: Callable[..., Any]) -> None:
    def odd(segment: Segment) -> SegmentResult:
        result, trial = train(segment), Path(segment.folder).parent.name
        if trial == "0001":
            return SegmentResult(status="failed", reason="the loss is NaN in epoch 1")
        if trial == "0002":
            return SegmentResult(status="over_memory", reason="the memory of cpu ran out")
        if trial == "0003":
            last = msgspec.structs.replace(result.epochs[-1], top1=float("nan"))
            return msgspec.structs.replace(result, epochs=(*result.epochs[:-1], last))
        if trial == "0009":
            raise WorkerDied("killed by SIGKILL")
        return result

    pool = ScriptedPool(run_segment=odd)
    reasons = {one.trial: one.reason for one in confirming(pool, small, 1)}
    assert reasons == {
        0: "",
        1: "the loss is NaN in epoch 1",
        2: "the memory of cpu ran out",
        3: "top1 became nan in the last epoch",
        9: "its worker died 2 times: killed by SIGKILL",
    }
    assert len(pool.segments()) == 6, "a worker's first death costs a retry"
    again = ScriptedPool()
    assert [one.failed for one in confirming(again, small, 1)].count(True) == 4
    assert again.segments() == []


def test_an_error_that_nobody_foresaw_fails_one_training(small: Ledger, confirming: Callable[..., Any]) -> None:
    def broken(segment: Segment) -> SegmentResult:
        if segment.arch == STUDY.baseline:
            raise ValueError("no such\nthing")
        return train(segment)

    found = {one.trial: one.reason for one in confirming(ScriptedPool(run_segment=broken), small, 1)}
    assert found == {0: "ValueError: no such thing", 1: "", 2: "", 3: "", 9: ""}


def test_wrong_input_ends_it(small: Ledger, confirming: Callable[..., Any]) -> None:
    def refuse(segment: Segment) -> SegmentResult:
        raise ConfigError("`batch_size` must be at most the training split's 40 images")

    with pytest.raises(ConfigError, match="`batch_size` must be at most"):
        confirming(ScriptedPool(run_segment=refuse), small)
    assert confirmations(small) == ()


def test_another_backend_is_refused(small: Ledger) -> None:
    with pytest.raises(ConfigError, match="was searched on jax, and trainings on torch cannot confirm its numbers; give --backend jax"):
        confirm(small, RunSettings(backend="torch"), 1)


def test_progress_is_told(small: Ledger, confirming: Callable[..., Any]) -> None:
    told: list[Confirming] = []
    confirming(ScriptedPool(), small, 2, watcher=told.append)
    assert [progress.done for progress in told if progress.ended] == list(range(1, 11))
    assert {progress.total for progress in told} == {10}
    assert max(len(progress.running) for progress in told) == 2
    confirming(ScriptedPool(), small, 3, watcher=told.append)
    assert (told[-1].done, told[-1].total) == (15, 15)


def test_a_study_says_what_is_confirmed_beside_its_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = STUDY.with_settings(confirm=Confirm(seeds=1, archs=(FURTHER,), train_shares=(0.5,)))
    (tmp_path / "out").mkdir()
    fill(Ledger.create(tmp_path / "out", study), TRIALS[:3])
    pool = ScriptedPool()
    monkeypatch.setattr(workers, "make_pool", lambda *ignored, **options: pool)
    found = confirm_study(tmp_path / "out", SETTINGS)
    # Front and baseline (0, 1, 2), the further arch; baseline and further arch on half of the images.
    assert sorted((one.trial is None, one.train_share) for one in found) == [(False, 0.5), *[(False, 1.0)] * 3, (True, 0.5), (True, 1.0)]
    assert len(confirm_study(tmp_path / "out", SETTINGS, seeds=2)) == 12


def test_without_a_front_there_is_nothing_to_confirm(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(Ledger.create(tmp_path / "out", STUDY), TRIALS[6:8])
    with pytest.raises(ConfigError, match="has nothing on its front to confirm yet"):
        confirm_study(tmp_path / "out", SETTINGS)
