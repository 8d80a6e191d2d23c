import collections
import itertools
import random
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import TABLE_4

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, parse_layout
from fvsearch.archs.rules import Rules
from fvsearch.archs.space import Params, Space
from fvsearch.errors import ConfigError
from fvsearch.library import load_space, load_study, shipped
from fvsearch.records import from_builtins, from_toml, to_builtins


def space(**changes: object) -> Space:
    return from_builtins(
        {
            "name": "small",
            "patch_size": 2,
            "head_dim": 16,
            "stages": [
                {"depth": [1, 2], "width": [32, 48], "mlp_dim": 64},
                {"depth": [0, 1], "width": [32, 48], "mlp_dim": [64, 128], "pool_stride": [1, 2], "pooling": ["mean", "max"]},
            ],
        }
        | changes,
        Space,
    )


domain = st.sampled_from([1, (1, 2), {"low": 1, "high": 5, "step": 2}])


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    stages = []
    for index in range(draw(st.integers(1, 3))):
        stage = {"depth": draw(domain), "width": draw(st.sampled_from([16, (16, 32)])), "mlp_dim": draw(domain)}
        if index:
            stage["depth"] = draw(st.sampled_from([1, 0, (0, 1), (0, 2, 3)]))
            stage["pool_stride"] = draw(st.sampled_from([1, 2, (1, 2), (2, 4)]))
            stage["pooling"] = draw(st.sampled_from(["max", ("max", "mean")]))
        stages.append(stage)
    patch_size, queries = draw(st.sampled_from([2, (2, 4)])), draw(st.sampled_from([True, False, (True, False), (False, True)]))
    return space(stages=stages, patch_size=patch_size, pool_query_only=queries)


@given(spaces())
def test_the_size_is_the_count_of_distinct_archs(found: Space) -> None:
    archs = list(found.archs())
    assert found.size() == len(archs) == len({arch.arch_hash for arch in archs})


@given(spaces(), st.randoms(use_true_random=False))
def test_every_member_has_params_that_lead_back_to_it(found: Space, rng: random.Random) -> None:
    for arch in found.archs():
        params = found.params(arch)
        assert params.keys() == found.domains().keys()
        assert found.arch(params) == arch
    assert found.contains(found.sample(rng))


def test_samples_reach_every_member() -> None:
    rng = random.Random(0)
    found = space()
    assert {found.sample(rng).arch_hash for _ in range(3000)} == {arch.arch_hash for arch in found.archs()}


def test_depth_zero_ends_the_encoder() -> None:
    arch = space().arch({"stages.1.depth": 0, "stages.1.pool_stride": 2})
    assert len(arch.stages) == 1


def test_params_are_the_domains_with_a_choice() -> None:
    domains = space().domains()
    assert "stages.0.mlp_dim" not in domains
    assert "patch_size" not in domains
    assert domains["stages.1.depth"] == (0, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stages": []}, "`stages` must hold at least one stage"),
        (
            {"stages": [{"depth": [], "width": 16, "mlp_dim": 1}]},
            "a domain must hold at least one value, but it is empty at stages.0.depth",
        ),
        ({"stages": [{"depth": [1, 1], "width": 16, "mlp_dim": 1}]}, "a domain's values must differ, but got [1, 1] at stages.0.depth"),
        ({"stages": [{"depth": [0, 1], "width": 16, "mlp_dim": 1}]}, "`depth` must be at least 1, but got 0 at stages.0.depth"),
        ({"stages": [{"depth": 1, "width": 24, "mlp_dim": 1}]}, "`width` must divide by `head_dim`, but got width=24, head_dim=16"),
        ({"stages": [{"depth": 1, "width": 16, "mlp_dim": 1, "pool_stride": 2}]}, "the first stage must have `pool_stride` 1"),
        ({"stages": [{"depth": {"low": 3, "high": 1}, "width": 16, "mlp_dim": 1}]}, "`high` must be at least `low`"),
        ({"patch_size": [2, 0]}, "`patch_size` must be at least 1, but got 0 at patch_size"),
        ({"head_dim": 0}, "`head_dim` must be at least 1"),
    ],
)
def test_a_space_states_its_laws(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space(**changes)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"stages.0.dpth": 1}, "unknown param 'stages.0.dpth' (did you mean 'stages.0.depth'?)"),
        ({"stages.0.depth": 7}, "a param must be one of [1, 2], but got 7 at stages.0.depth"),
    ],
)
def test_params_outside_the_space_are_refused(params: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space().arch(params)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ("B3(17, h32, m64, a2)", "has [1, 2] at stages.0.depth, but the arch has 3"),
        ("B1(17, h32, m64, a4)", "fixes head_dim=16, but the arch has 8 at stages[0]"),
        ("B1(17, h32, m64, a2)-1(5, h32, m64, a2)", "has [1, 2] at stages.1.pool_stride, but the arch has 4"),
        ("B1(17, h32, m64, a2)-1(9, h32, m64, a2, naive)", "at pool_query_only, but the arch has False"),
        ("B1(17, h32, m64, a2)-1(9, h32, m64, a2)-1(5, h32, m64, a2)", "has 2 stages, but the arch has 3"),
    ],
)
def test_an_arch_outside_the_space_is_told_where_it_leaves_it(layout: str, sentence: str) -> None:
    arch = parse_layout(layout, patch_size=2, image_size=8)
    assert not space().contains(arch)
    with pytest.raises(ConfigError) as caught:
        space().params(arch)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", shipped("spaces"))
def test_shipped_spaces_survive_toml(name: str) -> None:
    found = load_space(name)
    assert from_builtins(to_builtins(found), Space) == found == from_toml(shipped("spaces")[name], Space)


def test_the_reinvestment_space_holds_the_reports_table_4() -> None:
    found = load_space("reinvestment")
    for layout in TABLE_4:
        found.params(parse_layout(layout))


@pytest.mark.parametrize("name", shipped("studies"))
def test_the_baseline_of_a_shipped_study_is_in_its_space(name: str) -> None:
    study = load_study(name)
    assert study.space is None or study.space.contains(study.baseline)


# Rules.


@st.composite
def ruled_spaces(draw: st.DrawFn) -> Space:
    """A space with rules, some of which bind; never an empty one."""
    whole = draw(spaces())
    possible = {
        "widths_never_rise": st.booleans(),
        "min_mlp_ratio": st.sampled_from([None, 0.05, 0.1]),
        "max_mlp_ratio": st.sampled_from([None, 0.1, 0.2]),
        "min_tokens": st.sampled_from([None, 2, 3, 5, 6]),
        "min_depth": st.integers(1, 6),
        "max_depth": st.integers(1, 9),
    }
    rules = {name: draw(values) for name, values in possible.items() if draw(st.booleans())}
    try:
        return msgspec.structs.replace(whole, rules=Rules(image_size=8, **rules))
    except ConfigError:
        return msgspec.structs.replace(whole, rules=Rules())


def legal(found: Space) -> list[Arch]:
    """The members by a second way: of the whole product, those that break no rule."""
    whole = msgspec.structs.replace(found, rules=None).archs()
    return [arch for arch in whole if not found.rules or not found.rules.broken(arch.patch_size, arch.stages)]


def flat_product(found: Space) -> list[Params]:
    domains = found.domains()
    return [dict(zip(domains, values, strict=True)) for values in itertools.product(*domains.values())]


@given(ruled_spaces())
def test_rules_leave_the_members_that_break_none(found: Space) -> None:
    archs = list(found.archs())
    assert archs == legal(found)
    assert found.size() == len(archs) == len({arch.arch_hash for arch in archs})


@given(ruled_spaces(), st.randoms(use_true_random=False))
def test_draws_are_legal(found: Space, rng: random.Random) -> None:
    for draw in (found.sample, found.sample_evenly):
        assert all(found.contains(draw(rng)) for _ in range(5))


@given(ruled_spaces())
def test_members_have_params_that_lead_back_to_them_under_rules(found: Space) -> None:
    for arch in found.archs():
        params = found.params(arch)
        assert found.arch(params) == arch
        assert found.repair(params) == params


@given(ruled_spaces(), st.data())
def test_repair_is_legal_and_final_and_leaves_what_is_legal(found: Space, data: st.DataObject) -> None:
    params = {path: data.draw(st.sampled_from(choices)) for path, choices in found.domains().items()}
    repaired = found.repair(params)
    arch = found.arch(params)
    assert found.contains(arch)
    assert arch == found.arch(repaired)
    assert found.repair(repaired) == repaired
    meant = msgspec.structs.replace(found, rules=None).arch(params)
    assert (repaired == params) == found.contains(meant)


RULED = space(
    stages=[
        {"depth": [1, 2], "width": [16, 32], "mlp_dim": [32, 64, 128]},
        {"depth": [0, 1, 2], "width": [16, 32], "mlp_dim": [32, 64, 128], "pool_stride": [1, 2, 4], "pooling": ["mean", "max"]},
        {"depth": [0, 1, 2], "width": [16, 32], "mlp_dim": [32, 64, 128], "pool_stride": [1, 2, 4]},
    ],
    rules={
        "widths_never_rise": True,
        "min_mlp_ratio": 2,
        "max_mlp_ratio": 4,
        "min_tokens": 5,
        "image_size": 8,
        "min_depth": 2,
        "max_depth": 4,
    },
)
"""16 patches, so that all strides together may be 4."""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        # A width falls to that of the stage before, and the MLP with it to four times the width.
        ("B2(17, h16, m32, a1)-1(9, h32, m128, a2)", "B2(17, h16, m32, a1)-1(9, h16, m64, a1)"),
        ("B2(17, h32, m32, a2)", "B2(17, h32, m64, a2)"),
        # The last stages give way: 17 tokens, 5, and then none to pool.
        ("B2(17, h32, m64, a2)-1(5, h32, m64, a2)-1(2, h32, m64, a2)", "B2(17, h32, m64, a2)-1(5, h32, m64, a2)-1(5, h32, m64, a2)"),
        ("B2(17, h32, m64, a2)-1(9, h32, m64, a2)-1(3, h32, m64, a2)", "B2(17, h32, m64, a2)-1(9, h32, m64, a2)-1(5, h32, m64, a2)"),
        ("B2(17, h32, m64, a2)-2(9, h32, m64, a2)-2(5, h32, m64, a2)", "B2(17, h32, m64, a2)-2(9, h32, m64, a2)"),
        ("B2(17, h32, m64, a2)-1(9, h32, m64, a2)-2(5, h32, m64, a2)", "B2(17, h32, m64, a2)-1(9, h32, m64, a2)-1(5, h32, m64, a2)"),
        # Too few blocks: the next stage gets what is lacking.
        ("B1(17, h32, m64, a2)", "B1(17, h32, m64, a2)-1(17, h16, m32, a1)"),
    ],
)
def test_repair_changes_the_last_stages_first_and_no_more_than_it_must(wanted: str, found: str) -> None:
    whole = msgspec.structs.replace(RULED, rules=None)
    params = whole.params(parse_layout(wanted, patch_size=2, image_size=8))
    assert format_layout(RULED.arch(params), 8) == found


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("B2(17, h16, m32, a1)-1(9, h32, m64, a2)", "`widths_never_rise`, but the arch has 16 and then 32 at stages[1].width"),
        ("B2(17, h16, m128, a1)", "`max_mlp_ratio = 4`, but the arch has 128 / 16 = 8 at stages[0].mlp_dim"),
        ("B2(17, h32, m32, a2)", "`min_mlp_ratio = 2`, but the arch has 32 / 32 = 1 at stages[0].mlp_dim"),
        ("B1(17, h32, m64, a2)-1(5, h32, m64, a2)-1(3, h32, m64, a2)", "`min_tokens = 5`, but the arch has 3 at stages[2]"),
        ("B1(17, h32, m64, a2)", "`min_depth = 2`, but the arch has depth 1"),
        ("B2(17, h32, m64, a2)-2(9, h32, m64, a2)-1(5, h32, m64, a2)", "`max_depth = 4`, but the arch has depth 5"),
    ],
)
def test_an_arch_that_breaks_a_rule_is_told_which(layout: str, reason: str) -> None:
    arch = parse_layout(layout, patch_size=2, image_size=8)
    assert not RULED.contains(arch)
    with pytest.raises(ConfigError) as caught:
        RULED.params(arch)
    assert str(caught.value) == f"the space 'small' has the rule {reason}"


def test_even_draws_are_as_likely_as_one_another() -> None:
    rng = random.Random(0)
    counts = collections.Counter(RULED.sample_evenly(rng).arch_hash for _ in range(40 * RULED.size()))
    assert len(counts) == RULED.size()
    # Each is drawn 40 times on average, with a standard deviation of 6.3.
    assert 40 - 5 * 6.4 < min(counts.values()) <= max(counts.values()) < 40 + 6 * 6.4


def test_draws_under_rules_are_those_of_the_flat_product_that_keep_them() -> None:
    small = space(rules={"widths_never_rise": True, "min_depth": 2})
    whole = msgspec.structs.replace(small, rules=None)
    product = [whole.arch(params) for params in flat_product(small)]
    expected = collections.Counter(arch.arch_hash for arch in product if small.contains(arch))
    rng = random.Random(0)
    drawn = collections.Counter(small.sample(rng).arch_hash for _ in range(200 * expected.total()))
    assert drawn.keys() == expected.keys()
    for name, weight in expected.items():
        assert abs(drawn[name] / 200 - weight) < 5 * (weight / 200) ** 0.5


def test_a_larger_patch_may_be_ruled_out_by_its_tokens() -> None:
    found = space(patch_size=[2, 4], rules={"min_tokens": 9, "image_size": 8})
    assert {arch.patch_size for arch in found.archs()} == {2}
    assert found.arch({"patch_size": 4}).patch_size == 2
    # Through the patches of a wide image, not its shorter edge.
    wide = space(patch_size=4, rules={"min_tokens": 9, "image_size": [8, 16]})
    assert {len(arch.stages) for arch in wide.archs()} == {1, 2}


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"min_depth": 3, "max_depth": 2}, "`min_depth` must not exceed `max_depth`, but got min_depth=3, max_depth=2 at rules"),
        ({"min_mlp_ratio": 3, "max_mlp_ratio": 2}, "`min_mlp_ratio` must not exceed `max_mlp_ratio`"),
        ({"max_mlp_ratio": 0}, "`max_mlp_ratio` must be above 0, but got 0"),
        ({"min_tokens": 1, "image_size": 8}, "`min_tokens` must be at least 2"),
        ({"min_tokens": 5}, "`min_tokens` needs the `image_size` at which tokens are counted, but got min_tokens=5 alone: a study gives"),
        ({"min_tokens": 5, "image_size": 0}, "`image_size` must be at least 1, but got 0"),
        ({"min_tokens": 5, "image_size": 7}, "`image_size` must divide by `patch_size`, but got image_size=7x7, patch_size=2 at rules"),
        ({"width_never_rise": True}, "unknown key `width_never_rise` (did you mean 'widths_never_rise'?) at rules"),
        ({"min_depth": 9}, "the rule `min_depth = 9` leaves nothing of the space 'small', and without it there are 52 archs; loosen it"),
        ({"min_tokens": 18, "image_size": 8, "max_depth": 2}, "the rule `min_tokens = 18` leaves nothing of the space 'small'"),
        ({"min_tokens": 18, "image_size": 8, "min_depth": 9}, "the rules `min_tokens = 18`, `min_depth = 9` leave nothing"),
    ],
)
def test_rules_state_their_laws(rules: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space(rules=rules)
    assert sentence in str(caught.value)


def test_a_space_without_rules_writes_none() -> None:
    assert "rules" not in to_builtins(space())
    assert from_builtins(to_builtins(RULED), Space) == RULED


def test_counting_is_fast_where_listing_is_out_of_the_question() -> None:
    stage = {"depth": {"low": 0, "high": 12}, "width": [16 * i for i in range(1, 9)], "mlp_dim": [32 * i for i in range(1, 9)]}
    stages = [stage | {"depth": {"low": 1, "high": 12}}, *[stage | {"pool_stride": [1, 2, 4], "pooling": ["mean", "max"]}] * 5]
    rules = {"widths_never_rise": True, "max_depth": 24, "min_depth": 6, "min_tokens": 5, "image_size": 32, "max_mlp_ratio": 4}
    found = space(stages=stages, rules=rules)
    assert 10**12 < found.size() < msgspec.structs.replace(found, rules=None).size()
    assert found.contains(found.sample(random.Random(0)))


@pytest.mark.parametrize("kind", [np.int64, float, np.float32])
def test_a_number_of_another_kind_is_the_same_choice(kind: Callable[[int], Any]) -> None:
    found = space()
    arch = found.sample(random.Random(0))
    params = found.params(arch)
    other = {path: kind(value) if type(value) is int else value for path, value in params.items()}
    assert found.arch(other).arch_hash == arch.arch_hash
    assert found.arch(params).arch_hash == arch.arch_hash, "and what comes after it too"
    assert type(found.arch(other).stages[0].depth) is int
