"""Which layer of one model stands for which layer of another, by the names that `build_model` gives.

- Blocks pair in order over the whole encoder, the first with the first: a ViT has in one stage what a funnel has in several. Only where
  both have as many stages, but not as many blocks, do they pair stage by stage, each stage from its first block:

      B2-2 for B4     0.0 = 0.0  0.1 = 0.1  1.0 = 0.2  1.1 = 0.3     (stage.block of the target = of the source)
      B2-2 for B3-1   0.0 = 0.0  0.1 = 0.1  1.0 = 0.2  1.1 = 1.0
      B2-2 for B3-2   0.0 = 0.0  0.1 = 0.1  1.0 = 1.0  1.1 = 1.1     (0.2 goes unused)

- Projections between stages pair in order among those that lead from the same width to the same width.
- All other layers (patches, class_token, positions, norm, head) pair by their name.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fvsearch.errors import ConfigError

if TYPE_CHECKING:
    import keras

ATTENTION = re.compile(r"stage(\d+)_block(\d+)_attention")
PROJECTION = re.compile(r"stage\d+_projection")
IN_STAGES = re.compile(r"stage\d+_.+")

Place = tuple[int, int]
"""(stage, block) of a block."""


def pair_layers(source: "keras.Model", target: "keras.Model") -> "list[tuple[keras.layers.Layer, keras.layers.Layer | None]]":
    """Each layer of the target that has weights, in its order, and the source's layer for it, if there is one.

    Raises:
        ConfigError: A model has no encoder blocks by the names of `build_model`.
    """
    names = _pair_projections(source, target)
    for (stage, block), (other_stage, other_block) in pair_blocks(_depths(source), _depths(target)).items():
        for half in ("attention", "mlp"):
            names[f"stage{stage}_block{block}_{half}"] = f"stage{other_stage}_block{other_block}_{half}"
    theirs = {layer.name: layer for layer in source.layers}
    weighted = [layer for layer in target.layers if layer.weights]
    # A layer of a stage that has no pair by the rules has none: its namesake may stand elsewhere in the encoder.
    names = {layer.name: layer.name for layer in weighted if not IN_STAGES.fullmatch(layer.name)} | names
    return [(layer, theirs.get(names.get(layer.name, ""))) for layer in weighted]


def pair_blocks(source: Sequence[int], target: Sequence[int]) -> dict[Place, Place]:
    """By the place of a target's block, that of the source's.

    Args:
        source, target: The depth of each stage.
    """
    if len(source) == len(target) and sum(source) != sum(target):
        return {
            (stage, block): (stage, block) for stage, depths in enumerate(zip(source, target, strict=True)) for block in range(min(depths))
        }
    return dict(zip(_places(target), _places(source), strict=False))


def _places(depths: Sequence[int]) -> Iterator[Place]:
    return ((stage, block) for stage, depth in enumerate(depths) for block in range(depth))


def _depths(model: "keras.Model") -> list[int]:
    """The depth of each stage of a model."""
    depths = Counter(int(match[1]) for layer in model.layers if (match := ATTENTION.fullmatch(layer.name)))
    if not depths:
        raise ConfigError(
            f"weights move between models as `build_model` makes them, but {model.name} has no layer that is named stage0_block0_attention"
        )
    return [depths[stage] for stage in range(max(depths) + 1)]


def _pair_projections(source: "keras.Model", target: "keras.Model") -> dict[str, str]:
    """By the name of a target's projection, that of the source's."""
    pairs, taken = {}, set[str]()
    candidates = [layer for layer in source.layers if PROJECTION.fullmatch(layer.name)]
    for layer in target.layers:
        if PROJECTION.fullmatch(layer.name):
            alike = (other.name for other in candidates if other.name not in taken and other.kernel.shape == layer.kernel.shape)
            if found := next(alike, None):
                pairs[layer.name] = found
                taken.add(found)
    return pairs
