"""Dropout, drawn on JAX by a hash: an element stays or goes by its place and the seed, after a few integer operations.

The masks of `jax.random` come from threefry, two long kernels for every shape that a dropout has: of what LLVM compiled for a training
step of three stages, each of its own width, they were 37%. A hash is a part of the kernels that read the mask.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
"""Of whichever backend runs, or symbolic."""

Shape = tuple[int, ...]

GOLDEN, FIRST, SECOND = np.uint32(0x9E3779B9), np.uint32(0x21F0AAAD), np.uint32(0x735A2D97)


@keras.saving.register_keras_serializable(package="fvsearch")
class Drop(keras.layers.Dropout):
    """Keras's Dropout, its settings and its seed generator; on JAX with draws of our own."""

    def call(self, h: Tensor, training: bool | None = None) -> Tensor:
        """Drops elements of h in training, or what `noise_shape` says, and scales the others so that the mean stays."""
        draw = DRAWS.get(keras.backend.backend())
        if draw is None or not training or not 0 < self.rate < 1:
            return super().call(h, training=bool(training))
        shape = tuple(wanted or size for wanted, size in zip(self.noise_shape or h.shape, h.shape, strict=True))
        kept = draw(self.seed_generator.next(), shape, self.rate)
        return ops.where(kept, h * (1 / (1 - self.rate)), ops.zeros((), h.dtype))


def hashed(seed: Tensor, shape: Shape, rate: float) -> Tensor:
    """Booleans of a shape, false at a rate: each from a hash of its place, under two keys from the seed. Places wrap at 2^32.

    Args:
        seed: uint32, (2,): a seed, and how often it was drawn from before.
        shape: Of the booleans.
        rate: Above 0 and below 1.
    """
    first = scrambled(scrambled(seed[0]) + seed[1])
    second = scrambled(first ^ GOLDEN)
    place = ops.reshape(ops.arange(math.prod(shape), dtype="uint32"), shape)
    return scrambled(scrambled(place ^ first) + second) >= np.uint32(round(rate * 2**32))


def scrambled(x: Tensor) -> Tensor:
    """uint32 to uint32, one to one, each bit by all others: MurmurHash3's finaliser, with multipliers of C. Wellons' hash-prospector."""
    x = (x ^ (x >> 16)) * FIRST
    x = (x ^ (x >> 15)) * SECOND
    return x ^ (x >> 15)


DRAWS: dict[str, Callable[[Tensor, Shape, float], Tensor]] = {"jax": hashed}
"""By backend: what stays. The others have kernels of their own, which compile nothing."""
