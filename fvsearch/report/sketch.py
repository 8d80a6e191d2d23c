"""A funnel at a glance: an arch as one bar a block, as tall as its tokens are many."""

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import stage_tokens
from fvsearch.records import Record

WIDTH, HEIGHT = 88, 26


class Bar(Record, frozen=True, kw_only=True):
    """One block, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float


class Sketch(Record, frozen=True, kw_only=True):
    """The bars, and what they say in words."""

    bars: tuple[Bar, ...]
    words: str


def sketch(arch: Arch, image_shape: tuple[int, int, int], deepest: int) -> Sketch:
    """The sketch of an arch.

    Args:
        arch: To draw.
        image_shape: (height, width, channels).
        deepest: Blocks that fill the width, so that sketches side by side compare.
    """
    tokens = stage_tokens(arch, image_shape)
    pitch = min(WIDTH / max(deepest, 1), 12.0)
    bars: list[Bar] = []
    said: list[str] = []
    for stage, count in zip(arch.stages, tokens, strict=True):
        height = max(HEIGHT * count / tokens[0], 2.0)
        for _ in range(stage.depth):
            x, y = len(bars) * pitch, HEIGHT - height
            bars.append(Bar(x=round(x, 2), y=round(y, 2), width=round(0.8 * pitch, 2), height=round(height, 2)))
        said.append(f"{stage.depth} x {count} tokens of width {stage.width}")
    return Sketch(bars=tuple(bars), words=", then ".join(said))
