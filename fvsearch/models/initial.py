"""Initial weights, made by NumPy: a seed gives the same weights on every backend, and JAX compiles nothing for them."""

import hashlib
import math
import random
from typing import Any

import keras
import numpy as np
from keras import ops

Floats = np.ndarray[Any, np.dtype[np.float32]]


def derive_seed(seed: int | None, name: str) -> int | None:
    """A seed for the part `name` of what has `seed`; none of none.

    An initializer draws the same numbers again for the same seed, so every weight needs its own.
    """
    if seed is None:
        return None
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") >> 1


class _Drawn(keras.initializers.Initializer):
    """An initializer that draws by NumPy.

    Args:
        seed: Of the draw; none takes one from Python's `random`, which `keras.utils.set_random_seed` sets.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        """A tensor of this shape."""
        generator = np.random.default_rng(random.getrandbits(31) if self.seed is None else self.seed)
        return ops.convert_to_tensor(self.draw(generator, shape), dtype=dtype)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """The numbers, float32."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"seed": self.seed}


@keras.saving.register_keras_serializable(package="fvsearch")
class Glorot(_Drawn):
    """Uniform within +-sqrt(6 / (fan in + fan out)).

    Fan out is the last axis and fan in all others: patches do not overlap, so their convolution is a dense layer on each patch.
    """

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """The numbers, float32."""
        limit = math.sqrt(6 / (math.prod(shape[:-1]) + shape[-1]))
        return (2 * generator.random(shape, dtype=np.float32) - 1) * np.float32(limit)


@keras.saving.register_keras_serializable(package="fvsearch")
class PositionNormal(_Drawn):
    """Normal with standard deviation 1 / sqrt(width), the width being the last axis: 0.036 for ViT-B.

    A fixed 0.02 drowns in the patches of a narrow model: at width 48 the digits lose one to three points of top-1.
    """

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """The numbers, float32."""
        return generator.standard_normal(shape, dtype=np.float32) / np.float32(math.sqrt(shape[-1]))


@keras.saving.register_keras_serializable(package="fvsearch")
class Filled(keras.initializers.Initializer):
    """One value everywhere. Keras's own makes JAX compile a program for every shape that it has not met.

    Args:
        value: Which.
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        """A tensor of this shape."""
        return ops.convert_to_tensor(np.full(shape, self.value, np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"value": self.value}
