"""Many archs as a matrix, against the records and the scalar formula."""

import random

import msgspec
import numpy as np
import pytest

from fvsearch.archs.rules import Rules
from fvsearch.archs.space import Range, Space, StageSpace
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.front.archs import Archs, all_archs, costs_of, drawn_archs
from fvsearch.engines.front.features import Scale, features
from fvsearch.library import load_study
from fvsearch.study.budgets import Budget
from fvsearch.testing import tiny_arch, tiny_space, tiny_study

RULED = Space(
    name="ruled",
    patch_size=(2, 4),
    head_dim=8,
    pool_query_only=(True, False),
    stages=(
        StageSpace(depth=(1, 2), width=(16, 32), mlp_dim=(32, 64)),
        StageSpace(depth=Range(low=0, high=2), width=(16, 32), mlp_dim=(32, 64), pool_stride=(1, 2), pooling=("max", "mean")),
        StageSpace(depth=(0, 1), width=(16, 32), mlp_dim=(32,), pool_stride=(2, 4)),
    ),
    rules=Rules(widths_never_rise=True, max_mlp_ratio=2, min_tokens=3, image_size=8, min_depth=2, max_depth=4),
)
SPACES = {
    "tiny": tiny_space(),
    "ruled": RULED,
    "both queries": tiny_space(pool_query_only=(False, True)),
    "naive": tiny_space(pool_query_only=False),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_all_archs_are_those_of_the_space_each_once(space):
    archs = all_archs(space)
    records = [archs.arch(row) for row in range(len(archs))]
    assert len(records) == space.size()
    assert set(records) == set(space.archs())


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_draw_is_of_the_space_and_each_arch_is_as_likely(space):
    whole, rng = all_archs(space), np.random.default_rng(0)
    some = drawn_archs(space, 50, rng)
    assert np.isin(some.keys(), whole.keys()).all()
    assert len(np.unique(some.keys())) == len(some)
    counts = sum(np.isin(whole.keys(), drawn_archs(space, 4, rng).keys()) for _ in range(2000))
    # Of 8000 draws, each arch has its share and five standard deviations.
    share = 8000 / len(whole)
    assert np.abs(counts - share).max() < 5 * np.sqrt(share) + 0.05 * share


def test_a_record_comes_back_canonical_with_room_for_more_stages():
    arch = tiny_arch(activation="relu", norm_epsilon=1e-5)
    archs = Archs.of([arch], stages=4)
    assert archs["depth"].tolist() == [[1, 1, 0, 0]]
    assert archs.arch(0) == arch
    assert archs.tokens((8, 8, 1)).tolist() == [[17, 9, 9, 9]]


def test_keys_tell_archs_apart():
    archs = all_archs(load_study("quickstart").space)
    assert len(np.unique(archs.keys())) == len(archs) == 580_800


@pytest.mark.parametrize("phase", ["training", "inference"])
@pytest.mark.parametrize("backend", ["", "jax", "tensorflow", "torch"])
@pytest.mark.parametrize("space", [tiny_space(), RULED], ids=["tiny", "ruled"])
def test_costs_are_the_formulas(space, backend, phase):
    study = tiny_study(space=space, budget=Budget(memory="1.0x", phase=phase))
    predictor, archs = Predictor(study, backend=backend), all_archs(space)
    found = costs_of(archs, predictor)
    for row in random.Random(0).sample(range(len(archs)), 100):
        assert {name: values[row] for name, values in found.items()} == pytest.approx(predictor.costs(archs.arch(row)), rel=1e-12)


def test_costs_are_a_calibrations_where_it_prices_every_item():
    from fvsearch.costs.conditions import ITEMS

    prices = {name: 1.0 + index for index, name in enumerate(ITEMS)}
    predictor = Predictor(tiny_study(), backend="jax", memory=prices, step_time=prices)
    archs = all_archs(tiny_space())
    found = costs_of(archs, predictor)
    for row in range(0, len(archs), 7):
        assert {name: values[row] for name, values in found.items()} == pytest.approx(predictor.costs(archs.arch(row)), rel=1e-12)


def test_features_are_finite_and_scaled_over_the_space():
    archs = all_archs(RULED)
    found = features(archs, (8, 8, 1))
    assert all(np.isfinite(values).all() for values in found.values())
    scaled = Scale(found)
    inputs = scaled(found)
    assert inputs.mean(axis=0) == pytest.approx(np.zeros(len(scaled.names)), abs=1e-9)
    spread = dict(zip(scaled.names, inputs.std(axis=0), strict=True))
    assert spread["params"] == pytest.approx(spread["macs"]) == pytest.approx(2 * spread["depth"])
    assert np.mean([value**2 for value in spread.values()]) == pytest.approx(1)
    # The first stage cannot pool, so nothing is to be learned of that.
    assert "max_pooling.0" not in scaled.names
    assert {"params", "macs", "tokens.1", "max_pooling.1"} <= set(scaled.names)


def test_archs_that_differ_have_different_features():
    archs = all_archs(tiny_space(pool_query_only=(True, False)))
    found = features(archs, (8, 8, 1))
    inputs = Scale(found)(found)
    assert len(np.unique(inputs.round(9), axis=0)) == len(archs)


def test_one_arch_has_nothing_that_differs():
    found = features(Archs.of([tiny_arch()]), (8, 8, 1))
    assert Scale(found)(found).shape == (1, 0)


def test_an_arch_of_more_stages_than_the_space_is_seen_as_far_as_it_goes():
    long = msgspec.structs.replace(tiny_arch(), stages=(*tiny_arch().stages, tiny_arch().stages[1]))
    scale = Scale(features(all_archs(tiny_space()), (8, 8, 1)))
    assert scale(features(Archs.of([long]), (8, 8, 1))).shape == (1, len(scale.names))
    # What stands beside it is seen, and told apart, as without it.
    beside, alone = Archs.of([long, tiny_arch()]), Archs.of([tiny_arch()])
    assert scale(features(beside, (8, 8, 1)))[1] == pytest.approx(scale(features(alone, (8, 8, 1)))[0])
    assert beside.keys()[1] == alone.keys()[0]
