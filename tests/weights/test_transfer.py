"""Weights from model to model: all of them at equal widths, else what fits, and a record that leaves none out."""

import keras
import msgspec
import numpy as np
import pytest
from keras import ops

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.records import from_builtins, to_builtins
from fvsearch.weights.card import ModelCard, read_model, write_model
from fvsearch.weights.positions import resize_positions
from fvsearch.weights.transfer import transfer
from fvsearch.weights.transferred import Transferred


def stage(depth=1, width=8, mlp_dim=12, num_heads=2, **pooling):
    return Stage(depth=depth, width=width, mlp_dim=mlp_dim, num_heads=num_heads, **pooling)


def arch(*stages, **changes):
    return Arch(**({"patch_size": 2, "stages": stages} | changes))


VIT = arch(stage(4))
FUNNEL = arch(stage(2), stage(1, pool_stride=2), stage(1, pool_stride=2, pooling="max"))
NARROWS = arch(stage(2), stage(2, width=4, mlp_dim=6, pool_stride=2))
"""From the second stage on of width 4, by a projection."""

SHAPE = (6, 10, 3)


def built(of, **arguments):
    """A model no two weights of which have a value in common, unless the seed is the same."""
    arguments = {"image_shape": SHAPE, "num_classes": 5, "seed": 0} | arguments
    model = build_model(of, **arguments)
    rng = np.random.default_rng(arguments["seed"])
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


def values(model):
    return {weight.path: ops.convert_to_numpy(weight) for weight in model.weights}


def images(count=2):
    return np.random.default_rng(3).normal(size=(count, *SHAPE)).astype("float32")


def logits(model):
    return ops.convert_to_numpy(model(images()))


def moved(source, target):
    """Transfers, and holds what every transfer must do: the record tells of each weight, and tells the truth."""
    before, theirs = values(target), values(source)
    found = transfer(source, target)
    after = values(target)
    records = [*found.loaded, *found.resized, *found.skipped]
    assert sorted(record.weight for record in records) == sorted(before)
    used = [record.source for record in [*found.loaded, *found.resized]]
    assert sorted([*used, *found.unused]) == sorted(theirs)
    for record in found.loaded:
        np.testing.assert_array_equal(after[record.weight], theirs[record.source], err_msg=record.weight)
    for record in found.resized:
        expected = resize_positions(theirs[record.source], record.from_grid, record.to_grid)
        np.testing.assert_array_equal(after[record.weight], expected)
    for record in found.skipped:
        np.testing.assert_array_equal(after[record.weight], before[record.weight], err_msg=record.weight)
        assert record.shape == before[record.weight].shape
    for path, value in values(source).items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)
    assert from_builtins(to_builtins(found), Transferred) == found
    return found


def skipped(found, reason):
    return [record.weight for record in found.skipped if record.reason == reason]


def layers(weights):
    return list(dict.fromkeys(weight.partition("/")[0] for weight in weights))


def halves(*blocks):
    return [f"{block}_{half}" for block in blocks for half in ("attention", "mlp")]


@pytest.mark.parametrize(("of", "to"), [(VIT, FUNNEL), (FUNNEL, VIT), (NARROWS, NARROWS)], ids=["vit-funnel", "funnel-vit", "same"])
def test_at_equal_widths_everything_moves_bit_for_bit(of, to):
    source, target = built(of), built(to, seed=1)
    found = moved(source, target)
    assert len(found.loaded) == len(target.weights) and not (found.resized or found.skipped or found.unused or found.notes)
    for ours, theirs in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_there_and_back_a_model_answers_as_before():
    vit, funnel, again = built(VIT), built(FUNNEL, seed=1), built(VIT, seed=2)
    fresh = logits(again)
    transfer(vit, funnel)
    transfer(funnel, again)
    np.testing.assert_array_equal(logits(again), logits(vit))
    assert not np.allclose(fresh, logits(vit), atol=1e-3)


def test_blocks_of_one_stage_go_to_several_in_order():
    found = moved(built(VIT), built(FUNNEL, seed=1))
    sources = {record.weight: record.source for record in found.loaded}
    assert sources["stage1_block0_mlp/expand/kernel"] == "stage0_block2_mlp/expand/kernel"
    assert sources["stage2_block0_attention/norm/gamma"] == "stage0_block3_attention/norm/gamma"


def test_a_deeper_target_keeps_its_last_blocks_and_a_deeper_source_its_own():
    deeper = arch(stage(3), stage(2, pool_stride=2), stage(1, pool_stride=2))
    found = moved(built(FUNNEL), built(deeper, seed=1))
    assert layers(skipped(found, "missing")) == [
        f"stage{place}_{half}" for place in ("0_block2", "1_block1") for half in ("attention", "mlp")
    ]
    assert len(found.skipped) == 2 * 16 and not found.unused
    found = moved(built(deeper), built(VIT, seed=1))
    assert not found.skipped
    assert layers(found.unused) == halves("stage1_block1", "stage2_block0")


def test_blocks_of_another_width_are_left_whole():
    found = moved(built(VIT), built(NARROWS, seed=1))
    assert layers(skipped(found, "missing")) == ["stage1_projection"]
    assert layers(skipped(found, "shape")) == [*halves("stage1_block0", "stage1_block1"), "norm", "head"]
    # The head's kernel is of another shape, its bias is not.
    assert "head/bias" in skipped(found, "kernel")
    assert layers(record.weight for record in found.loaded if "block" in record.weight) == halves("stage0_block0", "stage0_block1")


def test_projections_pair_by_the_widths_between_which_they_lead():
    source = arch(stage(1, width=12), stage(1), stage(1, width=4, mlp_dim=6))
    target = arch(stage(2), stage(1, width=4, mlp_dim=6, pool_stride=2))
    found = moved(built(source), built(target, seed=1))
    assert {record.weight: record.source for record in found.loaded}["stage1_projection/kernel"] == "stage2_projection/kernel"
    assert [path for path in found.unused if "projection/" in path and "block" not in path] == [
        "stage1_projection/kernel",
        "stage1_projection/bias",
    ]


def test_of_an_mlp_of_another_size_the_norm_alone_moves():
    found = moved(built(VIT), built(arch(stage(4, mlp_dim=16)), seed=1))
    assert skipped(found, "shape")[:3] == [f"stage0_block0_mlp/{name}" for name in ("expand/kernel", "expand/bias", "contract/kernel")]
    assert skipped(found, "kernel") == [f"stage0_block{block}_mlp/contract/bias" for block in range(4)]
    (record,) = (record for record in found.skipped if record.weight == "stage0_block0_mlp/expand/kernel")
    assert (record.shape, record.source_shape) == ((8, 16), (8, 12))


def test_a_head_for_other_classes_stays_fresh():
    found = moved(built(VIT), built(VIT, num_classes=4, seed=1))
    assert [record.weight for record in found.skipped] == list(found.unused) == ["head/kernel", "head/bias"]
    assert {record.reason for record in found.skipped} == {"shape"}


@pytest.mark.parametrize("change", [{"patch_size": 1}, {"channels": 1}], ids=str)
def test_patches_of_another_kind_are_skipped_and_not_resized(change):
    size, channels = change.get("patch_size", 2), change.get("channels", 3)
    target = built(msgspec.structs.replace(VIT, patch_size=size), image_shape=(3 * size, 5 * size, channels), seed=1)
    found = moved(built(VIT), target)
    assert [(record.weight, record.reason) for record in found.skipped] == [("patches/kernel", "shape"), ("patches/bias", "kernel")]
    assert not found.resized  # the grid is the same


@pytest.mark.parametrize("shape", [(12, 14, 3), (4, 4, 3), (2, 30, 3), (10, 6, 3)], ids=str)
def test_positions_follow_the_grid_also_where_the_count_is_the_same(shape):
    found = moved(built(VIT), built(FUNNEL, image_shape=shape, seed=1))
    (record,) = found.resized
    assert (record.weight, record.from_grid, record.to_grid) == ("positions/positions", (3, 5), (shape[0] // 2, shape[1] // 2))
    assert not (found.skipped or found.unused)


def test_positions_of_another_width_and_grid_are_skipped():
    found = moved(built(VIT), built(arch(stage(4, width=4)), image_shape=(4, 4, 3), seed=1))
    assert not found.resized and "positions/positions" in skipped(found, "shape")


def test_seed_generators_stay():
    source, target = (built(of, dropout=0.2, stochastic_depth=0.2, seed=seed) for seed, of in enumerate((VIT, FUNNEL)))
    paths = {weight.path for weight in target.weights}
    generators = [variable for variable in target.variables if variable.path not in paths]
    assert generators
    before = [ops.convert_to_numpy(variable) for variable in generators]
    found = moved(source, target)
    assert not found.skipped
    for variable, value in zip(generators, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_dropout_is_no_weight():
    assert not moved(built(VIT, dropout=0.2), built(FUNNEL, seed=1)).unused


def test_a_model_from_its_folder_is_as_good_as_a_built_one(tmp_path):
    source = built(VIT)
    card = ModelCard(arch=VIT, image_size=SHAPE[:2], channels=3, num_classes=5)
    write_model(tmp_path, source, card)
    _, loaded = read_model(tmp_path)
    target, expected = built(FUNNEL, image_shape=(8, 8, 3), seed=1), built(FUNNEL, image_shape=(8, 8, 3), seed=1)
    assert moved(loaded, target) == moved(source, expected)
    for ours, theirs in zip(target.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not moved(target, loaded).skipped


def test_training_the_target_leaves_the_source_alone():
    source, target = built(arch(stage())), built(arch(stage()), seed=1)
    transfer(source, target)
    before = values(source)
    target.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    target.train_on_batch(images(), np.array([0, 1]))
    for path, value in values(source).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert not np.array_equal(values(target)["head/kernel"], before["head/kernel"])


def test_mixed_precision_keeps_whole_weights():
    found = moved(built(VIT, dtype="mixed_bfloat16"), built(FUNNEL, seed=1))
    assert not (found.skipped or found.notes)


def test_rounding_is_noted():
    source, target = built(VIT), built(VIT, dtype="bfloat16", seed=1)
    (note,) = transfer(source, target).notes
    assert note == f"{len(source.weights) - 4} weights were rounded from float32 to bfloat16"  # norm and head are float32
    assert not transfer(target, source).notes


def test_settings_that_read_the_same_weights_otherwise_are_noted():
    other = arch(stage(4, num_heads=4), activation="relu", norm_epsilon=1e-3)
    found = moved(built(VIT), built(other, seed=1))
    assert not found.skipped
    assert list(found.notes) == [
        "in 4 of the layers num_heads is 4, and 2 in the source",
        "in 8 of the layers norm_epsilon is 0.001, and 1e-06 in the source",
        "in 4 of the layers activation is relu, and gelu in the source",
        "in 1 of the layers epsilon is 0.001, and 1e-06 in the source",
    ]


def test_a_model_of_another_make_is_refused_and_nothing_moves():
    foreign = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="foreign")
    target = built(VIT)
    before = target.get_weights()
    for source, other in ((foreign, target), (target, foreign)):
        with pytest.raises(ConfigError, match="foreign has no layer that is named stage0_block0_attention"):
            transfer(source, other)
    for value, expected in zip(target.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_quantized_model_is_refused():
    source = built(VIT)
    source.get_layer("head").quantize("int8")
    with pytest.raises(ConfigError, match=r"head/\S+ of funnel_vit is int8.*before it was quantized"):
        transfer(source, built(VIT, seed=1))
