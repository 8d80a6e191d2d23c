import itertools
import math
import random
import re

import pytest

from fvsearch.costs.feasibility import ENUMERABLE, feasible_note, feasible_share, require_feasible, spread_over_memory, unseen_feasible
from fvsearch.costs.predictor import Predictor
from fvsearch.errors import EmptySpaceError
from fvsearch.library import load_study
from fvsearch.study import Study

SMALL = ["space.stages.0.mlp_dim=96", "space.stages.1.mlp_dim=96", "space.stages.2.mlp_dim=96", "space.stages.2.depth=0"]


def study(*settings: str) -> Study:
    return load_study("quickstart", settings)


def meets(predictor: Predictor, found: Study, arch: object) -> bool:
    return all(value <= 0 for value in predictor.violations(predictor.costs(arch)).values())


def test_the_share_of_a_small_space_is_exact() -> None:
    found = study(*SMALL, "budget.memory=0.6x")
    predictor = Predictor(found)
    share = feasible_share(found, predictor)
    assert share.exact
    assert share.size == found.space.size() <= ENUMERABLE
    assert share.feasible == sum(meets(predictor, found, arch) for arch in found.space.archs())
    assert 0 < share.share < 1


def test_the_share_of_a_large_space_is_a_sample_and_says_so() -> None:
    found = study()
    share = feasible_share(found, Predictor(found))
    assert not share.exact
    assert share.looked_at < share.size


def test_the_sampled_share_is_of_archs_not_of_params() -> None:
    # 9,306 archs; half of the flat params name one of a single stage, and few others meet the budget.
    found = study(
        "space.stages.0.depth=1",
        "space.stages.1.depth=[0, 2]",
        "space.stages.1.pool_stride=1",
        "space.stages.1.pooling='mean'",
        "space.stages.0.mlp_dim={low=16, high=48}",
        "space.stages.1.mlp_dim={low=16, high=50}",
        "space.stages.2.depth=0",
        "space.stages.0.width=[16, 32]",
        "budget.memory=0.2x",
    )
    predictor = Predictor(found)
    share = feasible_share(found, predictor)
    assert not share.exact
    exact = sum(predictor.meets(arch) for arch in found.space.archs()) / share.size
    assert share.share == pytest.approx(exact, abs=0.02)


FALLING = ["space.rules.widths_never_rise=true", "space.rules.max_depth=3"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ([], r"580,800 archs; 8\d\.?\d?% within budget as predicted, from a sample of 4,000"),
        (["budget.memory=0.16x"], r"580,800 archs; none of a sample of 4,000 within budget as predicted"),
        (["budget={}"], "580,800 archs; no budget"),
        (
            ["budget={throughput='400 images/s'}"],
            "580,800 archs; 100% within budget .*; images/s are not known before the baseline is measured",
        ),
        (SMALL, r"192 archs; \d+ within budget as predicted"),
        (FALLING, r"\d+,\d+ archs \([\d.]+% of the 580,800 that the domains span keep the rules\); \d.* from a sample of 4,000"),
    ],
)
def test_the_size_of_the_space_and_of_what_is_feasible_is_a_sentence(settings: list[str], sentence: str) -> None:
    found = study(*settings)
    note = feasible_note(found, Predictor.unmeasured(found))
    assert re.fullmatch(sentence, note), note


def test_the_feasible_part_of_a_list_is_counted() -> None:
    found = load_study("compression", ["budget.memory=0.7x"])
    assert re.fullmatch(r"\d+ listed archs; \d+ within budget as predicted", feasible_note(found, Predictor(found)))


@pytest.mark.parametrize("small", [SMALL, []], ids=["enumerated", "extremes"])
@pytest.mark.parametrize("budget", ["budget.memory=0.05x", "budget.memory=1 KiB", "budget.throughput=99x"])
def test_an_empty_feasible_set_names_a_budget_that_would_just_do(small: list[str], budget: str) -> None:
    found = study(*small, budget)
    kind = budget[len("budget.") :].partition("=")[0]
    with pytest.raises(EmptySpaceError, match=rf"meets `budget.{kind}`") as caught:
        require_feasible(found, Predictor(found))
    needed = str(caught.value).partition("the smallest that would do is '")[2].partition("'")[0]
    enough = study(*small, f'budget.{kind}="{needed}"')
    require_feasible(enough, Predictor(enough))


def test_with_two_budgets_the_one_that_binds_is_named() -> None:
    found = study("budget.memory=0.9x", "budget.throughput=99x")
    with pytest.raises(EmptySpaceError, match=r"`budget.throughput` = '99x'"):
        require_feasible(found, Predictor(found))


def test_unseen_feasible_archs_come_until_none_is_left() -> None:
    found = study(*SMALL, "budget.memory=0.5x")
    predictor, seen, rng = Predictor(found), set(), random.Random(0)
    while arch := unseen_feasible(found, predictor, seen, rng):
        assert meets(predictor, found, arch)
        assert arch.arch_hash not in seen
        seen.add(arch.arch_hash)
    assert len(seen) == feasible_share(found, predictor).feasible > 0


@pytest.mark.parametrize("small", [SMALL, []], ids=["enumerated", "sampled"])
def test_starts_are_feasible_distinct_and_spread_over_log_memory(small: list[str]) -> None:
    found = study(*small, "budget.memory=0.8x")
    predictor = Predictor(found)
    starts = spread_over_memory(found, predictor, 6)
    assert len({arch.arch_hash for arch in starts}) == 6
    assert all(meets(predictor, found, arch) for arch in starts)
    memory = [predictor.costs(arch)["memory"] for arch in starts]
    assert memory == sorted(memory)
    steps = [math.log(after / before) for before, after in itertools.pairwise(memory)]
    assert max(steps) < 2 * min(steps)
    rng = random.Random(1)
    drawn = [predictor.costs(arch)["memory"] for arch in (found.space.sample(rng) for _ in range(300)) if meets(predictor, found, arch)]
    assert memory[0] <= min(drawn)
    assert spread_over_memory(found, predictor, 6) == starts


def test_under_rules_what_is_feasible_is_found_though_no_extreme_is() -> None:
    # Eleven blocks of twelve: the cheapest arch has its blocks in the last stage, and no width at its domain's end keeps the MLP's ratio.
    settings = [
        "space.stages.0.depth={low=1, high=6}",
        "space.stages.1.depth={low=1, high=6}",
        "space.stages.2.depth={low=0, high=6}",
        "space.rules.min_depth=11",
        "space.rules.min_mlp_ratio=2.5",
    ]
    found = study(*settings, "budget.memory=0.05x")
    with pytest.raises(EmptySpaceError) as caught:
        require_feasible(found, Predictor(found))
    needed = str(caught.value).partition("the smallest that would do is '")[2].partition("'")[0]
    enough = study(*settings, f"budget.memory={needed}")
    predictor = Predictor(enough)
    require_feasible(enough, predictor)
    rng = random.Random(0)
    drawn = min(predictor.costs(enough.space.sample_evenly(rng))["memory"] for _ in range(3000))
    assert float(needed.rstrip("x")) * predictor.baseline["memory"] <= drawn * 1.001
    starts = spread_over_memory(enough, predictor, 3)
    assert starts and all(enough.space.contains(arch) and predictor.meets(arch) for arch in starts)


def test_draws_for_a_stuck_engine_keep_the_rules() -> None:
    found = study(*FALLING)
    predictor, seen, rng = Predictor(found), set(), random.Random(0)
    for _ in range(20):
        arch = unseen_feasible(found, predictor, seen, rng)
        assert arch is not None and found.space.contains(arch)
        seen.add(arch.arch_hash)
