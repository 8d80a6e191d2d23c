"""What is believed of trials, as a function of the ledger."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from confirmations import enter
from ledgers import EVERY_STATE, STUDY, TRIALS, Trial, arch, empty, fill

from fvsearch.fronts.posterior import Posterior, posterior
from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger
from fvsearch.search.confirmations import confirmations, fresh_values
from fvsearch.study import Objective, Proposer

FRONT = STUDY.with_settings(engine=Proposer(name="front"))


def believed(ledger: Ledger) -> Posterior:
    found = posterior(ledger.study, ledger_standings(ledger), fresh_values(ledger.study, confirmations(ledger)))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return fill(empty(tmp_path_factory.mktemp("posterior"), FRONT))


def test_all_that_was_trained_to_the_end_is_believed_something_of(small: Ledger) -> None:
    found = believed(small)
    assert found.objective == "top1"
    # 6, 7, 11 and 12 have no value.
    assert list(found.trials) == [0, 1, 2, 3, 4, 5, 8, 9, 10]
    for belief in found.trials.values():
        assert 0 <= belief.low < belief.mean < belief.high <= 1
        assert belief.trainings == 1
    assert 0 < found.noise < 0.1


def test_means_lie_between_what_was_observed_and_what_others_reached(small: Ledger) -> None:
    seen = {number: trial.top1 for number, trial in enumerate(TRIALS) if trial.top1}
    means = {number: belief.mean for number, belief in believed(small).trials.items()}
    assert np.corrcoef([seen[n] for n in means], list(means.values()))[0, 1] > 0.8
    assert np.std(list(means.values())) < np.std([seen[n] for n in means])


def test_what_is_over_budget_informs_and_is_on_no_front(small: Ledger) -> None:
    # The quiet pass found 8 too slow.
    found = believed(small)
    assert found.trials[8].on_front is None
    assert all(belief.on_front is not None for number, belief in found.trials.items() if number != 8)


def test_the_chance_to_be_on_the_front_goes_by_values_and_costs(small: Ledger) -> None:
    chances = {number: belief.on_front for number, belief in believed(small).trials.items()}
    assert chances[1] == 1, "the cheapest is on any front"
    assert chances[5] < chances[2], "5 was worse than the cheaper 1, 2 was best of those near it"


def test_fresh_trainings_count_as_the_trials_own(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, FRONT))
    before = believed(ledger)
    after = believed(enter(ledger, {3: (0.96, 0.965, 0.955, 0.96), 2: (None,)}))
    assert after.trials[3].trainings == 5
    assert after.trials[2].trainings == 1, "a training that failed has no value"
    assert after.trials[3].mean < before.trials[3].mean
    width = [found.trials[3].high - found.trials[3].low for found in (before, after)]
    assert width[1] < 0.8 * width[0]


def test_repeats_count_as_many_trainings(tmp_path: Path) -> None:
    found = believed(fill(empty(tmp_path, FRONT.with_settings(repeats=3))))
    assert {belief.trainings for belief in found.trials.values()} == {3}


def test_what_was_stopped_informs_and_is_not_believed_to_have_ended(tmp_path: Path) -> None:
    trials = (*TRIALS[:6], *EVERY_STATE[6:8])
    whole = believed(fill(empty(tmp_path / "whole", FRONT), TRIALS[:6]))
    both = believed(fill(empty(tmp_path / "both", FRONT), trials))
    assert both.trials.keys() == whole.trials.keys()
    assert any(abs(both.trials[n].mean - whole.trials[n].mean) > 1e-6 for n in whole.trials)


def test_it_is_the_same_every_time_and_in_any_order(small: Ledger) -> None:
    found = ledger_standings(small)
    again, backwards = posterior(FRONT, found), posterior(FRONT, found[::-1])
    assert again == posterior(FRONT, found)
    assert again is not None
    assert backwards is not None
    for number, belief in again.trials.items():
        assert msgspec.structs.astuple(backwards.trials[number])[:3] == pytest.approx(msgspec.structs.astuple(belief)[:3], abs=1e-6)


def test_a_baseline_of_more_stages_than_the_space_has_is_believed_something_of(small: Ledger) -> None:
    first, *others = ledger_standings(small)
    long = arch("B2(17, h48, m96, a3)-1(9, h48, m96, a3)-1(5, h48, m96, a3)")
    outside = msgspec.structs.replace(first.trial, arch=long, arch_hash=long.arch_hash, params={})
    found = posterior(FRONT, (msgspec.structs.replace(first, trial=outside), *others))
    assert found is not None
    assert found.trials.keys() == believed(small).trials.keys()
    assert found.trials[0].low < found.trials[0].mean < found.trials[0].high


def test_accuracy_alone_has_one_front_point_or_several_that_may_be_it(tmp_path: Path) -> None:
    objectives = (Objective(name="top1", direction="maximize"),)
    chances = [b.on_front for b in believed(fill(empty(tmp_path, FRONT.with_settings(objectives=objectives)))).trials.values()]
    # Without costs one of all is the best.
    assert sum(chance for chance in chances if chance is not None) == pytest.approx(1)


def test_a_loss_is_turned_as_it_should_be(tmp_path: Path) -> None:
    objectives = (Objective(name="loss", direction="minimize"), Objective(name="memory", direction="minimize"))
    found = believed(fill(empty(tmp_path, FRONT.with_settings(objectives=objectives))))
    assert all(0 <= belief.low < belief.mean < belief.high for belief in found.trials.values())
    assert found.trials[3].mean < found.trials[5].mean


def test_an_accuracy_that_all_reach_has_an_interval_that_ends_at_one(tmp_path: Path) -> None:
    trials = tuple(msgspec.structs.replace(trial, top1=trial.top1 and 1.0) for trial in TRIALS)
    found = believed(fill(empty(tmp_path, FRONT), trials))
    assert all(belief.high <= 1 and belief.mean == pytest.approx(1, abs=0.01) for belief in found.trials.values())


FEW = {"none": (), "one": TRIALS[:1], "three": TRIALS[:3], "failed": (TRIALS[0], *TRIALS[6:8], TRIALS[11])}


@pytest.mark.parametrize("trials", FEW.values(), ids=FEW)
def test_too_few_values_are_believed_nothing_of(trials: tuple[Trial, ...], tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, FRONT), trials, quiet={})
    assert posterior(FRONT, ledger_standings(ledger)) is None


def test_studies_of_other_engines_have_none(tmp_path: Path) -> None:
    assert posterior(STUDY, ledger_standings(fill(empty(tmp_path)))) is None
