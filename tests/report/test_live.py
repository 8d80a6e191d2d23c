"""Where a search is, as another process sees it."""

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confirmations import enter
from ledgers import EPOCHS, QUIET, STUDY, TRIALS, empty, fill, record, write_metrics

from fvsearch.ledger import Ledger
from fvsearch.ledger.crew import Coordinator, Lease, Member
from fvsearch.processes import ProcessName
from fvsearch.report.live import now_of, told_by
from fvsearch.search.watching import CONFIRMING, DONE, LIVE_FILE, Live, Progress, keep_activity, kept, read_live
from fvsearch.study import Confirm

RUNNING = (TRIALS[0], TRIALS[1], TRIALS[11])
SHORT = STUDY.with_settings(trials=3)


def tell(ledger: Ledger, **changed: Any) -> None:
    """What a search in this very process tells."""
    progress = Progress(activity="searching", done=2, total=ledger.study.trials, refused=4, hypervolume=0.25, feasible="3 of 9")
    kept(ledger.folder, lambda told: None)(msgspec.structs.replace(progress, **changed))


def kill(ledger: Ledger) -> None:
    """As if the search's process were no more."""
    live = read_live(ledger.folder)
    dead = msgspec.structs.replace(live.process, born=1.0)
    (ledger.folder / LIVE_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(live, process=dead)))


def test_a_living_search_shows_what_it_told_and_how_far_its_trials_are(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), RUNNING)
    write_metrics(tmp_path, 2, 0, 0.5, 0.7)
    tell(ledger, seconds_left=90.0)
    now = now_of(ledger)
    assert now.alive
    assert (now.activity, now.refused, now.hypervolume, now.feasible, now.next) == ("searching", 4, 0.25, "3 of 9", "")
    assert 85 < now.seconds_left <= 90
    assert [(one.number, one.epochs, one.of, one.latest) for one in now.running] == [(2, 2, EPOCHS, 0.7)]


def test_time_left_that_was_not_known_yet_is_taken_from_the_epochs_written_since(tmp_path: Path) -> None:
    # The baseline runs: two epochs of a second each, three more to go; two trials of five on one of two workers each.
    ledger = fill(empty(tmp_path, SHORT), (msgspec.structs.replace(TRIALS[0], state="running", top1=None),))
    tell(ledger)
    assert now_of(ledger).seconds_left is None
    write_metrics(tmp_path, 0, 0, 0.5, 0.7)
    assert now_of(ledger).seconds_left == pytest.approx(8.0)


def test_a_killed_search_says_what_the_same_command_does(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), RUNNING)
    write_metrics(tmp_path, 2, 0, 0.5, 0.7)
    tell(ledger, seconds_left=90.0)
    kill(ledger)
    now = now_of(ledger)
    assert (now.alive, now.activity, now.seconds_left) == (False, "", None)
    said = "interrupted: `fvsearch run small` goes on with trial 2 from epoch 2 of 5, starts 13 more and measures the front"
    assert now.next == said


def test_a_search_killed_before_the_first_epoch_starts_its_trial_anew(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, SHORT), RUNNING)
    assert now_of(ledger).next == "interrupted: `fvsearch run small` goes on with trial 2 from the start and measures the front"


def test_a_search_killed_while_it_measured_measures(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, SHORT), TRIALS[:3], quiet={0: QUIET[0]})
    tell(ledger, activity="measuring 2 front points and the baseline, alone")
    kill(ledger)
    assert now_of(ledger).next == "interrupted: `fvsearch run small` measures the front"


def test_a_search_that_came_to_its_end_says_so(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, SHORT), TRIALS[:3], quiet={number: QUIET[number] for number in (0, 1, 2)})
    assert now_of(ledger).next == "at its end"
    tell(ledger, activity=DONE)
    assert (now_of(ledger).alive, now_of(ledger).next) == (False, "at its end")


def test_a_search_whose_time_was_up_says_how_it_goes_on(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), TRIALS[:3])
    tell(ledger, activity=DONE)
    next_ = now_of(ledger).next
    assert next_.startswith("ended with 3 of the 16 trials asked for, for its time was up, or nothing")
    assert next_.endswith("`fvsearch run small` starts 13 more")


def test_more_trials_than_it_ended_with_are_more_to_do(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), TRIALS[:3])
    tell(ledger, activity=DONE, total=3)
    assert now_of(ledger).next == "interrupted: `fvsearch run small` starts 13 more and measures the front"


def test_trials_of_another_study_do_not_count_as_this_ones(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, SHORT), TRIALS[:1])
    taken = msgspec.structs.replace(record(TRIALS[1], 1), imported="runs/other #4")
    ledger.start(taken)
    ledger.update(msgspec.structs.replace(taken, number=1))
    now = now_of(ledger)
    assert (now.ended, now.imported) == (1, 1)
    assert now.next == "interrupted: `fvsearch run small` starts 2 more and measures the front"


def test_a_search_that_was_to_confirm_its_front_does_so_when_it_goes_on(tmp_path: Path) -> None:
    quiet = {number: QUIET[number] for number in (0, 1, 2)}
    ledger = fill(empty(tmp_path, SHORT.with_settings(confirm=Confirm())), TRIALS[:3], quiet=quiet)
    tell(ledger, activity=f"{CONFIRMING}, 1 of 9 trainings done", total=3)
    assert now_of(ledger).activity == "confirming with fresh seeds, 1 of 9 trainings done"
    kill(ledger)
    assert now_of(ledger).next == "interrupted: `fvsearch run small` trains the front again with fresh seeds"
    tell(ledger, activity=DONE, total=3)
    assert now_of(ledger).next == "at its end"


def test_confirming_with_more_seeds_than_the_study_asks_for_goes_on_by_itself(tmp_path: Path) -> None:
    quiet = {number: QUIET[number] for number in (0, 1, 2)}
    ledger = fill(empty(tmp_path, SHORT.with_settings(confirm=Confirm(seeds=1))), TRIALS[:3], quiet=quiet)
    enter(ledger, dict.fromkeys((0, 1, 2), (0.9,)))
    tell(ledger, activity=f"{CONFIRMING}, 3 of 9 trainings done", total=3)
    kill(ledger)
    assert now_of(ledger).next == "interrupted: the same `fvsearch confirm` goes on with what is still to be trained again"


def test_confirming_is_seen_and_keeps_what_the_search_told(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, SHORT), TRIALS[:3], quiet={number: QUIET[number] for number in (0, 1, 2)})
    tell(ledger, activity=DONE, total=3)
    keep_activity(tmp_path, f"{CONFIRMING}, 1 of 9 trainings done")
    now = now_of(ledger)
    assert (now.alive, now.activity) == (True, "confirming with fresh seeds, 1 of 9 trainings done")
    assert (now.refused, now.hypervolume, now.feasible) == (4, 0.25, "3 of 9")
    kill(ledger)
    assert now_of(ledger).next == "interrupted: the same `fvsearch confirm` goes on with what is still to be trained again"
    keep_activity(tmp_path, DONE)
    assert now_of(ledger).next == "at its end"


# coordinators


def coordinator(host: str, activity: str, left: bool = False, ago: float = 0.0, **told: Any) -> Coordinator:
    at = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)).isoformat(timespec="seconds")
    process = ProcessName(host=host, number=1, born=1.0, place=f"{host}'s")
    live = Live(
        **({"at": at, "process": process, "activity": activity, "total": 9, "refused": 3} | told),
        hypervolume=told.pop("hypervolume", None),
        seconds_left=60.0,
        feasible="",
    )
    member = Member(process=process, workers=2, lease=Lease(), told=msgspec.json.encode(live).decode(), at=at)
    return Coordinator(id=host, beat=1, left=left, task=None, member=member)


def test_of_several_coordinators_each_is_said_where_it_works_and_what_it_does() -> None:
    crew = [coordinator("a", "searching"), coordinator("b", "searching", refused=4), coordinator("c", "measuring the front")]
    live = told_by([*crew, coordinator("d", "searching", left=True), coordinator("e", "searching", ago=600)])
    assert live is not None
    assert live.activity == "3 coordinators: searching on a, b; measuring the front on c"
    assert live.refused == 10


def test_of_coordinators_that_are_gone_the_last_word_counts() -> None:
    live = told_by([coordinator("a", DONE, left=True, ago=5), coordinator("b", "searching", ago=600)])
    assert live is not None and live.has_ended
    assert told_by([]) is None
