import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import TABLE_4

from fvsearch.errors import ConfigError
from fvsearch.layout import parse_layout
from fvsearch.library import load_space, load_study, shipped
from fvsearch.records import from_builtins, from_toml, to_builtins
from fvsearch.space import Space


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
