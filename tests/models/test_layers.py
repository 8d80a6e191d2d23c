import keras
import numpy as np
import pytest
import twins
from keras import ops

from fvsearch.errors import ConfigError
from fvsearch.models.drops import Drop
from fvsearch.models.initial import Glorot, PositionNormal, derive_seed
from fvsearch.models.layers import ACTIVATIONS, AttentionBlock, ClassState, ClassToken, MLPBlock, PositionEmbedding, layer_norm

QUERIES, KEYS, WIDTH = 4, 7, 6


def drawn(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype("float32")


def shaken(layer):
    """The layer with every weight moved off its initial value, so that no bias is zero and no gamma one."""
    rng = np.random.default_rng(1)
    layer.set_weights([value + rng.normal(0, 0.3, value.shape) for value in layer.get_weights()])
    return layer


def built_attention(num_heads=3, **arguments):
    layer = AttentionBlock(num_heads, seed=1, name="attention", **arguments)
    layer.build((None, QUERIES, WIDTH))
    return shaken(layer)


@pytest.mark.parametrize("num_heads", [1, 2, 3, 6])
def test_attention_over_itself_is_its_twin(num_heads):
    layer, h = built_attention(num_heads), drawn(2, QUERIES, WIDTH)
    expected = [twins.attention_block(x, x, twins.weights_of(layer), "attention", num_heads) for x in h]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(h)), expected, rtol=1e-5, atol=1e-5)


def test_attention_of_pooled_queries_over_unpooled_states_is_its_twin():
    layer, h, states = built_attention(), drawn(2, QUERIES, WIDTH), drawn(2, KEYS, WIDTH)
    expected = [twins.attention_block(x, y, twins.weights_of(layer), "attention", 3) for x, y in zip(h, states, strict=True)]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(h, states)), expected, rtol=1e-5, atol=1e-5)


def test_states_change_nothing_but_what_is_read():
    """The same weights, in the same shapes, serve with and without states."""
    h = drawn(2, QUERIES, WIDTH)
    plain, pooled = AttentionBlock(2, seed=1), AttentionBlock(2, seed=1)
    own = plain(h)
    np.testing.assert_allclose(ops.convert_to_numpy(pooled(h, h)), ops.convert_to_numpy(own), rtol=1e-6, atol=1e-6)
    assert [weight.shape for weight in plain.weights] == [weight.shape for weight in pooled.weights]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_mlp_is_its_twin(activation):
    layer, h = MLPBlock(9, activation, norm_epsilon=1e-3, name="mlp"), drawn(2, QUERIES, WIDTH)
    layer.build(h.shape)
    shaken(layer)
    expected = [twins.mlp_block(x, twins.weights_of(layer), "mlp", activation, 1e-3) for x in h]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(h)), expected, rtol=1e-5, atol=1e-5)


def test_tokens_and_positions():
    patches = drawn(2, 6, WIDTH)
    token, positions = ClassToken(), PositionEmbedding((2, 3), seed=3)
    h = ops.convert_to_numpy(positions(shaken_after_build(token, patches.shape)(patches)))
    table = ops.convert_to_numpy(positions.positions)
    assert table.std() == pytest.approx(WIDTH**-0.5, rel=0.4)
    np.testing.assert_allclose(h[:, 0], np.repeat(ops.convert_to_numpy(token.token)[0] + table[0, :1], 2, axis=0), rtol=1e-6)
    np.testing.assert_allclose(h[:, 1:], patches + table[0, 1:], rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(ClassState()(h)), h[:, 0])


def shaken_after_build(layer, shape):
    layer.build(shape)
    return shaken(layer)


@pytest.mark.parametrize(
    "layer",
    [
        AttentionBlock(3, norm_epsilon=1e-5, dropout=0.1, stochastic_depth=0.2, seed=4, name="stage0_block0_attention"),
        MLPBlock(9, "relu", norm_epsilon=1e-5, dropout=0.1, stochastic_depth=0.2, seed=4, dtype="mixed_bfloat16"),
        PositionEmbedding((2, 3), seed=4),
        layer_norm(1e-5, "norm", "float32"),
        Drop(0.1, noise_shape=(None, 1, 1), seed=4),
        ClassToken(dtype=keras.DTypePolicy("mixed_bfloat16")),
        ClassState(dtype=keras.DTypePolicy("mixed_bfloat16")),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trips(layer):
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    registered = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(registered) is type(layer)
    assert registered.get_config() == config


@pytest.mark.parametrize(
    "layer", [AttentionBlock(3), MLPBlock(9), PositionEmbedding((1, 3)), ClassToken()], ids=lambda layer: type(layer).__name__
)
def test_shape_inferred_is_shape_computed(layer):
    h = drawn(2, QUERIES, WIDTH)
    assert layer(keras.Input(h.shape[1:])).shape[1:] == tuple(layer(h).shape)[1:]


def test_dropout_acts_in_training_alone():
    h = drawn(64, QUERIES, WIDTH)
    layer = built_attention(dropout=0.5)
    plain = ops.convert_to_numpy(layer(h)) - h
    trained = ops.convert_to_numpy(layer(h, training=True)) - h
    np.testing.assert_allclose(ops.convert_to_numpy(layer(h, training=False)) - h, plain, atol=1e-6)
    dropped = np.abs(trained) < 1e-6
    assert 0.4 < dropped.mean() < 0.6
    np.testing.assert_allclose(trained[~dropped], 2 * plain[~dropped], rtol=1e-3, atol=1e-5)


def test_stochastic_depth_drops_whole_updates_of_samples():
    h = drawn(2000, QUERIES, WIDTH)
    layer = built_attention(stochastic_depth=0.25)
    plain = ops.convert_to_numpy(layer(h)) - h
    trained = ops.convert_to_numpy(layer(h, training=True)) - h
    dropped = (np.abs(trained) < 1e-6).all(axis=(1, 2))
    assert 0.2 < dropped.mean() < 0.3
    np.testing.assert_allclose(trained[~dropped], plain[~dropped] / 0.75, rtol=1e-3, atol=1e-5)


def test_drops_of_a_seed_repeat():
    h = drawn(8, QUERIES, WIDTH)
    first, second = (ops.convert_to_numpy(built_attention(dropout=0.5)(h, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_every_kernel_of_a_seed_differs_and_a_seed_repeats():
    one, two, other = AttentionBlock(3, seed=1), AttentionBlock(3, seed=1), AttentionBlock(3, seed=2)
    for layer in (one, two, other):
        layer.build((None, QUERIES, WIDTH))
    kernels = [value for value in one.get_weights() if value.ndim == 2]
    assert len(kernels) == 4
    assert len({kernel.tobytes() for kernel in kernels}) == 4
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))
    assert not np.array_equal(kernels[0], next(value for value in other.get_weights() if value.ndim == 2))


def test_unseeded_weights_follow_keras_seed():
    draws = []
    for seed in (5, 5, 6):
        keras.utils.set_random_seed(seed)
        draws.append(ops.convert_to_numpy(Glorot()((3, 4))))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_initial_weights_have_the_spread_they_say():
    glorot = ops.convert_to_numpy(Glorot(0)((4, 4, 3, 100)))
    limit = np.sqrt(6 / (48 + 100))
    assert 0.98 * limit < glorot.max() <= limit
    assert -limit <= glorot.min() < -0.98 * limit
    assert ops.convert_to_numpy(PositionNormal(0)((1000, 16))).std() == pytest.approx(0.25, rel=0.05)
    assert derive_seed(None, "query") is None
    assert derive_seed(1, "query") != derive_seed(1, "key")


def test_laws():
    with pytest.raises(ConfigError, match=r"`width` must divide by `num_heads`.*width=6, num_heads=4 at oddly"):
        AttentionBlock(4, name="oddly")(drawn(1, QUERIES, WIDTH))
    with pytest.raises(ConfigError, match=r"`activation`.*'gelu'"):
        MLPBlock(4, "gelou")
    with pytest.raises(ConfigError, match=r"tokens.*got 4 tokens, grid=2x2 at places"):
        PositionEmbedding((2, 2), name="places")(drawn(1, QUERIES, WIDTH))


def test_bfloat16_survives_large_scores_and_large_means():
    """Scores beyond bfloat16's precision and a mean far from zero: the softmax and the norm are computed in float32."""
    layer = AttentionBlock(1, dtype="mixed_bfloat16", seed=0)
    layer.build((None, QUERIES, WIDTH))
    layer.set_weights([value * 40 if value.ndim == 2 else value for value in layer.get_weights()])
    found = ops.convert_to_numpy(ops.cast(layer(drawn(2, QUERIES, WIDTH) + 100), "float32"))
    assert np.isfinite(found).all()
