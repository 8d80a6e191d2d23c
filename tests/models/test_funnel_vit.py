import keras
import msgspec
import numpy as np
import pytest
import twins
from keras import ops

from fvsearch.archs.arch import Arch, Stage, named_arch
from fvsearch.errors import ConfigError
from fvsearch.models import build_model

SHAPE = (6, 10, 3)
"""With patches of 2: 15 of them, a ragged end at every stride here."""


def stage(depth=1, width=8, mlp_dim=12, num_heads=2, **pooling):
    return Stage(depth=depth, width=width, mlp_dim=mlp_dim, num_heads=num_heads, **pooling)


FUNNEL = Arch(patch_size=2, stages=(stage(2), stage(2, pool_stride=2), stage(1, pool_stride=4, pooling="max")))
VIT = Arch(patch_size=2, stages=(stage(5),))
ARCHS = {
    "vit": VIT,
    "funnel": FUNNEL,
    "naive": msgspec.structs.replace(FUNNEL, pool_query_only=False, activation="relu"),
    "stride 3, tanh": Arch(
        patch_size=2, stages=(stage(), stage(2, pool_stride=3, pooling="max")), activation="gelu_tanh", norm_epsilon=1e-3
    ),
    "widths": Arch(patch_size=2, stages=(stage(), stage(width=12, num_heads=3, pool_stride=2), stage(width=4, mlp_dim=5, pool_stride=1))),
    "one pixel": Arch(patch_size=1, stages=(stage(), stage(pool_stride=4))),
}


def built(arch, **arguments):
    return build_model(arch, **{"image_shape": SHAPE, "num_classes": 5, "seed": 0} | arguments)


def images(count=2, shape=SHAPE):
    return np.random.default_rng(2).normal(size=(count, *shape)).astype("float32")


def logits(model, batch, **call):
    return ops.convert_to_numpy(model(batch, **call))


def shake(model, amount=0.3):
    """Moves every weight, so that no bias is zero and no gamma one."""
    rng = np.random.default_rng(1)
    model.set_weights([value + rng.normal(0, amount, value.shape) for value in model.get_weights()])


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_the_whole_model_is_its_twin(arch):
    model = built(arch)
    shake(model)
    weights = twins.weights_of(model)
    expected = [twins.forward(arch, weights, image.astype("float64")) for image in images()]
    np.testing.assert_allclose(logits(model, images()), expected, rtol=2e-5, atol=2e-5)


def test_layer_names_say_stage_and_block():
    arch = Arch(patch_size=2, stages=(stage(2), stage(1, width=12, pool_stride=2), stage(1, width=12)))
    assert [layer.name for layer in built(arch, dropout=0.1).layers] == [
        "images",
        "patches",
        "patch_tokens",
        "class_token",
        "positions",
        "dropout",
        "stage0_block0_attention",
        "stage0_block0_mlp",
        "stage0_block1_attention",
        "stage0_block1_mlp",
        "stage1_projection",
        "stage1_pool",
        "stage1_block0_attention",
        "stage1_block0_mlp",
        "stage2_block0_attention",
        "stage2_block0_mlp",
        "norm",
        "class_state",
        "head",
    ]


def test_tokens_shrink_as_the_layout_says():
    model = built(FUNNEL)
    shapes = [
        model.get_layer(name).output.shape[1:] for name in ("positions", "stage0_block1_mlp", "stage1_block1_mlp", "stage2_block0_mlp")
    ]
    assert shapes == [(16, 8), (16, 8), (9, 8), (3, 8)]


def test_vit_and_funnel_load_each_others_weights_whole():
    vit, funnel = built(VIT), built(FUNNEL, seed=1)
    assert [weight.shape for weight in vit.weights] == [weight.shape for weight in funnel.weights]
    kinds = [[weight.path.partition("_block")[2][1:] or weight.path for weight in model.weights] for model in (vit, funnel)]
    assert kinds[0] == kinds[1]
    own = logits(vit, images())
    vit.set_weights(funnel.get_weights())
    assert not np.allclose(logits(vit, images()), logits(funnel, images()), atol=1e-3)
    funnel.set_weights(built(VIT).get_weights())
    vit.set_weights(funnel.get_weights())
    np.testing.assert_array_equal(logits(vit, images()), own)


def test_the_first_block_alone_reads_unpooled_states():
    readers = [layer.name for layer in built(FUNNEL).layers if len(layer._inbound_nodes[0].input_tensors) == 2]
    assert readers == ["stage1_block0_attention", "stage2_block0_attention"]
    naive = built(ARCHS["naive"])
    assert all(len(layer._inbound_nodes[0].input_tensors) <= 1 for layer in naive.layers)


def test_dropout_and_stochastic_depth_act_in_training_alone():
    plain = logits(built(FUNNEL), images())
    for rates in ({"dropout": 0.5}, {"stochastic_depth": 0.9}):
        model = built(FUNNEL, **rates)
        np.testing.assert_allclose(logits(model, images()), plain, atol=1e-6)
        np.testing.assert_allclose(logits(model, images(), training=False), plain, atol=1e-6)
        assert not np.allclose(logits(model, images(), training=True), plain, atol=1e-3)
        assert not np.allclose(logits(model, images(), training=True), logits(model, images(), training=True), atol=1e-3)


def test_stochastic_depth_rises_linearly_from_the_first_block_to_the_last():
    model = built(FUNNEL, stochastic_depth=0.2)
    for kind in ("attention", "mlp"):
        rates = [layer.stochastic_depth for layer in model.layers if layer.name.endswith(kind)]
        assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    alone = built(Arch(patch_size=2, stages=(stage(1),)), stochastic_depth=0.2)
    assert alone.get_layer("stage0_block0_mlp").stochastic_depth == 0


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32():
    full, mixed = built(FUNNEL), built(FUNNEL, dtype="mixed_bfloat16")
    found = mixed(images())
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in mixed.weights} == {"float32"}
    others = {layer.name: layer.output.dtype for layer in mixed.layers if layer.output.dtype != "bfloat16"}
    assert others == {"images": "float32", "norm": "float32", "class_state": "float32", "head": "float32"}
    np.testing.assert_allclose(ops.convert_to_numpy(found), logits(full, images()), atol=0.15)


def test_without_a_dtype_the_global_policy_holds():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = built(VIT)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("stage0_block0_mlp").compute_dtype == "bfloat16"
    assert built(VIT).get_layer("stage0_block0_mlp").compute_dtype == "float32"


def test_a_seed_fixes_the_initial_weights():
    once, again, other = (built(FUNNEL, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    kernels = [index for index, value in enumerate(once) if value.ndim > 1 and value.any()]
    assert len(kernels) == 1 + 1 + 6 * 5 + 1  # patches, positions, six a block, head
    assert not any(np.array_equal(once[index], other[index]) for index in kernels)
    assert len({once[index].tobytes() for index in kernels}) == len(kernels)


def test_vit_b16_has_its_known_size():
    with keras.StatelessScope(initialize_variables=False):  # no weight is drawn
        model = build_model(named_arch("vit-b16"), image_shape=(224, 224, 3), num_classes=1000)
    assert model.count_params() == 86_567_656
    keras.utils.clear_session(free_memory=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_shape": (7, 10, 3)}, "`image_size` must divide by `patch_size`.*7x10"),
        ({"image_shape": (6, 10)}, "`image_shape`"),
        ({"num_classes": 0}, "`num_classes`"),
        ({"dropout": 1.0}, "`dropout`.*1.0"),
        ({"stochastic_depth": -0.1}, "`stochastic_depth`.*-0.1"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_law(arguments, words):
    with pytest.raises(ConfigError, match=words):
        built(VIT, **arguments)


def test_a_model_saved_and_loaded_is_the_same(tmp_path):
    model = built(ARCHS["widths"], dropout=0.1, stochastic_depth=0.1, dtype="mixed_bfloat16")
    shake(model)
    model.save(tmp_path / "once.keras")
    loaded = keras.saving.load_model(tmp_path / "once.keras")
    loaded.save(tmp_path / "twice.keras")
    again = keras.saving.load_model(tmp_path / "twice.keras")
    for other in (loaded, again):
        assert [layer.get_config() for layer in other.layers] == [layer.get_config() for layer in model.layers]
        assert [weight.path for weight in other.weights] == [weight.path for weight in model.weights]
        np.testing.assert_array_equal(logits(other, images()), logits(model, images()))


def test_a_model_cloned_from_its_config_is_the_same():
    model = built(FUNNEL)
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(logits(again, images()), logits(model, images()))
