"""Who owns a trial, and who is taken for gone: two ledgers on one database, in one process."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from ledgers import STUDY, TRIALS, record

from fvsearch.errors import ConfigError
from fvsearch.ledger import Address, Entry, Ledger, Taken, TrialRecord, crew
from fvsearch.ledger.crew import Coordinator, Lease, Member, SharedCrew, coordinators
from fvsearch.processes import ProcessName

QUICK = Lease(heartbeat=0.1, length=0.6)
ELSEWHERE = ProcessName(host="elsewhere", number=1, born=1.0, place="another")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    address = Address(f"sqlite:///{tmp_path}/shared.db")
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(contextlib.closing(Ledger.create(tmp_path / name, STUDY, address))) for name in ("one", "two"))


def fresh(index: int) -> TrialRecord:
    whole = record(TRIALS[index], index)
    return msgspec.structs.replace(whole, state="running", values={}, measured={}, constraints={}, repeats=(), ended="")


def ended(index: int, number: int) -> TrialRecord:
    return msgspec.structs.replace(record(TRIALS[index], index), number=number)


def seen(ledger: Ledger) -> dict[int, Entry]:
    return {entry.record.number: entry for entry in ledger.news()}


def test_an_arch_is_entered_once_and_the_other_leaves_no_trace(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    assert one.start(fresh(1)).number == 0
    with pytest.raises(Taken):
        other.start(fresh(1))
    assert other.start(fresh(2)).number == 1
    assert len(one.storage.get_all_trials(one.study_id)) == 2


def test_of_many_that_race_for_one_arch_one_wins(two: tuple[Ledger, Ledger]) -> None:
    """And of others', each gets a number of its own."""
    won: list[tuple[str, int]] = []

    def race(ledger: Ledger) -> None:
        for index in range(8):
            with contextlib.suppress(Taken):
                won.append((TRIALS[index].layout, ledger.start(fresh(index)).number))

    threads = [threading.Thread(target=race, args=(ledger,)) for ledger in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for _, number in won) == list(range(8))
    assert len({layout for layout, _ in won}) == 8


def test_the_last_trial_asked_for_is_entered_once(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    one.start(fresh(1), limit=2)
    other.add(msgspec.structs.replace(ended(2, -1), imported="elsewhere #2"))
    other.start(fresh(3), limit=2)
    with pytest.raises(Taken):
        one.start(fresh(4), limit=2)
    assert len(one.trials()) == 3, "imported ones are extra"


def test_an_answer_that_was_lost_is_no_second_trial(two: tuple[Ledger, Ledger]) -> None:
    one, _ = two
    assert one.start(fresh(1)).number == one.start(fresh(1)).number == 0
    assert len(one.trials()) == 1


def test_news_are_what_others_changed(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    first = one.start(fresh(1))
    assert list(seen(other)) == [0] and seen(other) == {}
    other.start(fresh(2))
    assert list(seen(other)) == [], "its own is none"
    one.update(ended(1, first.number))
    assert {number: entry.record.state for number, entry in seen(other).items()} == {0: "completed"}
    assert {number: entry.record.state for number, entry in seen(one).items()} == {1: "running"}


def test_a_trial_is_taken_over_once_and_its_first_owner_is_refused(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    trial = one.start(fresh(1))
    entry = seen(other)[trial.number]
    assert other.take(entry)
    assert not one.update(trial)
    assert not one.update(msgspec.structs.replace(ended(1, trial.number), state="failed", reason="too late"))
    assert not one.take(entry), "it is not as it was seen any more"
    assert other.update(ended(1, trial.number))
    assert not one.update(ended(1, trial.number))
    assert [found.state for found in one.trials()] == ["completed"]


def test_a_trial_that_ended_meanwhile_is_not_taken_over(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    trial = one.start(fresh(1))
    entry = seen(other)[trial.number]
    one.update(ended(1, trial.number))
    assert not other.take(entry)
    assert other.entries()[0].owner == one.owner


def test_a_trial_that_changed_meanwhile_is_not_taken_over(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    trial = one.start(fresh(1))
    entry = seen(other)[trial.number]
    one.update(trial)
    assert not other.take(entry)


# who is gone


def member(process: ProcessName = ELSEWHERE, lease: Lease = QUICK) -> Member:
    return Member(process=process, workers=1, lease=lease)


def test_a_silent_coordinator_is_gone_when_its_lease_is_over_and_comes_back(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    sleeper, observer = SharedCrew(one, member()), SharedCrew(other, member())
    observer.look()
    assert [found.id for found in observer.others()] == [one.owner] and not observer.is_gone(one.owner)
    # As a stopped process: no beats, and no good-bye.
    sleeper._ended.set()
    sleeper._heart.join()
    limit = time.monotonic() + 20
    while not observer.is_gone(one.owner) and time.monotonic() < limit:
        time.sleep(0.05)
        observer.look()
    assert observer.is_gone(one.owner)
    with one.storage.transaction() as connection:
        connection.exec_driver_sql("UPDATE fvsearch_coordinators SET beat = beat + 1")
    observer.look()
    assert not observer.is_gone(one.owner)
    observer.leave()


def test_a_coordinator_that_said_good_bye_is_gone_at_once(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    leaver, observer = SharedCrew(one, member()), SharedCrew(other, member())
    leaver.leave()
    observer.look()
    assert observer.is_gone(one.owner) and observer.is_gone("whoever") and not observer.is_gone(other.owner)
    assert coordinators(other)[0].id == other.owner
    observer.leave()


def test_a_process_of_this_machine_that_is_no_more_is_gone_at_once(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    here = ProcessName.here()
    dead = SharedCrew(one, member(msgspec.structs.replace(here, born=here.born - 1000), Lease(heartbeat=10, length=600)))
    observer = SharedCrew(other, member())
    assert observer.is_gone(one.owner)
    dead.leave()
    observer.leave()


def test_clocks_that_jump_and_looks_that_were_not_taken_are_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(crew.time, "monotonic", lambda: clock)
    one = Coordinator(id="one", beat=5, left=False, task=None, member=member(lease=Lease(heartbeat=10, length=60)))
    watched = crew._Watched()
    watched.see(one)
    # The observer slept for a day, or could not read: it has not listened.
    clock += 86_400
    watched.see(one)
    assert not watched.is_dead(one)
    for _ in range(12):
        clock += 4.9
        watched.see(one)
        last = watched.is_dead(one)
    assert last
    watched.see(one._replace(beat=6))
    assert not watched.is_dead(one)


def test_what_one_does_alone_another_waits_for_unless_it_is_gone(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    first, second = SharedCrew(one, member()), SharedCrew(other, member())
    order: list[str] = []

    def wait() -> None:
        with second.alone("measuring", order.append):
            order.append("second")

    waiting = threading.Thread(target=wait)
    with first.alone("measuring", order.append):
        waiting.start()
        time.sleep(0.3)
        order.append("first")
    waiting.join()
    assert order == ["waiting for elsewhere, which is measuring", "first", "second"]
    first._set(task="measuring")
    first._ended.set()
    first._heart.join()
    with second.alone("measuring", order.append):
        order.append("after its death")
    assert order[-1] == "after its death"
    second.leave()


def test_a_lease_lasts_at_least_three_heartbeats() -> None:
    with pytest.raises(ConfigError, match=r"a lease must last at least three heartbeats, but got 20 s and a heartbeat every 10 s"):
        Lease(heartbeat=10, length=20)


# whose study it is


def test_another_study_of_that_name_is_refused(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    address = two[0].shared
    other = msgspec.structs.replace(STUDY, seed=8)
    with pytest.raises(ConfigError, match=r"holds another study 'small': seed is 7 there and 8 now; .* --set name=NAME"):
        Ledger.create(tmp_path / "three", other, address)
    assert not (tmp_path / "three" / "study.toml").exists()
    with contextlib.closing(Ledger.create(tmp_path / "three", STUDY.with_settings(trials=99), address)) as more:
        assert more.study.trials == 99


def test_a_folder_belongs_to_one_study(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one takes part in the study at sqlite:///.*shared.db, not at sqlite:///.*other.db"):
        Ledger.create(tmp_path / "one", STUDY, Address(f"sqlite:///{tmp_path}/other.db"))
    two[0].storage.delete_study(two[0].study_id)
    with pytest.raises(ConfigError, match="made anew; give another folder"):
        Ledger.create(tmp_path / "one", STUDY)
    Ledger.create(tmp_path / "alone", STUDY).close()
    with pytest.raises(ConfigError, match=r"alone holds a study with a ledger of its own"):
        Ledger.create(tmp_path / "alone", STUDY, two[0].shared)


def test_a_folder_knows_where_its_ledger_is(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    two[0].start(fresh(1))
    with contextlib.closing(Ledger.open(tmp_path / "two")) as again:
        assert again.shared == two[0].shared and len(again.trials()) == 1
