"""build_model: the functional Keras model of an Arch.

Patches, class token, positions, then stages of encoder blocks; between stages the width may change and the patch tokens may be
pooled; a last norm, and a linear head on the class token. Every layer's name says where it stands:

    patches  patch_tokens  class_token  positions  stage0_block0_attention  stage0_block0_mlp  ...
    stage1_projection  stage1_pool  stage1_block0_attention  ...  norm  class_state  head
"""

import keras

from fvsearch.archs.arch import Arch, Stage
from fvsearch.archs.layout import stage_tokens
from fvsearch.errors import ConfigError
from fvsearch.models.drops import Drop
from fvsearch.models.initial import Filled, Glorot, derive_seed
from fvsearch.models.layers import AttentionBlock, ClassState, ClassToken, MLPBlock, PositionEmbedding, layer_norm, seeded_dense
from fvsearch.models.pooling import Tensor, TokenPooling


def build_model(
    arch: Arch,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    dtype: str | None = None,
    seed: int | None = None,
    name: str = "funnel_vit",
) -> keras.Model:
    """The model of an arch: images (batch, height, width, channels) to logits (batch, num_classes), float32.

    At equal widths all archs of the same blocks have the same weights in the same order, however they pool.

    Args:
        image_shape: (height, width, channels).
        num_classes: Of the head.
        dropout: Rate after each attention and MLP, and on the embedded patches.
        stochastic_depth: Rate at the last block; it rises linearly from zero at the first.
        dtype: Keras's dtype policy, such as "mixed_bfloat16"; none is the global one.
        seed: Of the initial weights and the drops; the same seed gives the same model on the same backend.
        name: Of the model.

    Raises:
        ConfigError: Patches do not tile the image, or an argument is out of its range.
    """
    if len(image_shape) != 3 or min(*image_shape, num_classes) < 1:
        raise ConfigError(
            f"`image_shape` must be (height, width, channels) and `num_classes` at least 1, but got {image_shape}, {num_classes}"
        )
    for rate_name, rate in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
        if not 0 <= rate < 1:
            raise ConfigError(f"`{rate_name}` must be at least 0 and below 1, but got {rate}")
    stage_tokens(arch, image_shape)  # the law that patches tile the image
    build = _Builder(arch, dropout, stochastic_depth, dtype, seed)
    images = keras.Input(image_shape, name="images")
    h = build.embed(images)
    for index, stage in enumerate(arch.stages):
        h = build.stage(h, index, stage)
    return keras.Model(images, build.head(h, num_classes), name=name)


class _Builder:
    """The parts of the model, in the order of the forward pass; it counts blocks for stochastic depth."""

    def __init__(self, arch: Arch, dropout: float, stochastic_depth: float, dtype: str | None, seed: int | None) -> None:
        self.arch = arch
        self.dropout = dropout
        self.stochastic_depth = stochastic_depth
        self.dtype: str = keras.dtype_policies.get(dtype or keras.config.dtype_policy()).name
        self.seed = seed
        self.blocks_built = 0

    def embed(self, images: Tensor) -> Tensor:
        """(batch, height, width, channels) to (batch, tokens, width of the first stage)."""
        size, width = self.arch.patch_size, self.arch.stages[0].width
        rows, columns = images.shape[1] // size, images.shape[2] // size
        h = keras.layers.Conv2D(
            width,
            size,
            strides=size,
            data_format="channels_last",
            kernel_initializer=Glorot(derive_seed(self.seed, "patches")),
            bias_initializer=Filled(0.0),
            dtype=self.dtype,
            name="patches",
        )(images)  # (batch, rows, columns, width)
        h = keras.layers.Reshape((rows * columns, width), dtype=self.dtype, name="patch_tokens")(h)  # (batch, patches, width)
        h = ClassToken(dtype=self.dtype, name="class_token")(h)  # (batch, tokens, width)
        h = PositionEmbedding((rows, columns), seed=derive_seed(self.seed, "positions"), dtype=self.dtype, name="positions")(h)
        if self.dropout:
            h = Drop(self.dropout, seed=derive_seed(self.seed, "dropout"), dtype=self.dtype, name="dropout")(h)
        return h

    def stage(self, h: Tensor, index: int, stage: Stage) -> Tensor:
        """The boundary before a stage, then its blocks: (batch, tokens before, width before) to (batch, tokens, width)."""
        if h.shape[-1] != stage.width:
            h = seeded_dense(stage.width, f"stage{index}_projection", self.seed, self.dtype)(h)
        states = None
        if stage.pool_stride > 1:
            states = h if self.arch.pool_query_only else None
            h = TokenPooling(stage.pool_stride, stage.pooling, dtype=self.dtype, name=f"stage{index}_pool")(h)
        for block in range(stage.depth):
            h = self.block(h, states if block == 0 else None, f"stage{index}_block{block}", stage)
        return h

    def block(self, h: Tensor, states: Tensor | None, name: str, stage: Stage) -> Tensor:
        """One pre-norm encoder block; its attention reads `states` where they are given: (batch, tokens, width)."""
        rate = self.stochastic_depth * self.blocks_built / max(1, self.arch.depth - 1)
        self.blocks_built += 1
        shared = {"norm_epsilon": self.arch.norm_epsilon, "dropout": self.dropout, "stochastic_depth": rate, "dtype": self.dtype}
        attention, mlp = f"{name}_attention", f"{name}_mlp"
        h = AttentionBlock(stage.num_heads, seed=derive_seed(self.seed, attention), name=attention, **shared)(h, states)
        return MLPBlock(stage.mlp_dim, self.arch.activation, seed=derive_seed(self.seed, mlp), name=mlp, **shared)(h)

    def head(self, h: Tensor, num_classes: int) -> Tensor:
        """(batch, tokens, width) to logits (batch, num_classes), float32 whatever the policy."""
        h = layer_norm(self.arch.norm_epsilon, "norm", "float32")(h)
        h = ClassState(dtype="float32", name="class_state")(h)  # (batch, width)
        return seeded_dense(num_classes, "head", self.seed, "float32")(h)  # (batch, num_classes)
