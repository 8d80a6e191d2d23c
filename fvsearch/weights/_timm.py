"""timm's VisionTransformer: a state dict, read and written. Dense kernels are (out, in) there, the patches' (out, in, row, column)."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fvsearch.weights.foreign import Foreign, Told, settle_grid
from fvsearch.weights.plain import Floats, Sizes, weight_shapes
from fvsearch.weights.source import Source

LAYERS = {
    "attention/norm": "norm1",
    "attention/projection": "attn.proj",
    "mlp/norm": "norm2",
    "mlp/expand": "mlp.fc1",
    "mlp/contract": "mlp.fc2",
}
"""Of a block; queries, keys and values are one layer there, `attn.qkv`."""

TOKENS = {"class_token/token": "cls_token", "positions/positions": "pos_embed"}
ENDS = {"patches": "patch_embed.proj", "norm": "norm", "head": "head"}
LEAVES = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}

UNLIKE = {
    r"^dist_token|^head_dist\.": "distillation token",
    r"^reg_token|^register_tokens": "register tokens",
    r"\.ls[12]\.|\.gamma_[12]$": "layer scale",
    r"\.attn\.[qk]_norm\.": "query-key norm",
    r"\.attn\.norm\.|\.mlp\.norm\.": "norm inside of attention or MLP",
    r"^fc_norm\.": "global average pooling",
    r"^attn_pool\.": "attention pooling",
    r"^norm_pre\.": "norm before the blocks",
    r"^pre_logits\.": "layer between norm and head",
    r"^patch_embed\.backbone\.": "CNN in front of the patches",
    r"\.mlp\.(fc1_g|fc1_x|w12|w3)\.": "gated MLP",
}

USUAL = Told(activation="gelu", norm_epsilon=1e-6, normalization="inception")


def read_timm(name: str, state: Mapping[str, Any], said: Told, told: Told | None = None) -> Foreign:
    """A state dict as a ViT of ours.

    Args:
        name: Of the file.
        state: Arrays by key, as `VisionTransformer.state_dict` has them.
        said: By the user.
        told: By the file beside the arrays.

    Raises:
        ConfigError: It is of another network, or holds what our archs have nothing for.
    """
    told = told or Told()
    source = Source(name, state, UNLIKE)
    width, channels, patch_size, _ = source.shape("patch_embed.proj.weight", 4)
    mlp_dim = source.shape("blocks.0.mlp.fc1.weight", 2)[0]
    depth = 1 + max(int(match[1]) for match in map(re.compile(r"^blocks\.(\d+)\.").match, state) if match)
    rows = source.shape("pos_embed", 3)[1]
    image_size, of_class = settle_grid(rows, patch_size, said.image_size or told.image_size, name)
    num_classes = source.shape("head.weight", 2)[0] if "head.weight" in state else 0
    sizes = Sizes(width, depth, mlp_dim, patch_size, channels, rows - of_class, num_classes)
    weights: dict[str, Floats] = {}
    for path, shape in weight_shapes(sizes).items():
        key = _key(path)
        if ".attn.qkv." in key:
            if path not in weights:  # a query's, so those of key and value lie behind it
                whole = source.take(key, (3 * width, *shape[1:]))
                weights |= {_sibling(path, part): third.T for part, third in zip(QKV, np.split(whole, 3), strict=True)}
        elif path == "positions/positions":
            weights[path] = source.take(key, (1, rows, width))
        elif path == "patches/kernel":
            weights[path] = source.take(key, (width, channels, patch_size, patch_size)).transpose(2, 3, 1, 0)
        elif path.endswith("/kernel"):
            weights[path] = source.take(key, shape[::-1]).T
        else:
            weights[path] = source.take(key, shape)
    notes = source.finish()
    if not of_class:
        weights["positions/positions"] = np.pad(weights["positions/positions"], ((0, 0), (1, 0), (0, 0)))
        notes += ("the class token has no position there: zero here",)
    assumed: tuple[str, ...] = (
        () if said.image_size or told.image_size else (f"images of {image_size[0]}x{image_size[1]}, a square (--image-size)",)
    )
    assumed += (
        ()
        if told.num_heads
        else ("the head reads the class token, for a state dict does not tell: with timm's global_pool='avg' the logits would be others",)
    )
    return Foreign("timm", sizes, image_size, weights, told, USUAL, assumed, notes)


def timm_state(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """The state dict of a plain ViT's weights, by the paths of `plain.weight_shapes`."""
    state: dict[str, Floats] = {}
    for path, value in weights.items():
        key = _key(path)
        if ".attn.qkv." in key:
            if key not in state:
                state[key] = np.concatenate([weights[_sibling(path, part)].T for part in QKV])
        elif path == "patches/kernel":
            state[key] = value.transpose(3, 2, 0, 1)
        else:
            state[key] = value.T if path.endswith("/kernel") else value
    return {key: np.ascontiguousarray(value) for key, value in state.items()}  # safetensors writes memory as it lies


QKV = ("query", "key", "value")


def _key(path: str) -> str:
    """`stage0_block1_mlp/expand/kernel` to `blocks.1.mlp.fc1.weight`; a query's is that of all three."""
    if path in TOKENS:
        return TOKENS[path]
    layer, _, leaf = path.rpartition("/")
    if match := re.match(r"stage0_block(\d+)_(.*)", layer):
        return f"blocks.{match[1]}.{LAYERS.get(match[2], 'attn.qkv')}.{LEAVES[leaf]}"
    return f"{ENDS[layer]}.{LEAVES[leaf]}"


def _sibling(path: str, part: str) -> str:
    """The same leaf of the layer `part`: `stage0_block1_attention/query/bias`, "key" to `stage0_block1_attention/key/bias`."""
    block, _, leaf = path.split("/")
    return f"{block}/{part}/{leaf}"
