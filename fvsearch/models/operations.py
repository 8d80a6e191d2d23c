"""The arithmetic of an encoder block, each operation in the form that its backend runs fastest; what is computed is the same in all.

A block's sub-layers hold its weights under the usual names, and these functions read them: calling a sub-layer costs PyTorch, which runs
call by call, as much as a small matrix product. benchmarks/peers.py measures what the forms are worth.
"""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras
from keras import ops

Tensor = Any
"""Of whichever backend runs, or symbolic."""


def dense(h: Tensor, layer: keras.layers.Dense) -> Tensor:
    """A built dense layer's output: (..., units in) to (..., units out)."""
    if layer.quantization_mode is not None:
        return layer(h)
    return (_torch().affine if keras.backend.backend() == "torch" else _affine)(
        h, *(ops.convert_to_tensor(weight) for weight in (layer.kernel, layer.bias))
    )


def _affine(h: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """By a product of two matrices.

    That of a three-dimensional input makes XLA transpose in the backward pass, and keeps TensorFlow from fusing the bias.
    """
    rows = ops.reshape(h, (-1, kernel.shape[0]))  # (rows, units in)
    return ops.reshape(ops.add(ops.matmul(rows, kernel), bias), (-1, *h.shape[1:-1], kernel.shape[1]))


def normalise(h: Tensor, layer: keras.layers.LayerNormalization) -> Tensor:
    """A built layer norm's output over the last axis, in float32 inside: (..., width) to the same.

    PyTorch has a kernel for it. Elsewhere the gradient is ours: what is differentiated from the definition took a training step of
    ViT-Ti 1.15 (JAX) and 1.03 (TensorFlow) times as long on a CPU.
    """
    x, gamma, beta = (ops.cast(value, "float32") for value in (h, layer.gamma, layer.beta))
    if keras.backend.backend() == "torch":
        return ops.cast(_torch().normalise(x, gamma, beta, layer.gamma.shape, layer.epsilon), h.dtype)
    if keras.backend.backend() == "jax":
        # Rows: over (batch, tokens) LLVM unrolls the tokens, ten times the code for the inverse deviation.
        rows = _layer_norm(layer.epsilon)(ops.reshape(x, (-1, h.shape[-1])), gamma, beta)
        return ops.cast(ops.reshape(rows, (-1, *h.shape[1:])), h.dtype)
    return ops.cast(_layer_norm(layer.epsilon)(x, gamma, beta), h.dtype)


def _layer_norm(epsilon: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis, with its gradient in closed form (Ba et al., 2016)."""

    def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]]:
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        inverse = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
        normed = centred * inverse

        def gradients(upstream: Tensor) -> tuple[Tensor, ...]:
            along = upstream * gamma
            mean, share = (ops.mean(value, axis=-1, keepdims=True) for value in (along, along * normed))
            over_rows = tuple(range(len(x.shape) - 1))
            return inverse * (along - mean - normed * share), ops.sum(upstream * normed, over_rows), ops.sum(upstream, over_rows)

        return normed * gamma + beta, gradients

    return ops.custom_gradient(layer_norm)


def gelu(h: Tensor) -> Tensor:
    """The exact gelu, h times the normal distribution's cumulative probability.

    By erf in float32 outside of PyTorch: Keras's goes by erfc there, which XLA and TensorFlow take twice as long for. Below float32 erf
    would cancel.
    """
    if keras.backend.backend() == "torch" or keras.backend.standardize_dtype(h.dtype) != "float32":
        return keras.activations.gelu(h, approximate=False)
    return h * (0.5 + 0.5 * ops.erf(h * math.sqrt(0.5)))


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention by head, the softmax in float32: (batch, queries, heads, head_dim), like the queries.

    Args:
        queries: (batch, queries, heads, head_dim).
        keys, values: (batch, keys, heads, head_dim).
    """
    if keras.backend.backend() == "torch":
        return _torch().attend(queries, keys, values)
    return ops.dot_product_attention(queries, keys, values) if _has_fused_attention() else _unfused(queries, keys, values)


def _unfused(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """By batched products of contiguous matrices: the einsum over tokens beside heads takes XLA up to 1.6 times as long."""
    q = ops.transpose(queries, (0, 2, 1, 3)) * queries.shape[-1] ** -0.5  # (batch, heads, queries, head_dim)
    k, v = ops.transpose(keys, (0, 2, 3, 1)), ops.transpose(values, (0, 2, 1, 3))
    scores = ops.cast(ops.matmul(q, k), "float32")  # (batch, heads, queries, keys)
    weights = ops.cast(ops.softmax(scores), v.dtype)
    return ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))  # (batch, queries, heads, head_dim)


def _has_fused_attention() -> bool:
    """Whether Keras finds a kernel for it, which keeps no scores where it can do without: JAX has none on CPU, TensorFlow none at all."""
    return keras.backend.backend() == "jax" and not keras.distribution.list_devices()[0].startswith("cpu")


def _torch() -> Any:
    """The operations that are PyTorch's own: called directly, for Keras's take as long to be called as small products to be computed."""
    return import_module("fvsearch.models._torch")
