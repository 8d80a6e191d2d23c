"""The layers of a Funnel-ViT other than pooling: class token, positions, and the two halves of an encoder block."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from fvsearch.errors import ConfigError
from fvsearch.models.drops import Drop
from fvsearch.models.initial import Filled, Glorot, PositionNormal, derive_seed
from fvsearch.models.operations import Tensor, attend, dense, gelu, normalise
from fvsearch.records import suggest

Shape = tuple[int | None, ...]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_tanh": partial(keras.activations.gelu, approximate=True),
    "relu": keras.activations.relu,
}
"""By the name that `Arch.activation` has; "gelu" is the exact one."""


def layer_norm(epsilon: float, name: str, dtype: str | keras.DTypePolicy) -> "LayerNorm":
    """A layer norm over the last axis."""
    return LayerNorm(epsilon=epsilon, gamma_initializer=Filled(1.0), beta_initializer=Filled(0.0), dtype=dtype, name=name)


def seeded_dense(units: int, name: str, seed: int | None, dtype: str | keras.DTypePolicy) -> keras.layers.Dense:
    """A dense layer whose initial kernel has a seed of its own, derived from its name and the seed of its owner."""
    kernel, bias = Glorot(derive_seed(seed, name)), Filled(0.0)
    return keras.layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, dtype=dtype, name=name)


@keras.saving.register_keras_serializable(package="fvsearch")
class LayerNorm(keras.layers.LayerNormalization):
    """Keras's layer norm over the last axis, computed as the blocks' is."""

    def call(self, h: Tensor) -> Tensor:
        """Normalises h."""
        return normalise(h, self)


@keras.saving.register_keras_serializable(package="fvsearch")
class ClassToken(keras.layers.Layer):
    """Puts a learned token in front of the patches.

    Input shape: (batch, patches, width). Output shape: (batch, 1 + patches, width).
    """

    def build(self, h_shape: Shape) -> None:
        """Makes the token, zero at first: its position sets it apart."""
        self.token = self.add_weight(shape=(1, 1, h_shape[-1]), initializer=Filled(0.0), name="token")

    def call(self, h: Tensor) -> Tensor:
        """Puts the token in front of h."""
        tokens = ops.broadcast_to(self.token, (ops.shape(h)[0], 1, h.shape[2]))  # (batch, 1, width)
        return ops.concatenate([tokens, h], axis=1)  # (batch, 1 + patches, width)

    def compute_output_shape(self, h_shape: Shape) -> Shape:
        """(batch, 1 + patches, width)."""
        batch, patches, width = h_shape
        assert patches is not None
        return (batch, 1 + patches, width)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; said, because Keras's automatic config refuses a dtype policy that is an object."""
        return dict(super().get_config())


@keras.saving.register_keras_serializable(package="fvsearch")
class ClassState(keras.layers.Layer):
    """The state of the class token, the first.

    Input shape: (batch, tokens, width). Output shape: (batch, width).
    """

    def call(self, h: Tensor) -> Tensor:
        """Takes the first token of h."""
        return h[:, 0]  # (batch, width)

    def compute_output_shape(self, h_shape: Shape) -> Shape:
        """(batch, width)."""
        return (h_shape[0], h_shape[2])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; said, because Keras's automatic config refuses a dtype policy that is an object."""
        return dict(super().get_config())


@keras.saving.register_keras_serializable(package="fvsearch")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector per position. It carries its grid, so that another resolution can resize it without guessing.

    Input and output shape: (batch, 1 + rows * columns, width).

    Args:
        grid: (rows, columns) of patches.
        seed: Of the initial positions.
    """

    def __init__(self, grid: tuple[int, int], seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rows, columns = grid
        self.grid = (rows, columns)
        self.seed = seed

    def build(self, h_shape: Shape) -> None:
        """Makes the positions.

        Raises:
            ConfigError: The tokens are not the grid's patches and the class token.
        """
        rows, columns = self.grid
        if h_shape[1] != 1 + rows * columns:
            raise ConfigError(f"tokens must be 1 + rows * columns, but got {h_shape[1]} tokens, grid={rows}x{columns} at {self.name}")
        self.positions = self.add_weight(shape=(1, *h_shape[1:]), initializer=PositionNormal(self.seed), name="positions")

    def call(self, h: Tensor) -> Tensor:
        """Adds the positions to h."""
        return ops.add(h, self.positions)

    def compute_output_shape(self, h_shape: Shape) -> Shape:
        """As the input's."""
        return h_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "grid": self.grid, "seed": self.seed}


class ResidualBlock(keras.layers.Layer):
    """What the halves of an encoder block share: a layer norm at the start; dropout, stochastic depth and the residual at the end.

    Args:
        norm_epsilon: Of the layer norm.
        dropout: Rate on the elements of the update.
        stochastic_depth: Rate at which the whole update of a sample is dropped.
        seed: Of the initial weights and the drops.
    """

    def __init__(
        self, *, norm_epsilon: float = 1e-6, dropout: float = 0.0, stochastic_depth: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.stochastic_depth = stochastic_depth
        self.seed = seed
        self.norm = layer_norm(norm_epsilon, "norm", self.dtype_policy)
        self.drops = [
            Drop(rate, noise_shape=noise_shape, seed=derive_seed(seed, name), dtype=self.dtype_policy, name=name)
            for name, rate, noise_shape in (("dropout", dropout, None), ("stochastic_depth", stochastic_depth, (None, 1, 1)))
            if rate > 0
        ]

    def dense(self, units: int, name: str) -> keras.layers.Dense:
        """A dense layer of this block, with a seed of its own."""
        return seeded_dense(units, name, self.seed, self.dtype_policy)

    def add_update(self, h: Tensor, update: Tensor, training: bool | None) -> Tensor:
        """The sum of h and the update, parts of the update dropped in training."""
        for drop in self.drops:
            update = drop(update, training=training)
        return h + update

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("norm_epsilon", "dropout", "stochastic_depth", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="fvsearch")
class AttentionBlock(ResidualBlock):
    """The first half of an encoder block: `h + attention(norm(h), norm(states))`, states being h itself unless given.

    In the first block after a pooling, h is pooled and states are not: the queries read the full sequence. The norm and the
    projections are the same for both, so the weights are those of any block.

    Input shape: h (batch, queries, width), states (batch, keys, width). Output shape: as h's.

    Args:
        num_heads: Divides the width.
    """

    def __init__(self, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, h_shape: Shape, states_shape: Shape | None = None) -> None:
        """Makes the norm and the projections.

        Raises:
            ConfigError: The width does not divide by the heads.
        """
        width = h_shape[-1]
        assert width is not None
        if width % self.num_heads:
            raise ConfigError(f"`width` must divide by `num_heads`, but got width={width}, num_heads={self.num_heads} at {self.name}")
        self.norm.build(h_shape)
        # Three projections: one for all three, reshaped and sliced, made a training step 1.5x slower under XLA.
        self.query, self.key, self.value, self.projection = (self.dense(width, name) for name in ("query", "key", "value", "projection"))
        for layer in (self.query, self.key, self.value, self.projection):
            layer.build(h_shape)

    def call(self, h: Tensor, states: Tensor | None = None, training: bool | None = None) -> Tensor:
        """Attends from h to the states."""
        queries = normalise(h, self.norm)
        source = queries if states is None else normalise(states, self.norm)
        heads = attend(
            self._project(queries, self.query), self._project(source, self.key), self._project(source, self.value)
        )  # (batch, queries, heads, width / heads)
        return self.add_update(h, dense(ops.reshape(heads, (-1, *h.shape[1:])), self.projection), training)  # (batch, queries, width)

    def _project(self, x: Tensor, layer: keras.layers.Dense) -> Tensor:
        """(batch, tokens, heads, width / heads)."""
        return ops.reshape(dense(x, layer), (-1, x.shape[1], self.num_heads, x.shape[2] // self.num_heads))

    def compute_output_shape(self, h_shape: Shape, states_shape: Shape | None = None) -> Shape:
        """As h's."""
        return h_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable(package="fvsearch")
class MLPBlock(ResidualBlock):
    """The second half of an encoder block: `h + dense(activation(dense(norm(h))))`.

    Input and output shape: (batch, tokens, width).

    Args:
        mlp_dim: Hidden units.
        activation: A key of `ACTIVATIONS`.

    Raises:
        ConfigError: The activation is unknown.
    """

    def __init__(self, mlp_dim: int, activation: str = "gelu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            near = suggest(activation, ACTIVATIONS)
            raise ConfigError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, but got {activation!r}{near} at {self.name}")
        self.mlp_dim = mlp_dim
        self.activation = activation

    def build(self, h_shape: Shape) -> None:
        """Makes the norm and the two dense layers."""
        width = h_shape[-1]
        assert width is not None
        self.norm.build(h_shape)
        self.expand, self.contract = self.dense(self.mlp_dim, "expand"), self.dense(width, "contract")
        self.expand.build(h_shape)
        self.contract.build((*h_shape[:-1], self.mlp_dim))

    def call(self, h: Tensor, training: bool | None = None) -> Tensor:
        """Adds the MLP's update to h."""
        hidden = ACTIVATIONS[self.activation](dense(normalise(h, self.norm), self.expand))  # (batch, tokens, mlp_dim)
        return self.add_update(h, dense(hidden, self.contract), training)  # (batch, tokens, width)

    def compute_output_shape(self, h_shape: Shape) -> Shape:
        """As the input's."""
        return h_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "mlp_dim": self.mlp_dim, "activation": self.activation}
