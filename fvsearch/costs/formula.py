"""What an Arch costs, by formula: parameters, multiply-adds, memory; itemised by part and stage, no model built."""

import itertools
from collections.abc import Mapping
from typing import Any, NoReturn

from fvsearch.archs.arch import Arch, Stage
from fvsearch.archs.layout import stage_tokens
from fvsearch.costs.cost import MOMENTS, Cost, Item
from fvsearch.costs.dtypes import FLOAT32, WIDTHS, Widths
from fvsearch.costs.habits import HELD, SCORES, Attention, Outputs
from fvsearch.errors import ConfigError
from fvsearch.records import suggest
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import DType, Optimizer

KEPT: dict[Phase, int] = {"training": 1, "inference": 0}
"""Whether activations are kept for a backward pass."""


def predict(
    arch: Arch,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    batch_size: int,
    dtype: DType = "float32",
    phase: Phase = "training",
    optimizer: Optimizer = "adamw",
    ema: bool = False,
    accumulates: bool = False,
    attention: Attention = "kept",
    hidden: int = 2,
    outputs: Outputs = "freed",
) -> Cost:
    """What the arch costs, in microseconds and without a backend.

    Arithmetic alone, so that an arch whose depths and MLP sizes are NumPy arrays has arrays of costs (engines/front/archs.py).

    Step time goes with `macs`: images/s of another arch = images/s of this one * macs of this one / macs of the other.

    Args:
        image_shape: (height, width, channels).
        num_classes: Of the head.
        batch_size: Images per step.
        dtype: Keras's dtype policy.
        phase: "training" or "inference".
        optimizer: "adamw" or "sgd" (with momentum); inference takes no notice.
        ema: Whether the optimizer keeps an average of the weights; inference takes no notice.
        accumulates: Whether it keeps the sum of gradients of several steps; inference takes no notice.
        attention: "kept", or "fused" where one kernel computes attention and keeps no scores, as PyTorch's does and cuDNN's.
        hidden: Numbers kept of each hidden unit: before and after the activation, and more where that is made of several operations.
        outputs: Of the blocks, in inference: "freed", or "held" to its end. `HABITS` has all three by backend.

    Raises:
        ConfigError: Patches do not tile the image, or an argument is out of its range.
    """
    if num_classes < 1 or batch_size < 1:
        raise ConfigError(f"`num_classes` and `batch_size` must be at least 1, but got num_classes={num_classes}, batch_size={batch_size}")
    if dtype not in WIDTHS or phase not in KEPT or optimizer not in MOMENTS or attention not in SCORES or outputs not in HELD:
        _refuse({"dtype": dtype, "phase": phase, "optimizer": optimizer, "attention": attention, "outputs": outputs})
    tokens = stage_tokens(arch, image_shape)
    widths, scores, kept = WIDTHS[dtype], SCORES[attention], KEPT[phase]
    patch_values = arch.patch_size * arch.patch_size * image_shape[2]
    n_before, width_before = tokens[0], arch.stages[0].width
    # Weights: kernel, bias, class token, positions. Activations: the images, which are there in either phase.
    num_params = (patch_values + 1) * width_before + width_before + n_before * width_before
    images = (n_before - 1) * patch_values
    items = [Item("patch", None, num_params, images * width_before, images, 0, widths.twice * images)]
    for index, stage in enumerate(arch.stages):
        n, width = tokens[index], stage.width
        if width != width_before:
            states = n_before * width_before  # the projection's input
            num_params = (width_before + 1) * width
            items.append(Item("projection", index, num_params, states * width, states, 0, kept * widths.plain * states))
        pooled = stage.pool_stride > 1 and arch.pool_query_only
        items.append(_attention(index, stage, n, n_before if pooled else n, pooled, scores, widths, kept))
        items.append(_mlp(index, stage, n, hidden, widths, kept))
        n_before, width_before = n, width
    # Activations: all tokens as the last norm reads and writes them, and the logits.
    num_params = 2 * width_before + (width_before + 1) * num_classes
    states = n_before * width_before
    bytes_ = (widths.twice + FLOAT32) * states + FLOAT32 * num_classes
    items.append(Item("head", None, num_params, width_before * num_classes, 2 * states + num_classes, 0, kept * bytes_))
    if not kept:
        stay = HELD[outputs] * widths.plain
        patches = 3 * stay * tokens[0] * arch.stages[0].width  # as they come, with the class token, with positions
        items = _at_the_peak(items, patches, [stay * stage.depth * n * stage.width for n, stage in zip(tokens, arch.stages, strict=True)])
    return Cost(items=tuple(items), batch_size=batch_size, dtype=dtype, phase=phase, optimizer=optimizer, ema=ema, accumulates=accumulates)


def _refuse(arguments: Mapping[str, str]) -> NoReturn:
    """Say which argument is none of its known values."""
    known: dict[str, Mapping[Any, Any]] = {"dtype": WIDTHS, "phase": KEPT, "optimizer": MOMENTS, "attention": SCORES, "outputs": HELD}
    name, value = next((name, value) for name, value in arguments.items() if value not in known[name])
    raise ConfigError(f"`{name}` must be one of {', '.join(known[name])}, but got {value!r}{suggest(value, known[name])}")


def _attention(index: int, stage: Stage, n: int, n_keys: int, pooled: bool, scores: int, widths: Widths, kept: int) -> Item:
    """The attention of a stage: its first block reads `n_keys` tokens, the others n.

    Activations of a block: what its norm reads and what that writes; queries, keys and values; the heads' output as the heads leave it and
    as the projection reads it; `scores` numbers for each head, query and key. A first block whose queries are pooled norms the states too.

    At once, without a backward pass: the input, what norms wrote, queries, keys and values; or the input, the values and the scores.
    """
    width, others = stage.width, stage.depth - 1
    num_params = stage.depth * (4 * (width + 1) * width + 2 * width)
    # Query and output projection: 2 n width^2; key and value: 2 n_keys width^2; scores and weighted sum: 2 n n_keys width.
    macs = 2 * width * ((n + n_keys) * width + n * n_keys + others * (2 * n * width + n * n))
    read = (n + n_keys if pooled else n) * width
    plain = read + (3 * n + 2 * n_keys) * width
    first_scores, other_scores = scores * stage.num_heads * n * n_keys, scores * stage.num_heads * n * n
    activations = read + plain + first_scores + others * (7 * n * width + other_scores)
    projected, attended = (3 * n + (3 if pooled else 2) * n_keys) * width, (n + n_keys) * width
    if kept:
        held = widths.twice * read + widths.plain * plain + widths.score * first_scores
        held += others * ((widths.twice + 6 * widths.plain) * n * width + widths.score * other_scores)
    else:
        held = max(widths.plain * projected, widths.plain * attended + widths.score * first_scores)
    return Item("attention", index, num_params, macs, activations, max(projected, attended + first_scores), held)


def _mlp(index: int, stage: Stage, n: int, hidden: int, widths: Widths, kept: int) -> Item:
    """The MLPs of a stage.

    Activations of a block: what its norm reads and what that writes; hidden units, `hidden` numbers of each. At once, without a backward
    pass: the same, less what the norm writes.
    """
    width, depth = stage.width, stage.depth
    num_params = 2 * width * stage.mlp_dim + stage.mlp_dim + width + 2 * width
    units = n * hidden * stage.mlp_dim
    largest = n * width + units
    held = depth * ((widths.twice + widths.plain) * n * width + widths.plain * units) if kept else widths.plain * largest
    return Item("mlp", index, depth * num_params, depth * 2 * n * width * stage.mlp_dim, depth * (n * width + largest), largest, held)


def _at_the_peak(items: list[Item], patches: int, outputs: list[int]) -> list[Item]:
    """Inference's items with what each holds where the most is held, in the part that needs the most on top of what stays of those before.

    Args:
        items: Each with what it needs at once.
        patches: Bytes that stay of the embedding.
        outputs: By stage: bytes that stay of its attentions' outputs, and as many of its MLPs'.
    """
    stay = [patches, *(outputs[item.stage] if item.stage is not None and item.part != "projection" else 0 for item in items[1:])]
    needed = [before + item.activation_bytes for before, item in zip(itertools.accumulate(stay), items, strict=True)]
    most = needed[1]
    for other in needed[2:]:
        most = (most + other + abs(most - other)) // 2  # the larger, also of arrays
    held, come = [items[0].activation_bytes + patches], 0
    for item, left, need in zip(items[1:], stay[1:], needed[1:], strict=True):
        here = (need == most) * (1 - come)
        held.append(left * (1 - come) + item.activation_bytes * here)
        come = come + here
    return [Item(i.part, i.stage, i.num_params, i.macs, i.activations, i.largest, bytes_) for i, bytes_ in zip(items, held, strict=True)]
