"""What fresh seeds say of the small study's front, by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from confirmations import FRESH, fresh, trainings
from ledgers import STUDY, arch, empty, fill
from scipy import stats

from fvsearch.fronts.standing import Standing, ledger_standings
from fvsearch.report.confirmed import Confirmed, confirmed
from fvsearch.search.confirmations import Confirmation
from fvsearch.study import Objective, Study


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Standing, ...]:
    return ledger_standings(fill(empty(tmp_path_factory.mktemp("small"))))


@pytest.fixture(scope="module")
def whole(found: tuple[Standing, ...]) -> Confirmed:
    return said(found, FRESH)


def said(found: Sequence[Standing], values: Mapping[int, Sequence[float | None]], study: Study = STUDY) -> Confirmed:
    result = confirmed(study, found, trainings(values))
    assert result is not None
    return result


def test_means_and_intervals_are_of_the_fresh_seeds_alone(whole: Confirmed) -> None:
    row = whole.row(2)
    assert (row.searched, row.searched_seeds, row.seeds) == (0.95, 1, 4)
    low, high = stats.t.interval(0.95, 2, loc=0.91, scale=0.01 / 3**0.5)
    assert (row.mean.value, row.mean.low, row.mean.high) == pytest.approx((0.91, low, high))
    assert row.values == FRESH[2]


def test_a_point_that_another_beats_by_fresh_means_is_dropped(whole: Confirmed) -> None:
    assert whole.dropped == (2,)
    assert whole.row(2).verdict == "dropped"


def test_a_point_that_a_cheaper_one_cannot_be_told_from_is_tied(whole: Confirmed) -> None:
    # 3 has .935 by fresh means, 9 has .930 for 5.5 MiB of 8; seeds spread by .01.
    assert whole.tied == (3,)
    assert (whole.row(3).verdict, whole.row(3).cheaper, whole.row(3).ties) == ("tied", 9, (9,))
    assert [whole.row(number).verdict for number in (1, 9)] == ["kept", "kept"]
    assert set(whole.luck) == {2, 3}


def test_a_tie_with_a_dearer_one_is_a_tie_and_no_luck(whole: Confirmed) -> None:
    assert whole.row(9).ties == (2, 3)
    assert whole.row(9).verdict == "kept"


def test_the_front_by_fresh_means_lets_the_baseline_in(whole: Confirmed) -> None:
    assert whole.front == (3, 9, 1, 0), "front points first"
    assert whole.row(0).place == "dominated"
    assert whole.row(0).verdict == ""


def test_the_searchs_flattery_is_its_mean_over_the_front(whole: Confirmed) -> None:
    assert whole.flattered == pytest.approx((0.0 + 0.0 + 0.04 + 0.035) / 4)
    assert whole.seconds == 15 * 10.0


def test_rows_are_the_front_best_first_then_the_baseline(whole: Confirmed) -> None:
    assert [row.trial for row in whole.rows] == [3, 9, 2, 1, 0]


def test_a_clear_difference_is_no_tie(found: tuple[Standing, ...]) -> None:
    apart = said(found, {3: (0.970, 0.971, 0.969), 9: (0.930, 0.931, 0.929)})
    assert (apart.tied, apart.dropped, apart.row(3).ties) == ((), (), ())
    assert apart.missing == (1, 2)


def test_ties_are_welchs(found: tuple[Standing, ...]) -> None:
    for spread in (0.001, 0.01, 0.02, 0.03, 0.05):
        above, below = (0.95 - spread, 0.95, 0.95 + spread), (0.925, 0.93, 0.935)
        interval = stats.ttest_ind(above, below, equal_var=False).confidence_interval()
        found_tie = 9 in said(found, {3: above, 9: below}).row(3).ties
        assert found_tie == (interval.low <= 0 <= interval.high)


def test_one_seed_has_no_interval_and_ties_with_nothing(found: tuple[Standing, ...]) -> None:
    one = said(found, {number: values[:1] for number, values in FRESH.items()})
    assert one.row(3).mean.low is None
    assert one.tied == ()
    assert one.dropped == (2,)


def test_what_failed_counts_in_no_mean_and_is_counted(found: tuple[Standing, ...]) -> None:
    some = said(found, FRESH | {1: (None, 0.9, None), 2: (None, None, None)})
    assert (some.row(1).failed, some.row(1).values) == (2, (0.9,))
    assert (some.row(2).failed, some.row(2).mean, some.row(2).verdict) == (3, None, "")
    assert some.missing == (2,)


def test_smaller_shares_of_the_training_split_count_in_no_mean(found: tuple[Standing, ...], whole: Confirmed) -> None:
    parts = [fresh(0, 0.5, repeat, share=0.25) for repeat in (1, 2, 3)]
    both = confirmed(STUDY, found, [*trainings(), *parts])
    assert both is not None
    assert both.rows == whole.rows
    assert both.seconds == whole.seconds + 30.0
    assert confirmed(STUDY, found, parts) is None


def test_an_arch_that_is_no_trial_has_a_row_and_no_place_on_the_front(found: tuple[Standing, ...], whole: Confirmed) -> None:
    further = arch("B2(17, h64, m64, a4)")
    more = confirmed(STUDY, found, [*trainings(), *[fresh(further, 0.999, repeat) for repeat in (1, 2)]])
    assert more is not None
    assert (more.rows[-1].trial, more.rows[-1].searched, more.rows[-1].searched_seeds) == (None, None, 0)
    assert (more.front, more.luck) == (whole.front, whole.luck)


def test_what_is_over_budget_comes_on_no_front(found: tuple[Standing, ...], whole: Confirmed) -> None:
    # 8 broke its throughput in the quiet pass.
    over = said(found, FRESH | {8: (0.999, 0.998, 0.997)})
    assert (over.front, over.luck) == (whole.front, whole.luck)
    assert over.row(8).place == "infeasible"


def test_where_less_is_better_less_wins(tmp_path: Path) -> None:
    study = STUDY.with_settings(objectives=(Objective(name="loss", direction="minimize"), STUDY.objectives[1]))
    turned = said(ledger_standings(fill(empty(tmp_path, study))), FRESH, study)
    assert (turned.front, turned.dropped, turned.tied) == ((3, 9, 1, 0), (2,), (3,))
    assert turned.flattered == pytest.approx(0.01875)


def test_two_costs_must_both_be_no_dearer(tmp_path: Path) -> None:
    # 9 takes less memory than 3, and does more images/s by prediction: cheaper in both. Were throughput turned, it would not be.
    for direction, tied in (("maximize", (3,)), ("minimize", ())):
        objectives = (*STUDY.objectives, Objective(name="throughput", direction=direction))
        study = STUDY.with_settings(objectives=objectives)
        standings = ledger_standings(fill(empty(tmp_path / direction, study), quiet={}))
        assert said(standings, {3: FRESH[3], 9: FRESH[9]}, study).tied == tied


def test_without_costs_nothing_is_cheaper(tmp_path: Path) -> None:
    study = STUDY.with_settings(objectives=STUDY.objectives[:1])
    standings = ledger_standings(fill(empty(tmp_path, study)))
    alone = said(standings, {3: FRESH[3], 10: (0.93, 0.92, 0.94)}, study)
    assert alone.tied == ()


@pytest.mark.parametrize("given", [(), [fresh(0, 0.5, 1, share=0.5)]], ids=["none", "only a share"])
def test_before_there_are_any_there_is_nothing_to_say(found: tuple[Standing, ...], given: Sequence[Confirmation]) -> None:
    assert confirmed(STUDY, found, given) is None
