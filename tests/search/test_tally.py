"""What a search counts trial by trial, against what is counted of all at once."""

import itertools
import random
from pathlib import Path

import msgspec
import pytest
from ledgers import EVERY_STATE, STUDY, TRIALS, Trial, empty, fill

from fvsearch.fronts.standing import front, standings
from fvsearch.fronts.volume import hypervolume, reference
from fvsearch.ledger import Ledger, QuietPass, TrialRecord
from fvsearch.search.tally import Tally
from fvsearch.search.underway import time_left
from fvsearch.study import Objective, Study

THREE = STUDY.with_settings(objectives=(*STUDY.objectives, Objective(name="throughput", direction="maximize")))


def require_same(tally: Tally, ledger: Ledger, records: tuple[TrialRecord, ...], quiet: QuietPass) -> None:
    study = ledger.study
    found = standings(study, records, None, quiet)
    assert tally.done == sum(record.state != "running" and not record.imported for record in records)
    assert tally.started == sum(not record.imported for record in records)
    assert tally.stopped == sum(standing.place == "stopped" for standing in found)
    assert tally.on_front == len(front(found))
    value = hypervolume(study, found, reference(study)).value
    assert tally.hypervolume == (None if value is None else pytest.approx(value))
    left = time_left(study, ledger.folder, records, 2)
    assert tally.seconds_left(ledger.folder, 2, None) == (None if left is None else pytest.approx(left))
    assert [record.number for record in tally.running] == [record.number for record in records if record.state == "running"]


@pytest.mark.parametrize("study", [STUDY, THREE], ids=["two objectives", "three"])
@pytest.mark.parametrize("trials", [TRIALS, EVERY_STATE], ids=["all", "every state"])
def test_one_by_one_comes_to_what_all_at_once_does(study: Study, trials: tuple[Trial, ...], tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, study), trials)
    records, quiet = ledger.trials(), ledger.quiet_pass()
    begun = [msgspec.structs.replace(record, state="running", repeats=(), values={}, ended="") for record in records]
    for seed in range(6):
        rng = random.Random(seed)
        tally = Tally(study, reference(study), QuietPass(throughput={}, seconds=0.0))
        events = [*begun]
        # The baseline is entered first; ends come in any order, and some twice.
        for record in rng.sample(records, len(records)):
            events.insert(rng.randint(record.number + 1, len(events)), record)
        now: dict[int, TrialRecord] = {}
        for event in itertools.chain(events, records[:3]):
            if event.number not in now or now[event.number].state in ("running", "paused"):
                now[event.number] = event
            tally.hear(event)
            require_same(tally, ledger, tuple(now[number] for number in sorted(now)), QuietPass(throughput={}, seconds=0.0))
        tally.measure(quiet, records)
        require_same(tally, ledger, tuple(now[number] for number in sorted(now)), quiet)


def test_a_search_that_goes_on_hears_of_trials_in_the_order_of_their_ends_the_baseline_last(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, THREE), EVERY_STATE)
    records, quiet = ledger.trials(), ledger.quiet_pass()
    tally = Tally(THREE, reference(THREE), quiet)
    for record in reversed(records):
        tally.hear(record)
    require_same(tally, ledger, records, quiet)
