"""The hypervolume of the small study, by hand, and the reference point, against a look at every arch."""

import itertools
import math
import random
from pathlib import Path

import msgspec
import pytest
from ledgers import MIB, QUIET, STUDY, TRIALS, arch, empty, fill

from fvsearch.archs.rules import Rules
from fvsearch.archs.space import Space, StageSpace
from fvsearch.costs.predictor import Predictor
from fvsearch.fronts.standing import ledger_standings
from fvsearch.fronts.volume import Hypervolume, hypervolume, in_units, reference
from fvsearch.study import Objective, Proposer, Study
from fvsearch.study.budgets import Budget

COSTS = ("memory", "throughput", "macs", "num_params")


def objectives(*names: str) -> tuple[Objective, ...]:
    return tuple(Objective(name=name, direction="maximize" if name in ("top1", "top5", "throughput") else "minimize") for name in names)


def study(*names: str, **changes: object) -> Study:
    return STUDY.with_settings(objectives=objectives(*names), **changes)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Hypervolume:
    return hypervolume(STUDY, ledger_standings(fill(empty(tmp_path_factory.mktemp("small")))))


# the reference point


def test_what_is_learned_stands_at_chance() -> None:
    found = reference(study("top1", "top5", "loss"))
    assert found.point == pytest.approx({"top1": 0.1, "top5": 0.5, "loss": math.log(10)})
    assert set(found.origin.values()) == {"chance"}


def test_with_fewer_than_five_classes_top5_is_always_reached() -> None:
    few = study("top5", data=msgspec.structs.replace(STUDY.data, num_classes=3))
    assert reference(few).point == {"top5": 1.0}


def test_a_cost_stands_at_its_relative_limit() -> None:
    found = reference(study("top1", "memory", "throughput", budget=Budget(memory="0.75x", throughput="1.25x")))
    assert found.point == {"top1": 0.1, "memory": 0.75, "throughput": 1.25}
    assert found.origin == {"top1": "chance", "memory": "budget", "throughput": "budget"}


def worst_by_looking(searched: Study, name: str) -> float:
    """The worst ratio to the baseline over every arch."""
    assert searched.space is not None
    predictor = Predictor(searched)
    ratios = [predictor.costs(member)[name] / predictor.baseline[name] for member in searched.space.archs()]
    return min(ratios) if name == "throughput" else max(ratios)


@pytest.mark.parametrize("name", COSTS)
def test_without_a_relative_limit_it_stands_at_the_worst_of_the_space(name: str) -> None:
    searched = study("top1", name, budget=Budget(memory="8 GiB", throughput="1 images/s"))
    found = reference(searched)
    assert found.origin[name] == "space"
    assert found.point[name] == pytest.approx(worst_by_looking(searched, name), rel=1e-12)


def some_space(seed: int) -> Space:
    rng = random.Random(seed)

    def draw(*values: int) -> tuple[int, ...]:
        return tuple(rng.sample(values, rng.randint(1, 2)))

    stages = [StageSpace(depth=draw(1, 2, 5), width=draw(16, 48, 64), mlp_dim=draw(16, 64, 256))]
    for _ in range(rng.randint(0, 2)):
        options = {"depth": (0, *draw(1, 3)), "pool_stride": draw(1, 2, 4), "pooling": ("mean", "max")}
        stages.append(StageSpace(width=draw(16, 32, 64), mlp_dim=draw(16, 64, 256), **options))
    return Space(name="some", stages=tuple(stages), patch_size=draw(1, 2, 4), head_dim=16, pool_query_only=(True, False))


RULES = (
    Rules(),
    Rules(widths_never_rise=True, max_depth=7, min_tokens=3, image_size=8),
    Rules(min_mlp_ratio=0.5, max_mlp_ratio=8.0, min_depth=2),
)


@pytest.mark.parametrize("seed", range(12))
def test_the_climb_ends_at_the_worst_of_any_space(seed: int) -> None:
    space = msgspec.structs.replace(some_space(seed), rules=RULES[seed % 3])
    searched = study("top1", "macs", space=space, budget=Budget())
    for name in COSTS:
        found = reference(searched.with_settings(objectives=objectives("top1", name))).point[name]
        # A change of width costs a projection: there the climb may end a little below the top.
        assert found == pytest.approx(worst_by_looking(searched, name), rel=0.02)


def test_the_worst_of_a_list_is_looked_up() -> None:
    cheap, dear = arch("B1(17, h32, m64, a2)"), arch("B8(17, h48, m96, a3)")
    listed = study("top1", "macs", space=None, budget=Budget(), engine=Proposer(name="listed", archs=(cheap, STUDY.baseline, dear)))
    predictor = Predictor(listed)
    found = reference(listed)
    assert found.origin["macs"] == "list"
    assert found.point["macs"] == predictor.costs(dear)["macs"] / predictor.baseline["macs"] > 1.5


def test_neither_seed_nor_trials_move_it() -> None:
    searched = study("top1", "macs")
    assert reference(searched.with_settings(seed=99, trials=3)) == reference(searched)


def test_a_limit_on_the_better_side_bounds_nothing() -> None:
    odd = STUDY.with_settings(objectives=(*objectives("top1"), Objective(name="memory", direction="maximize")))
    found = reference(odd)
    assert found.origin["memory"] == "space"
    assert found.point["memory"] < 1


# the volume


def test_the_hypervolume_is_the_staircase_from_chance_and_the_budget(small: Hypervolume) -> None:
    # Strips of equal memory saved, from the least top-1 up: (1 - the multiple of the baseline's 10 MiB) x (top-1 - what is below it).
    staircase = (1 - 0.4) * (0.90 - 0.1) + (1 - 0.55) * (0.93 - 0.90) + (1 - 0.6) * (0.95 - 0.93) + (1 - 0.8) * (0.97 - 0.95)
    assert small.value == pytest.approx(staircase)
    assert small.units is not None
    assert small.units.costs["memory"] == 10 * MIB


def test_it_goes_by_the_order_of_ends_and_never_falls(small: Hypervolume) -> None:
    won = small.over_trials
    assert [one.trial for one in won] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    assert [one.ended for one in won] == list(range(1, 13))
    assert won[0].value == 0, "the baseline is no better than the budget in memory"
    assert [one.trial for before, one in itertools.pairwise(won) if one.value > before.value] == [1, 2, 3, 9]
    assert all(one.value >= before.value for before, one in itertools.pairwise(won))


def test_it_says_what_was_spent_by_then(small: Hypervolume) -> None:
    # Twelve trials have ended; each took 10 s, 6 of them to train.
    assert [one.train_seconds for one in small.over_trials] == [6.0 * count for count in range(1, 13)]
    assert [one.seconds for one in small.over_trials] == [10.0 * count for count in range(1, 13)]


def test_what_was_taken_over_from_another_study_costs_nothing_here(tmp_path: Path) -> None:
    found = ledger_standings(fill(empty(tmp_path), TRIALS[:3]))
    taken = tuple(
        msgspec.structs.replace(one, trial=msgspec.structs.replace(one.trial, imported="elsewhere #1" if one.number == 1 else ""))
        for one in found
    )
    assert [one.train_seconds for one in hypervolume(STUDY, taken).over_trials] == [6.0, 6.0, 12.0]
    assert hypervolume(STUDY, taken).value == hypervolume(STUDY, found).value


def test_a_trial_beyond_the_reference_wins_nothing(tmp_path: Path) -> None:
    found = ledger_standings(fill(empty(tmp_path), TRIALS[:5]))
    point = reference(STUDY)
    less = hypervolume(STUDY, found, msgspec.structs.replace(point, point={"top1": 0.955, "memory": 0.75}))
    assert less.value == 0, "trial 3 alone is above .955, and it takes .8 of the baseline's memory"


def test_measured_throughput_is_held_against_measured_and_predicted_against_predicted(tmp_path: Path) -> None:
    searched = study("top1", "throughput")
    found = ledger_standings(fill(empty(tmp_path, searched), quiet=QUIET | {0: (1000.0, 990.0, 1010.0)}))
    volume = hypervolume(searched, found)
    assert volume.units is not None
    in_multiples = {one.number: in_units(searched, one, volume.units)["throughput"] for one in found if one.trial.values}
    assert in_multiples[3] == 2300 / 1000, "both as measured in the quiet pass"
    assert in_multiples[4] == 2700 / 2000, "both as predicted"


def test_units_of_another_baseline_can_be_given(tmp_path: Path, small: Hypervolume) -> None:
    assert small.units is not None
    found = ledger_standings(fill(empty(tmp_path)))
    double = msgspec.structs.replace(small.units, costs={name: 2 * cost for name, cost in small.units.costs.items()})
    # Half the multiples: every strip reaches to the same limit of 1.
    staircase = (1 - 0.2) * 0.8 + (1 - 0.275) * 0.03 + (1 - 0.3) * 0.02 + (1 - 0.4) * 0.02
    assert hypervolume(STUDY, found, units=double).value == pytest.approx(staircase)


def test_beyond_three_objectives_there_is_none_and_a_note(tmp_path: Path) -> None:
    many = study("top1", "memory", "throughput", "macs")
    found = hypervolume(many, ledger_standings(fill(empty(tmp_path, many))))
    assert found.value is None
    assert "4" in found.note


@pytest.mark.parametrize("trials", [(), TRIALS[11:12], TRIALS[6:8]], ids=["empty", "running", "nothing feasible"])
def test_without_a_feasible_trial_there_is_none_and_a_note(trials: tuple, tmp_path: Path) -> None:
    found = hypervolume(STUDY, ledger_standings(fill(empty(tmp_path), trials)))
    assert (found.value, found.note) == (None, "there is no feasible trial yet")


def test_a_trial_that_was_not_trained_to_the_end_wins_nothing(tmp_path: Path) -> None:
    found = ledger_standings(fill(empty(tmp_path), TRIALS[:3]))
    stopped = tuple(msgspec.structs.replace(one, place="stopped") if one.number == 1 else one for one in found)
    assert [one.value for one in hypervolume(STUDY, stopped).over_trials][1] == 0
