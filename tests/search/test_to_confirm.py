"""Which trainings with fresh seeds are wanted, and in which order, as a pool is given them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import STUDY, TRIALS, Trial, arch, empty, fill
from scripted import ScriptedPool

from fvsearch.fronts.posterior import posterior
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.study import Proposer
from fvsearch.training.segment import derive_seed

FURTHER = arch("B2(17, h64, m64, a4)")


def test_every_arch_has_its_first_seed_before_any_has_its_second(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool(1)
    confirming(pool, small, 2)
    assert len({segment.arch.arch_hash for segment in pool.segments()[:5]}) == 5


def test_further_archs_and_shares_of_the_training_split(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool()
    found = confirming(pool, small, 1, (FURTHER,), (0.25, 0.5))
    whole = {one.arch_hash: one for one in found if one.train_share == 1}
    assert len(whole) == 6
    assert whole[FURTHER.arch_hash].trial is None
    parts = {(one.arch_hash, one.train_share): one for one in found if one.train_share < 1}
    both = (STUDY.baseline.arch_hash, FURTHER.arch_hash)
    assert set(parts) == {(key, share) for key in both for share in (0.25, 0.5)}
    assert len({one.seed for one in found if one.arch_hash == FURTHER.arch_hash}) == 1, "the same seeds, so that shares compare"
    folders = {Path(segment.folder).relative_to(small.folder).as_posix(): segment for segment in pool.segments()}
    assert len(folders) == len(found)
    assert folders[f"confirm/{FURTHER.arch_hash}/repeat1"].data == STUDY.data
    assert folders[f"confirm/{FURTHER.arch_hash}/repeat1-share0.25"].data == msgspec.structs.replace(STUDY.data, train_share=0.25)
    assert folders["trials/0000/repeat1-share0.5"].arch == STUDY.baseline


def test_a_share_that_is_said_twice_is_trained_once(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool()
    found = confirming(pool, small, 1, (), (0.5, 0.5))
    assert len(pool.segments()) == len(found) == 6


def test_an_arch_of_the_front_that_is_asked_for_too_is_trained_once(small: Ledger, confirming: Callable[..., Any]) -> None:
    pool = ScriptedPool()
    confirming(pool, small, 1, (small.trials()[3].arch, STUDY.baseline))
    assert len(pool.segments()) == 5


def test_a_trial_that_enters_the_front_later_is_trained_then(tmp_path: Path, confirming: Callable[..., Any]) -> None:
    ledger = fill(empty(tmp_path), TRIALS[:3])
    confirming(ScriptedPool(), ledger, 1)
    better = Trial(layout="B2(17, h48, m128, a3)-2(9, h48, m96, a3)", top1=0.97, memory=8.0, predicted=8.1, throughput=2400)
    fill(ledger, (better,))
    pool = ScriptedPool()
    confirming(pool, ledger, 1)
    assert [segment.arch for segment in pool.segments()] == [arch(better.layout)]


def test_the_seeds_of_an_imported_trial_are_not_fresh(
    tmp_path: Path, confirming: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = fill(empty(tmp_path), TRIALS[:2])
    baseline, one = ledger.trials()
    used = tuple(msgspec.structs.replace(one.repeats[0], seed=derive_seed(STUDY.seed, one.arch_hash, repeat)) for repeat in (0, 1, 3))
    imported = msgspec.structs.replace(one, repeats=used)
    monkeypatch.setattr(ledger, "trials", lambda: (baseline, imported))
    assert [found.repeat for found in confirming(ScriptedPool(), ledger, 2) if found.trial == 1] == [2, 4]


def test_with_a_posterior_the_least_certain_places_come_first(tmp_path: Path, confirming: Callable[..., Any]) -> None:
    ledger = fill(empty(tmp_path, STUDY.with_settings(engine=Proposer(name="front"))))
    believed = posterior(ledger.study, ledger_standings(ledger))
    assert believed is not None
    chances = {number: belief.on_front for number, belief in believed.trials.items() if belief.on_front is not None}
    pool = ScriptedPool(1)
    first = confirming(pool, ledger, 1)
    numbers = [one.trial for segment in pool.segments() for one in first if one.arch == segment.arch]
    *order, last = numbers
    assert last == 0, "the baseline is no candidate"
    # All of the front, and what was observed beside it but is more likely on it than not.
    assert set(order) == {1, 2, 3, 9} | {number for number, chance in chances.items() if chance > 0.5} - {0}
    doubts = [abs(chances[number] - 0.5) for number in order]
    assert doubts == sorted(doubts)
    assert doubts[0] < doubts[-1]
    # What fresh seeds tell changes neither what is wanted nor its order.
    again = ScriptedPool(1)
    confirming(again, ledger, 2)
    assert [segment.arch for segment in again.segments()] == [segment.arch for segment in pool.segments()]
