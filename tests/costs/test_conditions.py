import pytest

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import parse_layout
from fvsearch.costs.conditions import FORMULA_MEMORY, FORMULA_STEP_TIME, ITEMS, Conditions, Items
from fvsearch.library import load_study

STUDY = load_study("quickstart")
BATCH = 64


def arch(layout: str) -> Arch:
    return parse_layout(layout, patch_size=2, image_size=8)


def items(layout: str, backend: str = "jax", *settings: str) -> Items:
    return Items(Conditions.of(load_study("quickstart", settings), backend), arch(layout))


POOLED = "B2(17, h48, m96, a3)-1(9, h32, m64, a2)-1(9, h32, m32, a2)"


@pytest.mark.parametrize("backend", ["", "jax", "tensorflow", "torch"])
@pytest.mark.parametrize("phase", ["training", "inference"])
def test_the_formulas_prices_give_the_formulas_costs(backend: str, phase: str) -> None:
    found = items(POOLED, backend, f'budget.phase="{phase}"')
    assert found.total(FORMULA_MEMORY) == pytest.approx(found.own.memory, rel=1e-6)
    assert found.total(FORMULA_STEP_TIME) == found.own.macs * BATCH


def test_items_are_of_the_batch_and_can_be_counted_by_hand() -> None:
    found = items(POOLED)
    assert found["blocks"] == 4
    assert found["boundaries"] == 1, "the third stage neither pools nor changes width"
    # Two numbers of each pair of query and key, a head: two blocks of 17 by 17, one of 9 by 17, one of 9 by 9.
    assert found["maps"] == BATCH * 2 * (2 * 3 * 17 * 17 + 2 * 9 * 17 + 2 * 9 * 9)
    assert found["map_bytes"] == 4 * found["maps"]
    assert found["tokens"] == BATCH * (2 * 17 + 9 + 9)
    assert found["heads"] == BATCH * (2 * 3 + 2 + 2)
    assert found["num_params"] == found.own.num_params


def test_fused_attention_keeps_no_maps_and_still_has_them_to_compute() -> None:
    kept, fused = items(POOLED, "jax"), items(POOLED, "torch")
    assert fused["activations"] < kept["activations"]
    assert fused["maps"] == kept["maps"]


def test_inference_keeps_one_part_and_computes_all() -> None:
    training, inference = items(POOLED), items(POOLED, "jax", 'budget.phase="inference"')
    assert inference["mlp"] == training["mlp"]
    assert inference["map_bytes"] == 0
    assert inference["attention_bytes"] + inference["mlp_bytes"] < training["attention_bytes"]


def test_every_item_is_finite_and_not_negative() -> None:
    for layout in (POOLED, "B1(17, h16, m32, a1)"):
        for phase in ("training", "inference"):
            found = items(layout, "torch", f'budget.phase="{phase}"')
            assert all(0 <= found[name] < 1e12 for name in ITEMS)


def test_prices_are_anchored_on_what_was_measured() -> None:
    found = items(POOLED)
    assert found.total(found.scaled({"macs": 2.0, "constant": 5.0}, 1.25)) == pytest.approx(1.25)
    assert found.total(found.formula_memory(50e6)) == pytest.approx(50e6)
    assert found.formula_memory(1.0) == FORMULA_MEMORY, "less than the weights leaves nothing to scale"


def test_conditions_of_before_are_found_again_and_what_came_later_tells() -> None:
    """The digest names the files of calibrations."""
    assert Conditions.of(STUDY, "jax").digest == "f61300fcc614"
    averaged = Conditions.of(load_study("quickstart", ["recipe.ema=0.9"]), "jax")
    in_parts = Conditions.of(load_study("quickstart", ["recipe.accumulate=4"]), "jax")
    assert len({one.digest for one in (Conditions.of(STUDY, "jax"), averaged, in_parts)}) == 3
    assert in_parts.batch_size == BATCH // 4


def test_an_average_and_accumulated_gradients_are_each_another_number_of_each_parameter() -> None:
    plain = items(POOLED)
    for settings, slots in ((["recipe.ema=0.9"], 1), (["recipe.accumulate=4"], 1), (["recipe.ema=0.9", "recipe.accumulate=4"], 2)):
        assert items(POOLED, "jax", *settings)["weights"] - plain["weights"] == slots * 4 * plain["num_params"]
    assert items(POOLED, "jax", "recipe.ema=0.9", 'budget.phase="inference"')["weights"] == 4 * plain["num_params"]
