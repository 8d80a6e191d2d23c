"""The original ViTs' .npz files, ViT's and AugReg's, and those of big_vision: Flax's names and shapes, heads kept apart."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fvsearch.errors import ConfigError
from fvsearch.weights.foreign import Foreign, Told, settle_grid
from fvsearch.weights.plain import Sizes, by_head, weight_shapes
from fvsearch.weights.source import Source

ROOTS = ("params/", "opt/target/", "")
"""Where a file may keep the model, beside an optimizer's state."""

POSITIONS = ("Transformer/posembed_input/pos_embedding", "Transformer/pos_embedding", "pos_embedding")

UNLIKE = {
    r"^pre_logits/": "layer between norm and head",
    r"^MAPHead_0/|^probe$": "attention pooling",
    r"^conv_root/|^gn_root/|^block\d+/unit": "CNN in front of the patches",
    r"/(query|key)_(norm|ln)/": "query-key norm",
}

# Flax's gelu is the approximate one unless told otherwise, and neither library tells it; its layer norms have 1e-6.
USUAL = Told(activation="gelu_tanh", norm_epsilon=1e-6)


def read_augreg(name: str, arrays: Mapping[str, Any], said: Told) -> Foreign:
    """Such a file's arrays as a ViT of ours.

    Args:
        name: Of the file.
        arrays: By key, `Transformer/encoderblock_0/LayerNorm_0/scale` say.
        said: By the user.

    Raises:
        ConfigError: They are of another network, or hold what our archs have nothing for.
    """
    tree = _unstacked(_model_of(name, arrays))
    source = Source(name, tree, UNLIKE)
    patch_size, _, channels, width = source.shape("embedding/kernel", 4)
    positions = next((key for key in POSITIONS if key in tree), POSITIONS[0])
    *_, rows, _ = source.shape(positions, 3)
    image_size, of_class = settle_grid(rows, patch_size, said.image_size, name)
    # Numbers count the modules of a block in the order they were made: all together in old Flax, by kind in new.
    old = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel" in tree
    attention, mlp, norm = (1, 3, 2) if old else (0, 0, 1)
    layers = {
        "attention/norm": "LayerNorm_0",
        **{f"attention/{part}": f"MultiHeadDotProductAttention_{attention}/{part}" for part in ("query", "key", "value")},
        "attention/projection": f"MultiHeadDotProductAttention_{attention}/out",
        "mlp/norm": f"LayerNorm_{norm}",
        "mlp/expand": f"MlpBlock_{mlp}/Dense_0",
        "mlp/contract": f"MlpBlock_{mlp}/Dense_1",
    }
    first = "Transformer/encoderblock_0/"
    num_heads = source.shape(f"{first}{layers['attention/query']}/kernel", 3)[1]
    mlp_dim = source.shape(f"{first}{layers['mlp/expand']}/kernel", 2)[1]
    depth = 1 + max(int(match[1]) for match in map(re.compile(r"Transformer/encoderblock_(\d+)/").match, tree) if match)
    num_classes = source.shape("head/kernel", 2)[1] if "head/kernel" in tree else 0
    sizes = Sizes(width, depth, mlp_dim, patch_size, channels, rows - of_class, num_classes)
    weights = {}
    for path, shape in weight_shapes(sizes).items():
        if path == "positions/positions":
            weights[path] = source.take(positions, (1, rows, width))
        else:
            weights[path] = source.take(_key(path, layers), by_head(path, shape, num_heads)).reshape(shape)
    notes = source.finish()
    if not of_class:
        weights["positions/positions"] = np.pad(weights["positions/positions"], ((0, 0), (1, 0), (0, 0)))
        notes += ("the class token has no position there: zero here",)
    assumed = () if said.image_size else (f"images of {image_size[0]}x{image_size[1]}, a square (--image-size)",)
    return Foreign("AugReg", sizes, image_size, weights, Told(num_heads=num_heads), USUAL, assumed, notes)


def _model_of(name: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays below the model's root, without it; bfloat16 as such, which NumPy's files keep as two bytes of no type."""
    root = next((root for root in ROOTS if f"{root}embedding/kernel" in arrays), None)
    if root is None:
        raise ConfigError(f"a ViT's .npz must hold `embedding/kernel`, but {name} does not")
    found = {key.removeprefix(root): arrays[key] for key in arrays if key.startswith(root)}
    return {key: _floats(value) for key, value in found.items()}


def _floats(value: Any) -> Any:
    if value.dtype.kind == "V" and value.dtype.itemsize == 2:
        import ml_dtypes

        return value.view(ml_dtypes.bfloat16)
    return value


def _unstacked(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks that were scanned over are stacked along a first axis, `Transformer/encoderblock/...`: one by one, numbered."""
    apart: dict[str, Any] = {}
    for key, value in tree.items():
        if key.startswith("Transformer/encoderblock/"):
            rest = key.removeprefix("Transformer/encoderblock/")
            apart |= {f"Transformer/encoderblock_{block}/{rest}": part for block, part in enumerate(value)}
        else:
            apart[key] = value
    return apart


def _key(path: str, layers: Mapping[str, str]) -> str:
    """`stage0_block1_attention/norm/gamma` to `Transformer/encoderblock_1/LayerNorm_0/scale`."""
    layer, _, leaf = path.rpartition("/")
    leaf = {"gamma": "scale", "beta": "bias"}.get(leaf, leaf)
    if match := re.match(r"stage0_block(\d+)_(.*)", layer):
        return f"Transformer/encoderblock_{match[1]}/{layers[match[2]]}/{leaf}"
    if layer == "class_token":
        return "cls"
    return {"patches": "embedding", "norm": "Transformer/encoder_norm", "head": "head"}[layer] + f"/{leaf}"
