"""How the sequence shrinks between stages: the patch tokens are pooled in windows, the class token stays."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from fvsearch.archs.layout import pooled_length
from fvsearch.errors import ConfigError
from fvsearch.records import suggest

Tensor = Any
"""Of whichever backend runs, or symbolic."""


def mean_pool(windows: Tensor) -> Tensor:
    """(batch, windows, stride, width) to (batch, windows, width), the mean of each window."""
    return ops.mean(windows, axis=2)


def max_pool(windows: Tensor) -> Tensor:
    """(batch, windows, stride, width) to (batch, windows, width), the largest of each window and channel."""
    return ops.max(windows, axis=2)


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean_pool, "max": max_pool}
"""How a window of tokens becomes one, by the name that `Stage.pooling` has."""


@keras.saving.register_keras_serializable(package="fvsearch")
class TokenPooling(keras.layers.Layer):
    """Pools the patch tokens along the sequence, window = stride; the class token, the first, passes.

    A ragged end makes a last, smaller window, so no patch is dropped and a mean counts only real tokens. At stride 2:

        class p0 p1 p2 p3 p4  ->  class (p0 p1) (p2 p3) (p4)

    Input shape: (batch, 1 + patches, width). Output shape: (batch, 1 + ceil(patches / stride), width). Source: the Funnel-Transformer.

    Args:
        stride: Tokens of a window, at least 1.
        pooling: A key of `POOLINGS`.

    Raises:
        ConfigError: The stride is below 1, or the pooling is unknown.
    """

    def __init__(self, stride: int, pooling: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if stride < 1:
            raise ConfigError(f"`stride` must be at least 1, but got {stride} at {self.name}")
        if pooling not in POOLINGS:
            raise ConfigError(
                f"`pooling` must be one of {', '.join(POOLINGS)}, but got {pooling!r}{suggest(pooling, POOLINGS)} at {self.name}"
            )
        self.stride = stride
        self.pooling = pooling

    def call(self, h: Tensor) -> Tensor:
        """Pools h."""
        patches, width = h.shape[1] - 1, h.shape[2]
        whole = patches // self.stride
        ragged = 1 + whole * self.stride  # where the last, smaller window starts
        pool = POOLINGS[self.pooling]
        pieces = [h[:, :1]]  # (batch, 1, width)
        if whole:
            windows = ops.reshape(h[:, 1:ragged], (-1, whole, self.stride, width))  # (batch, whole, stride, width)
            pieces.append(pool(windows))  # (batch, whole, width)
        if ragged <= patches:
            pieces.append(pool(h[:, None, ragged:]))  # (batch, 1, width)
        return ops.concatenate(pieces, axis=1)  # (batch, 1 + pooled, width)

    def compute_output_shape(self, h_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(batch, 1 + ceil(patches / stride), width)."""
        batch, tokens, width = h_shape
        assert tokens is not None
        return (batch, 1 + pooled_length(tokens - 1, self.stride), width)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "stride": self.stride, "pooling": self.pooling}
