"""How far running trials are, and how long the rest takes."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import EPOCHS, STUDY, TRIALS, record, write_metrics

from fvsearch.ledger import Repeat
from fvsearch.search.underway import Spendings, Spent, Underway, _last_end, time_left, underway
from fvsearch.search.underway import seconds_left as left_of

RUNNING = msgspec.structs.replace(record(TRIALS[11], 11), number=11)
WHOLE = Spent(seconds=100.0, epochs=10)
STOPPED = Spent(seconds=20.0, epochs=2)


def seconds_left(ended: list[Spent], *arguments: Any, **others: Any) -> float | None:
    return left_of(Spendings(ended), *arguments, **others)


def at(epochs: int, seconds: float = 0.0) -> Underway:
    return Underway(number=1, layout="", epochs=epochs, of=10, latest=None, seconds=seconds, started="")


def test_a_trial_that_has_written_nothing_is_at_no_epoch(tmp_path: Path) -> None:
    one = underway(STUDY, tmp_path, RUNNING)
    assert (one.number, one.epochs, one.of, one.latest, one.seconds) == (11, 0, EPOCHS, None, 0.0)


def test_epochs_and_the_latest_value_come_from_the_metrics_file(tmp_path: Path) -> None:
    write_metrics(tmp_path, 11, 0, 0.5, 0.7)
    one = underway(STUDY, tmp_path, RUNNING)
    assert (one.epochs, one.latest, one.seconds) == (2, 0.7, 2.0)


def test_a_line_that_is_being_written_does_not_count(tmp_path: Path) -> None:
    path = write_metrics(tmp_path, 11, 0, 0.5, 0.7)
    path.write_bytes(path.read_bytes()[:-9])
    one = underway(STUDY, tmp_path, RUNNING)
    assert (one.epochs, one.latest) == (1, 0.5)


def test_what_confirms_a_trial_is_no_repeat_of_it(tmp_path: Path) -> None:
    write_metrics(tmp_path, 11, 0, 0.5, 0.6)
    write_metrics(tmp_path, 11, 1, 0.7, 0.8, 0.9)
    assert (underway(STUDY, tmp_path, RUNNING).epochs, underway(STUDY, tmp_path, RUNNING).latest) == (2, 0.6)


def test_repeats_add_up(tmp_path: Path) -> None:
    write_metrics(tmp_path, 11, 0, 0.5, 0.6)
    write_metrics(tmp_path, 11, 1, 0.4)
    one = underway(STUDY.with_settings(repeats=2), tmp_path, RUNNING)
    assert (one.epochs, one.of, one.latest) == (3, 2 * EPOCHS, 0.4)


def test_a_trial_goes_as_far_as_its_engine_asked_for(tmp_path: Path) -> None:
    asked = msgspec.structs.replace(RUNNING, target=3)
    assert underway(STUDY.with_settings(repeats=2), tmp_path, asked).of == 3


def test_nothing_is_known_before_the_first_epoch() -> None:
    assert seconds_left([], [at(0)], to_start=5, workers=2) is None


def test_nothing_is_left_of_a_study_that_has_its_trials() -> None:
    assert seconds_left([WHOLE], [], to_start=0, workers=2) == 0.0
    assert seconds_left([WHOLE], [], to_start=-3, workers=2) == 0.0


@pytest.mark.parametrize(("workers", "seconds"), [(1, 500.0), (2, 300.0), (5, 100.0), (9, 100.0)])
def test_trials_share_the_workers(workers: int, seconds: float) -> None:
    assert seconds_left([WHOLE], [], to_start=5, workers=workers) == seconds


def test_a_running_trial_goes_on_at_its_own_pace() -> None:
    # Four epochs in 80 s, where others took 10 s each: six more take 120 s.
    assert seconds_left([WHOLE], [at(4, 80.0)], to_start=0, workers=1) == 120.0
    assert seconds_left([WHOLE], [at(0)], to_start=0, workers=1) == 100.0
    assert seconds_left([WHOLE], [at(4, 80.0)], to_start=1, workers=2) == 120.0
    assert seconds_left([WHOLE], [at(4, 80.0)], to_start=1, workers=1) == 220.0


def test_the_first_trial_says_how_long_the_others_may_take() -> None:
    assert seconds_left([], [at(2, 20.0)], to_start=3, workers=1) == 80.0 + 3 * 100.0


def test_trials_to_start_are_stopped_as_often_as_those_that_ended() -> None:
    # Three of four stopped at a fifth: a trial takes 40 s on average.
    assert seconds_left([WHOLE, STOPPED, STOPPED, STOPPED], [], to_start=10, workers=1) == 400.0


def test_a_running_trial_past_the_rung_goes_to_the_end() -> None:
    ended = [WHOLE, STOPPED, STOPPED, STOPPED]
    assert seconds_left(ended, [at(3, 30.0)], to_start=0, workers=1) == 70.0
    assert seconds_left(ended, [at(0)], to_start=0, workers=1) == pytest.approx(40.0)


def test_a_trial_that_got_further_than_all_ended_ones_goes_to_its_own_end() -> None:
    assert seconds_left([STOPPED], [at(4, 40.0)], to_start=0, workers=1) == 60.0


def test_after_the_time_budget_no_trial_starts() -> None:
    assert seconds_left([WHOLE], [], to_start=50, workers=1, until=250.0) == 300.0
    assert seconds_left([WHOLE], [at(5, 50.0)], to_start=50, workers=1, until=0.0) == 50.0


def test_ended_trials_that_cost_nothing_tell_nothing_of_the_pace() -> None:
    # Over memory before the first epoch: seconds, and no epochs.
    assert seconds_left([Spent(seconds=4.0, epochs=0)], [], to_start=2, workers=1) is None
    assert seconds_left([Spent(seconds=4.0, epochs=0), WHOLE], [], to_start=2, workers=1) == 104.0


def test_of_a_study_the_baseline_and_imported_trials_are_no_sample(tmp_path: Path) -> None:
    study = STUDY.with_settings(trials=6)
    baseline, *others = (record(trial, number) for number, trial in enumerate(TRIALS[:4]))
    training = Repeat(seed=1, epochs=baseline.repeats[0].epochs, seconds={"train": 99.0})
    slow = msgspec.structs.replace(baseline, number=0, repeats=(training,))
    known = [msgspec.structs.replace(one, number=number) for number, one in enumerate(others, start=1)]
    assert time_left(study, tmp_path, [slow], workers=1) == 5 * 99.0
    assert time_left(study, tmp_path, [slow, *known], workers=1) == 2 * 10.0
    imported = msgspec.structs.replace(known[0], imported="runs/other #3", repeats=slow.repeats)
    assert time_left(study, tmp_path, [slow, imported, *known[1:]], workers=1) == 3 * 10.0


def test_many_trials_to_start_are_reckoned_as_if_one_by_one() -> None:
    def one_by_one(free: list[float], each: float, count: int, until: float | None) -> float:
        last = 0.0
        for _ in range(count):
            begins = min(free)
            if until is not None and begins >= until:
                break
            free.remove(begins)
            free.append(begins + each)
            last = max(last, begins + each)
        return last

    rng = random.Random(3)
    for _ in range(300):
        free = [rng.choice((0.0, rng.uniform(0, 50))) for _ in range(rng.randint(1, 7))]
        each, count, until = rng.uniform(0.5, 9), rng.randint(0, 90), rng.choice((None, rng.uniform(0, 200)))
        assert _last_end(list(free), each, count, until) == pytest.approx(one_by_one(list(free), each, count, until))
