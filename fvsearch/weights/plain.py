"""A plain ViT, the common ground with other libraries: its weights by the paths they have in our model of one stage, and their shapes."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError

Floats = np.ndarray[Any, np.dtype[np.float32]]
Shape = tuple[int, ...]

BLOCK_LAYERS = (
    *(f"attention/{name}" for name in ("norm", "query", "key", "value", "projection")),
    *(f"mlp/{name}" for name in ("norm", "expand", "contract")),
)
"""The layers of an encoder block, as `stage0_block0_{layer}` is the path of one."""


class Sizes(NamedTuple):
    """What the shapes of a plain ViT's weights tell.

    Attributes:
        width, depth, mlp_dim, patch_size: As an arch has them.
        channels: Of an image.
        patches: Of an image, in all.
        num_classes: Of the head; 0 where there is none.
    """

    width: int
    depth: int
    mlp_dim: int
    patch_size: int
    channels: int
    patches: int
    num_classes: int


def weight_shapes(sizes: Sizes) -> dict[str, Shape]:
    """The shape of every weight by its path, `stage0_block1_mlp/expand/kernel` say; no classes, no head."""
    width = sizes.width
    shapes: dict[str, Shape] = {
        "patches/kernel": (sizes.patch_size, sizes.patch_size, sizes.channels, width),
        "patches/bias": (width,),
        "class_token/token": (1, 1, width),
        "positions/positions": (1, 1 + sizes.patches, width),
    }
    units = {"mlp/expand": (width, sizes.mlp_dim), "mlp/contract": (sizes.mlp_dim, width)}
    layers = [(f"stage0_block{block}_{layer}", layer) for block, layer in itertools.product(range(sizes.depth), BLOCK_LAYERS)]
    for path, layer in [*layers, ("norm", "norm")]:
        if layer.endswith("norm"):
            shapes |= {f"{path}/gamma": (width,), f"{path}/beta": (width,)}
        else:
            rows, columns = units.get(layer, (width, width))
            shapes |= {f"{path}/kernel": (rows, columns), f"{path}/bias": (columns,)}
    if sizes.num_classes:
        shapes |= {"head/kernel": (width, sizes.num_classes), "head/bias": (sizes.num_classes,)}
    return shapes


def by_head(path: str, shape: Shape, num_heads: int) -> Shape:
    """A weight's shape in libraries that keep heads apart: (width, heads, head_dim) for a query's kernel of (width, width).

    Queries, keys and values are split behind, (heads, head_dim); the projection's kernel in front, (heads, head_dim, width).
    """
    layer, _, leaf = path.rpartition("/")
    if layer.endswith(("_attention/query", "_attention/key", "_attention/value")):
        return (*shape[:-1], num_heads, shape[-1] // num_heads)
    if layer.endswith("_attention/projection") and leaf == "kernel":
        return (num_heads, shape[0] // num_heads, shape[1])
    return shape


def as_one_stage(arch: Arch, library: str) -> Arch:
    """A plain ViT's arch with all its blocks in one stage.

    Args:
        library: Whose ViTs are plain, for the error.

    Raises:
        ConfigError: A stage pools, or is not shaped as the first.
    """
    first = arch.stages[0]
    for index, stage in enumerate(arch.stages):
        if stage.pool_stride > 1:
            raise ConfigError(
                f"{library} has plain ViTs alone, whose stages do not pool, but got pool_stride={stage.pool_stride} at stages[{index}]; "
                "onnx and saved-model take any arch"
            )
        for name in ("width", "mlp_dim", "num_heads"):
            if getattr(stage, name) != getattr(first, name):
                raise ConfigError(
                    f"{library} has plain ViTs alone, whose blocks are all alike, but got {name}={getattr(stage, name)} at "
                    f"stages[{index}] after {getattr(first, name)}; onnx and saved-model take any arch"
                )
    return msgspec.structs.replace(arch, stages=(msgspec.structs.replace(first, depth=arch.depth),))


def one_stage_paths(arch: Arch) -> dict[str, str]:
    """The beginnings of paths, `stage1_block0_` to `stage0_block4_` where the first stage has four blocks."""
    blocks = [f"stage{index}_block{block}_" for index, stage in enumerate(arch.stages) for block in range(stage.depth)]
    return {block: f"stage0_block{number}_" for number, block in enumerate(blocks)}


def in_one_stage(arch: Arch, weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """A plain ViT's weights, by path, under the paths they have where all blocks are in one stage."""
    beginnings = one_stage_paths(arch)
    renamed = {}
    for path, value in weights.items():
        beginning = next((begin for begin in beginnings if path.startswith(begin)), "")
        renamed[beginnings.get(beginning, "") + path.removeprefix(beginning)] = value
    return renamed
