"""What an Arch costs, by formula: parameters, multiply-adds, memory; itemised by part and stage, no model built.

The items are the one source: every total is a sum over them, so a total and its breakdown cannot disagree.
"""

from typing import Literal, get_args

from fvsearch.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.layout import stage_tokens
from fvsearch.records import Record, suggest
from fvsearch.study import DType, Phase

Part = Literal["embedding", "projection", "attention", "mlp", "head"]

WEIGHT_BYTES: dict[Phase, int] = {"training": 16, "inference": 4}
"""Bytes per parameter. Training: weight, gradient and AdamW's two moments, float32 each, whatever the activations' type."""

ACTIVATION_BYTES: dict[DType, int] = {"float32": 4, "mixed_bfloat16": 2}
"""Bytes per activation element. Under mixed precision the weights stay float32."""

ACTIVATION_FACTOR = 1.4
"""What a device keeps per activation that the formula counts (the k of `Cost.memory`), where it has not been measured.

One number for all backends. What their meters say on CPU, float32, of training steps at ViT-Ti's width and 197 tokens: JAX 1.95, TensorFlow
1.4, PyTorch 0.9 (its attention is fused and keeps no scores), each within 8% over pooled and unpooled archs; at 17 tokens 1.8, 1.5, 1.1.
Mixed precision keeps norms and softmaxes in float32, and so about 1.4 times as much. Ratios of archs need no better; a device's own
factor comes from one measurement.
"""


class Item(Record, frozen=True):
    """The share of one part of one stage.

    Attributes:
        part: "embedding" (patches, class token, positions), "projection" (a boundary's change of width), "attention" and "mlp" (of all
            the stage's blocks, each with its layer norm) or "head" (last layer norm and classifier).
        stage: Index of the stage; none for embedding and head.
        num_params: Count of weights.
        macs: Multiply-adds of one image's forward pass, matrix products only: a norm, a softmax, a bias or a pooling counts nothing.
        activations: Elements per image that the backward pass needs.
        largest: Of these, the elements of one block, the stage's largest: alive at once where nothing is kept for a backward pass.
    """

    part: Part
    stage: int | None
    num_params: int
    macs: int
    activations: int
    largest: int


class Cost(Record, frozen=True, kw_only=True):
    """What an arch costs at one batch size, dtype and phase.

    Attributes:
        items: By part and stage, in the order of the forward pass.
        batch_size: Images per step; `memory` is of the batch, all else of one image.
        dtype: Keras's dtype policy.
        phase: "training" or "inference".
    """

    items: tuple[Item, ...]
    batch_size: int
    dtype: DType
    phase: Phase

    @property
    def num_params(self) -> int:
        """Count of weights, equal to the built model's `count_params()`."""
        return sum([item.num_params for item in self.items])

    @property
    def macs(self) -> int:
        """Multiply-adds of one image's forward pass, matrix products only."""
        return sum([item.macs for item in self.items])

    @property
    def flops(self) -> int:
        """Floating-point operations of one image's forward pass: 2 macs."""
        return 2 * self.macs

    @property
    def activations(self) -> int:
        """Elements per image that are alive at the peak: training keeps every block's, inference those of the largest attention or MLP."""
        if self.phase == "training":
            return sum([item.activations for item in self.items])
        return max([item.largest for item in self.items])

    @property
    def memory(self) -> int:
        """Peak device bytes: weight_memory + ACTIVATION_FACTOR * activation_memory."""
        return self.weight_memory + round(ACTIVATION_FACTOR * self.activation_memory)

    @property
    def weight_memory(self) -> int:
        """Bytes that do not grow with the batch: weights, and in training their gradients and the optimizer's moments."""
        return WEIGHT_BYTES[self.phase] * self.num_params

    @property
    def activation_memory(self) -> int:
        """Bytes of the batch's activations, as the formula counts them."""
        return self.activations * ACTIVATION_BYTES[self.dtype] * self.batch_size

    def totals(self) -> dict[str, int]:
        """The numbers by name, as JSON takes them: num_params, macs, flops, activations, memory."""
        names = ("num_params", "macs", "flops", "activations", "memory")
        return {name: getattr(self, name) for name in names}


def predict(
    arch: Arch,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    batch_size: int,
    dtype: DType = "float32",
    phase: Phase = "training",
) -> Cost:
    """What the arch costs, in microseconds and without a backend.

    Step time goes with `macs`: images/s of another arch = images/s of this one * macs of this one / macs of the other.

    Args:
        image_shape: (height, width, channels).
        num_classes: Of the head.
        batch_size: Images per step.
        dtype: Keras's dtype policy.
        phase: "training" or "inference".

    Raises:
        ConfigError: Patches do not tile the image, or an argument is out of its range.
    """
    if num_classes < 1 or batch_size < 1:
        raise ConfigError(f"`num_classes` and `batch_size` must be at least 1, but got num_classes={num_classes}, batch_size={batch_size}")
    if dtype not in ACTIVATION_BYTES:
        raise ConfigError(f"`dtype` must be one of {', '.join(get_args(DType))}, but got {dtype!r}{suggest(dtype, get_args(DType))}")
    if phase not in WEIGHT_BYTES:
        raise ConfigError(f"`phase` must be one of {', '.join(get_args(Phase))}, but got {phase!r}{suggest(phase, get_args(Phase))}")
    tokens = stage_tokens(arch, image_shape)
    patch_values = arch.patch_size * arch.patch_size * image_shape[2]
    n_before, width_before = tokens[0], arch.stages[0].width
    # Weights: kernel, bias, class token, positions.
    embedding = (patch_values + 1) * width_before + width_before + n_before * width_before
    items = [Item("embedding", None, embedding, (n_before - 1) * patch_values * width_before, 0, 0)]
    for index, stage in enumerate(arch.stages):
        n, width = tokens[index], stage.width
        if width != width_before:
            items.append(Item("projection", index, (width_before + 1) * width, n_before * width_before * width, 0, 0))
        n_keys = n_before if stage.pool_stride > 1 and arch.pool_query_only else n
        items.append(_attention(index, stage.depth, n, n_keys, width, stage.num_heads))
        items.append(_mlp(index, stage.depth, n, width, stage.mlp_dim))
        n_before, width_before = n, width
    head = 2 * width_before + (width_before + 1) * num_classes
    items.append(Item("head", None, head, width_before * num_classes, 0, 0))
    return Cost(items=tuple(items), batch_size=batch_size, dtype=dtype, phase=phase)


def _attention(index: int, depth: int, n: int, n_keys: int, width: int, num_heads: int) -> Item:
    """The attention of a stage: its first block reads `n_keys` tokens, the others n.

    Kept per block: its input, the normed input and the heads' output (3 n width), queries, keys and values ((n + 2 n_keys) width),
    attention scores before and after the softmax (2 num_heads n n_keys).
    """
    num_params = depth * (4 * (width + 1) * width + 2 * width)
    # Query and output projection: 2 n width^2; key and value: 2 n_keys width^2; scores and weighted sum: 2 n n_keys width.
    first_macs = 2 * width * ((n + n_keys) * width + n * n_keys)
    other_macs = 2 * width * (2 * n * width + n * n)
    first = (4 * n + 2 * n_keys) * width + 2 * num_heads * n * n_keys
    other = 6 * n * width + 2 * num_heads * n * n
    return Item("attention", index, num_params, first_macs + (depth - 1) * other_macs, first + (depth - 1) * other, first)


def _mlp(index: int, depth: int, n: int, width: int, mlp_dim: int) -> Item:
    """The MLPs of a stage.

    Kept per block: its input and the normed input (2 n width), hidden units before and after the activation (2 n mlp_dim).
    """
    num_params = 2 * width * mlp_dim + mlp_dim + width + 2 * width
    kept = 2 * n * (width + mlp_dim)
    return Item("mlp", index, depth * num_params, depth * 2 * n * width * mlp_dim, depth * kept, kept)
