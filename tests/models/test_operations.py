"""Each operation against Keras's own, or a formula; where a gradient is written out, against numerical differences."""

import keras
import numpy as np
import pytest
from keras import ops

from fvsearch.models import operations


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(layer, width):
    layer.build((None, None, width))
    layer.set_weights([drawn(*value.shape, seed=index + 1) for index, value in enumerate(layer.get_weights())])
    return layer


def gradients(function, values):
    """Of a scalar of tensors, by each, as NumPy arrays."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        found = jax.grad(function, argnums=tuple(range(len(values))))(*values)
    elif backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.Variable(value) for value in values]
        with tf.GradientTape() as tape:
            result = function(*tensors)
        found = tape.gradient(result, tensors)
    else:
        import torch

        tensors = [torch.tensor(value, requires_grad=True) for value in values]
        found = torch.autograd.grad(function(*tensors), tensors)
    return [np.asarray(ops.convert_to_numpy(value)) for value in found]


def differences(function, values, step=1e-2):
    """The same by central differences."""
    found = []
    for index, value in enumerate(values):
        slope = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in values]
                moved[index][place] += sign * step
                ends.append(float(ops.convert_to_numpy(function(*map(ops.convert_to_tensor, moved)))))
            slope[place] = (ends[0] - ends[1]) / (2 * step)
        found.append(slope)
    return found


class Weights:
    """What the operations read of a layer, as tensors that can be differentiated by."""

    quantization_mode = None
    epsilon = 1e-3

    def __init__(self, **tensors):
        vars(self).update(tensors)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4)])
def test_dense_is_its_layers_output(shape):
    layer, h = built(keras.layers.Dense(6), 4), ops.convert_to_tensor(drawn(*shape))
    np.testing.assert_allclose(ops.convert_to_numpy(operations.dense(h, layer)), ops.convert_to_numpy(layer(h)), rtol=1e-5, atol=1e-6)


def test_dense_of_no_rows_is_no_rows_and_its_gradient_is_nought():
    layer = built(keras.layers.Dense(6), 4)
    assert tuple(operations.dense(ops.convert_to_tensor(drawn(0, 3, 4)), layer).shape) == (0, 3, 6)

    def function(h, kernel, bias):
        return ops.sum(operations.dense(h, Weights(kernel=kernel, bias=bias, units=5)))

    values = drawn(0, 3, 4), drawn(4, 5), drawn(5)
    for found, value in zip(gradients(function, values), values, strict=True):
        np.testing.assert_array_equal(found, np.zeros_like(value))


def test_a_quantised_dense_layer_computes_what_it_would_when_called():
    layer, h = built(keras.layers.Dense(6), 4), drawn(2, 3, 4)
    layer.quantize("int8")
    np.testing.assert_array_equal(ops.convert_to_numpy(operations.dense(h, layer)), ops.convert_to_numpy(layer(h)))


def test_dense_is_differentiated_by_input_kernel_and_bias():
    weights = ops.convert_to_tensor(drawn(2, 3, 5, seed=9))

    def function(h, kernel, bias):
        return ops.sum(operations.dense(h, Weights(kernel=kernel, bias=bias, units=5)) * weights)

    values = drawn(2, 3, 4), drawn(4, 5, seed=1), drawn(5, seed=2)
    for ours, theirs in zip(gradients(function, values), differences(function, values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)


def test_normalise_is_its_layers_output():
    layer, h = built(keras.layers.LayerNormalization(epsilon=1e-3), 4), drawn(2, 3, 4)
    np.testing.assert_allclose(ops.convert_to_numpy(operations.normalise(h, layer)), ops.convert_to_numpy(layer(h)), rtol=1e-5, atol=1e-5)


def test_normalise_is_differentiated_by_input_scale_and_offset():
    weights = ops.convert_to_tensor(drawn(2, 3, 4, seed=9))

    def function(h, gamma, beta):
        return ops.sum(operations.normalise(h, Weights(gamma=gamma, beta=beta)) * weights)

    values = drawn(2, 3, 4), drawn(4, seed=1), drawn(4, seed=2)
    for ours, theirs in zip(gradients(function, values), differences(function, values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_normalise_and_gelu_keep_the_type(dtype):
    layer, h = built(keras.layers.LayerNormalization(), 4), ops.cast(drawn(2, 3, 4), dtype)
    assert keras.backend.standardize_dtype(operations.normalise(h, layer).dtype) == dtype
    assert keras.backend.standardize_dtype(operations.gelu(h).dtype) == dtype


def test_gelu_is_the_exact_one_in_value_and_slope():
    h = np.linspace(-8, 8, 401).astype("float32")
    exact = ops.convert_to_numpy(keras.activations.gelu(h, approximate=False))
    np.testing.assert_allclose(ops.convert_to_numpy(operations.gelu(h)), exact, atol=1e-6)
    (ours,) = gradients(lambda x: ops.sum(operations.gelu(x)), (h,))
    (theirs,) = gradients(lambda x: ops.sum(keras.activations.gelu(x, approximate=False)), (h,))
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("num_queries", [3, 5])
def test_unfused_attention_is_keras_attention(num_queries):
    q, k, v = drawn(2, num_queries, 3, 4), drawn(2, 5, 3, 4, seed=1), drawn(2, 5, 3, 4, seed=2)
    expected = ops.convert_to_numpy(ops.dot_product_attention(q, k, v))
    for attend in (operations._unfused, operations.attend):
        found = ops.convert_to_numpy(attend(*map(ops.convert_to_tensor, (q, k, v))))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_unfused_attention_keeps_bfloat16_and_takes_its_softmax_in_float32():
    q, k, v = (ops.cast(drawn(1, 64, 1, 8, seed=seed), "bfloat16") for seed in range(3))
    found = operations._unfused(q, k, v)
    exact = operations._unfused(*(ops.cast(x, "float32") for x in (q, k, v)))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(found, "float32")), ops.convert_to_numpy(exact), atol=0.03)
