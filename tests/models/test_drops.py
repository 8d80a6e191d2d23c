import keras
import numpy as np
import pytest
from keras import ops

from fvsearch.models.drops import DRAWS, Drop, hashed, scrambled

JAX = pytest.mark.skipif(keras.backend.backend() != "jax", reason="draws of our own are JAX's")


def masks(count, shape=(64, 17, 48), rate=0.3):
    """Masks that one seed gives in a row."""
    return [ops.convert_to_numpy(hashed(ops.convert_to_tensor([7, index], "uint32"), shape, rate)) for index in range(count)]


def test_it_is_kerass_dropout_but_for_the_numbers():
    ours, theirs = Drop(0.25, seed=3, name="dropout"), keras.layers.Dropout(0.25, seed=3, name="dropout")
    assert ours.get_config() == theirs.get_config()
    assert [(v.shape, v.dtype) for v in ours.variables] == [(v.shape, v.dtype) for v in theirs.variables]
    h = np.ones((50, 40), np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(ours(h)), h)
    out = ops.convert_to_numpy(ours(h, training=True))
    theirs(h, training=True)
    np.testing.assert_allclose(np.unique(out), [0, 4 / 3], rtol=1e-6)
    assert abs(out.mean() - 1) < 0.06
    np.testing.assert_array_equal(*(ops.convert_to_numpy(layer.seed_generator.state) for layer in (ours, theirs)))


def test_the_next_step_draws_anew_and_a_seed_repeats():
    h = np.ones((50, 40), np.float32)
    one, two = (Drop(0.5, seed=3) for _ in range(2))
    first, second = (ops.convert_to_numpy(one(h, training=True)) for _ in range(2))
    assert (first != second).mean() > 0.4
    np.testing.assert_array_equal(first, ops.convert_to_numpy(two(h, training=True)))


def test_all_or_nothing_are_kerass():
    h = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(Drop(0.0)(h, training=True)), h)
    np.testing.assert_array_equal(ops.convert_to_numpy(Drop(1.0)(h, training=True)), 0 * h)


@JAX
def test_jax_draws_by_the_hash():
    h = np.ones((6, 5, 4), np.float32)
    out = ops.convert_to_numpy(Drop(0.5, seed=7, noise_shape=(None, 1, 1))(h, training=True))
    mask = ops.convert_to_numpy(hashed(ops.convert_to_tensor([7, 0], "uint32"), (6, 1, 1), 0.5))
    np.testing.assert_array_equal(out, np.broadcast_to(2.0 * mask, h.shape))
    assert DRAWS["jax"] is hashed


@JAX
def test_scrambling_loses_nothing_and_moves_every_bit():
    numbers = np.arange(1 << 16, dtype=np.uint32)
    out = ops.convert_to_numpy(scrambled(ops.convert_to_tensor(numbers)))
    assert len(np.unique(out)) == len(numbers)
    for bit in range(32):
        flipped = out ^ ops.convert_to_numpy(scrambled(ops.convert_to_tensor(numbers ^ np.uint32(1 << bit))))
        moved = [((flipped >> np.uint32(to)) & 1).mean() for to in range(32)]
        assert min(moved) > 0.4 and max(moved) < 0.6


@JAX
def test_masks_are_as_good_as_independent():
    drawn = np.array(masks(100)).reshape(100, -1).astype(np.float64)
    n = drawn[0].size
    assert abs(drawn.mean() - 0.7) < 4 * np.sqrt(0.21 / drawn.size)
    scaled = (drawn - 0.7) / np.sqrt(0.21)
    # A mean of n independent products has the standard deviation 1 / sqrt(n): of 4,950 pairs the largest is about 4 of them.
    pairs = np.corrcoef(drawn)[np.triu_indices(100, 1)]
    assert abs(pairs).max() * np.sqrt(n) < 6
    assert pairs.std() * np.sqrt(n) == pytest.approx(1, rel=0.1)
    for lag in (1, 2, 16, 47, 48, 49, 17 * 48):  # neighbours in a row, in a column, in the batch
        products = (scaled[:, lag:] * scaled[:, :-lag]).mean(axis=1)
        assert abs(products.mean()) * np.sqrt(100 * n) < 5
    # By element over the masks: no place is favoured.
    assert drawn.mean(axis=0).std() == pytest.approx(np.sqrt(0.21 / 100), rel=0.02)
