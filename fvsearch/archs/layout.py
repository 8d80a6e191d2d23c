"""The paper's notation, both ways: `B6(197, m4096)-6(99)-2(50, m1536)`.

A layout is the letter B (for block) and the stages, joined by `-`. A stage is its depth and, in parentheses and in any order:

    197          tokens in the stage, class token included; at a boundary it implies the stride
    h1024        width, else 768
    m4096        MLP size, else 3072
    a16          attention heads, else width / 64
    max, mean    pooling on entering
    naive        keys and values are pooled too, not the queries alone
    s4           stride, only where the count does not tell it

Without a count a boundary has stride 2; where a count fits several strides, the smallest is meant. Patch size, activation and norm epsilon
are not part of the notation.
"""

import re
from typing import Any

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError, LayoutError
from fvsearch.records import show_value, suggest

IMPLIED_STRIDES = (1, 2, 4)
"""Strides that a token count may imply; others must be said."""

DEFAULT_WIDTH, DEFAULT_MLP_DIM, DEFAULT_HEAD_DIM = 768, 3072, 64

MOST_DIGITS = 9
"""Of a number in a layout."""

LONGEST = 10_000
"""Characters of a layout; two hundred stages that say everything have fewer."""

_STAGE = re.compile(r"(?P<depth>\d+)\s*(?:\((?P<options>[^()]*)\))?")
_LETTERS = {"h": "width", "m": "mlp_dim", "a": "num_heads", "s": "pool_stride"}
_WORDS = ("max", "mean", "naive")


def pooled_length(patches: int, stride: int) -> int:
    """Patches left of `patches` after pooling: a ragged end makes a last, smaller window, so 49 at stride 2 leave 25."""
    return -(-patches // stride)


def stage_tokens(arch: Arch, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Tokens of each stage, class token included, for images of (height, width, channels).

    Raises:
        LayoutError: The patches do not tile the image.
    """
    height, width = image_shape[:2]
    size = arch.patch_size
    if height % size or width % size:
        raise LayoutError(f"`image_size` must divide by `patch_size`, but got image_size={height}x{width}, patch_size={size}")
    patches = (height // size) * (width // size)
    tokens = []
    for stage in arch.stages:
        patches = pooled_length(patches, stage.pool_stride)
        tokens.append(patches + 1)
    return tuple(tokens)


def is_layout(text: str) -> bool:
    """Whether the text looks like a layout rather than a name or a path."""
    return re.match(r"B?\s*\d+\s*(?:$|[-(])", text.strip()) is not None


def parse_layout(text: str, *, patch_size: int = 16, image_size: int | tuple[int, int] = 224) -> Arch:
    """The arch that a layout names, its counts checked against the image.

    Args:
        text: Such as `B6(197)-6(99)`.
        patch_size: Pixels per patch edge.
        image_size: Pixels: one edge of a square, or (height, width).

    Raises:
        LayoutError: It does not read, or its counts do not fit the image; the message names the stage.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise LayoutError(f"`image_size` must divide by `patch_size`, but got image_size={height}x{width}, patch_size={patch_size}")
    patches = (height // patch_size) * (width // patch_size)
    stages, naive = [], []
    for index, (depth, words) in enumerate(_split(text)):
        place = f"at stage {index} of {show_value(text)}"
        options = _read_options(words, place)
        stride = _stride(options, patches, index, place)
        patches = pooled_length(patches, stride)
        if options.get("naive") and stride == 1:
            raise LayoutError(f"`naive` must stand at a stage that pools {place}")
        if stride > 1:
            naive.append(bool(options.get("naive")))
        stages.append(_stage(depth, stride, options, place))
    if any(naive) and not all(naive):
        raise LayoutError(f"`naive` must stand at every stage that pools, or at none, but got {show_value(text)}")
    try:
        return Arch(patch_size=patch_size, stages=tuple(stages), pool_query_only=not any(naive))
    except ConfigError as error:
        raise LayoutError(f"{error} in {show_value(text)}") from None


def format_layout(arch: Arch, image_size: int | tuple[int, int] = 224) -> str:
    """The canonical layout of an arch: every count printed, every option printed that is not the default.

    Raises:
        LayoutError: The patches do not tile the image.
    """
    shape = (image_size, image_size, 3) if isinstance(image_size, int) else (*image_size, 3)
    patches = (shape[0] // arch.patch_size) * (shape[1] // arch.patch_size)
    parts = []
    for stage, tokens in zip(arch.stages, stage_tokens(arch, shape), strict=True):
        options = [str(tokens)]
        if stage.width != DEFAULT_WIDTH:
            options.append(f"h{stage.width}")
        if stage.mlp_dim != DEFAULT_MLP_DIM:
            options.append(f"m{stage.mlp_dim}")
        if stage.num_heads * DEFAULT_HEAD_DIM != stage.width:
            options.append(f"a{stage.num_heads}")
        if _implied_stride(patches, tokens) != stage.pool_stride:
            options.append(f"s{stage.pool_stride}")
        if stage.pool_stride > 1 and stage.pooling != "mean":
            options.append(stage.pooling)
        if stage.pool_stride > 1 and not arch.pool_query_only:
            options.append("naive")
        parts.append(f"{stage.depth}({', '.join(options)})")
        patches = tokens - 1
    return "B" + "-".join(parts)


def _split(text: str) -> list[tuple[int, str]]:
    """`B6(197)-6` -> [(6, "197"), (6, "")]."""
    if len(text) > LONGEST:
        raise LayoutError(f"a layout must have at most {LONGEST:,} characters, but got {len(text):,}, {show_value(text)}")
    match = re.fullmatch(r"\s*B?\s*(?P<stages>\d.*?)\s*", text)
    if not match:
        raise LayoutError(f"a layout must read as the letter B and stages, such as 'B6(197)-6(99)', but got {show_value(text)}")
    written, position, rest = [], 0, match["stages"]
    while stage := _STAGE.match(rest, position):
        written.append((_number(stage["depth"], f"in {show_value(text)}"), stage["options"] or ""))
        position = stage.end()
        separator = re.compile(r"\s*-\s*").match(rest, position)
        if not separator:
            break
        position = separator.end()
    if position != len(rest) or rest.rstrip().endswith("-"):
        raise LayoutError(
            f"a stage must read as its depth and options in parentheses, such as '6(99, m1536)', "
            f"but got {show_value(rest[position:])} in {show_value(text)}"
        )
    return written


def _read_options(text: str, place: str) -> dict[str, Any]:
    """`197, m4096, max` -> {"tokens": 197, "mlp_dim": 4096, "pooling": "max"}."""
    options: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word.isdecimal():
            found: tuple[str, Any] = ("tokens", _number(word, place))
        elif word in _WORDS:
            found = ("naive", True) if word == "naive" else ("pooling", word)
        elif word[0] in _LETTERS and word[1:].isdecimal():
            found = (_LETTERS[word[0]], _number(word[1:], place))
        else:
            raise LayoutError(
                f"an option must be a token count, h, m, a or s with a number, or {', '.join(_WORDS)}, "
                f"but got {show_value(word)}{suggest(word[:MOST_DIGITS], _WORDS)} {place}"
            )
        key, value = found
        if key in options:
            raise LayoutError(f"`{key}` must be said once, but got it twice {place}")
        options[key] = value
    return options


def _number(digits: str, place: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise LayoutError(f"a number must have at most {MOST_DIGITS} digits, but got {show_value(digits)} {place}")
    return int(digits)


def _implied_stride(patches: int, tokens: int) -> int | None:
    return next((stride for stride in IMPLIED_STRIDES if pooled_length(patches, stride) + 1 == tokens), None)


def _stride(options: dict[str, Any], patches: int, index: int, place: str) -> int:
    tokens, stride = options.get("tokens"), options.get("pool_stride")
    if stride == 0:
        raise LayoutError(f"a stride must be at least 1, but got s0 {place}")
    if index == 0:
        if tokens not in (None, patches + 1):
            raise LayoutError(
                f"the first stage must hold {patches + 1} tokens ({patches} patches and the class token), but got {tokens} {place}"
            )
        return int(stride or 1)
    if stride is not None:
        if tokens not in (None, pooled_length(patches, stride) + 1):
            raise LayoutError(
                f"stride {stride} leaves {pooled_length(patches, stride) + 1} of {patches + 1} tokens, but got {tokens} {place}"
            )
        return int(stride)
    if tokens is None:
        return 2
    implied = _implied_stride(patches, tokens)
    if implied is None:
        fits = ", ".join(f"{pooled_length(patches, s) + 1} (stride {s})" for s in IMPLIED_STRIDES)
        raise LayoutError(f"after {patches + 1} tokens a stage must hold {fits}, or say its stride as in 's8', but got {tokens} {place}")
    return implied


def _stage(depth: int, stride: int, options: dict[str, Any], place: str) -> Stage:
    width = options.get("width", DEFAULT_WIDTH)
    heads = options.get("num_heads")
    if heads is None:
        if width % DEFAULT_HEAD_DIM:
            raise LayoutError(
                f"a width that {DEFAULT_HEAD_DIM} does not divide must say its heads, as in 'h{width}, a1', but got h{width} {place}"
            )
        heads = width // DEFAULT_HEAD_DIM
    try:
        return Stage(
            depth=depth,
            width=width,
            mlp_dim=options.get("mlp_dim", DEFAULT_MLP_DIM),
            num_heads=heads,
            pool_stride=stride,
            pooling=options.get("pooling", "mean"),
        )
    except ConfigError as error:
        raise LayoutError(f"{error} {place}") from None
