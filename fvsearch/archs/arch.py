"""Stage and Arch: one architecture as a frozen record, and the family of named ones.

An Arch says nothing about images: input size, channels and classes are arguments of `build_model` and of the costs, so one Arch
serves pre-training and fine-tuning at another resolution.
"""

import hashlib
import json
from typing import Any, Literal

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, suggest

Pooling = Literal["mean", "max"]
Activation = Literal["gelu", "gelu_tanh", "relu"]


class Stage(Record, frozen=True, kw_only=True):
    """A run of encoder blocks at one token count and one width.

    Attributes:
        depth: Encoder blocks in the stage, at least 1.
        width: Channels of a token; divides by `num_heads`.
        mlp_dim: Hidden units of each block's MLP.
        num_heads: Attention heads.
        pool_stride: How far the patch sequence shrinks on entering the stage; 1 is not at all.
        pooling: How a window of patch tokens becomes one.
    """

    depth: int
    width: int
    mlp_dim: int
    num_heads: int
    pool_stride: int = 1
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        require_at_least(1, self, "depth", "width", "mlp_dim", "num_heads", "pool_stride")
        if self.width % self.num_heads:
            raise ConfigError(f"`width` must divide by `num_heads`, but got width={self.width}, num_heads={self.num_heads}")

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.num_heads


class Arch(Record, frozen=True, kw_only=True):
    """A Funnel Vision Transformer.

    Attributes:
        patch_size: Pixels per patch edge.
        stages: The encoder, first to last; the first does not pool.
        pool_query_only: Whether the first block of a pooled stage attends with pooled queries over the unpooled states (Funnel-ViT)
            or over the pooled ones (the naive variant).
        activation: Of the MLPs; "gelu" is the exact one.
        norm_epsilon: Of every layer norm.
    """

    patch_size: int
    stages: tuple[Stage, ...]
    pool_query_only: bool = True
    activation: Activation = "gelu"
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        require_at_least(1, self, "patch_size")
        if not self.stages:
            raise ConfigError("`stages` must hold at least one stage, but it is empty")
        if self.stages[0].pool_stride != 1:
            raise ConfigError(
                f"the first stage must have `pool_stride` 1, but got {self.stages[0].pool_stride} at stages[0]: nothing lies before it"
            )
        if not 0 < self.norm_epsilon < 1:
            raise ConfigError(f"`norm_epsilon` must lie between 0 and 1, but got {self.norm_epsilon}")

    @property
    def depth(self) -> int:
        """Encoder blocks in all stages."""
        return sum(stage.depth for stage in self.stages)

    @property
    def pools(self) -> bool:
        """Whether any boundary shrinks the sequence."""
        return any(stage.pool_stride > 1 for stage in self.stages)

    def canonical(self) -> "Arch":
        """The same network with every inactive choice at its default, so that equal networks are equal records."""
        stages = tuple(s if s.pool_stride > 1 else msgspec.structs.replace(s, pooling="mean") for s in self.stages)
        return msgspec.structs.replace(self, stages=stages, pool_query_only=self.pool_query_only or not self.pools)

    @property
    def arch_hash(self) -> str:
        """Twelve hexadecimal digits that name this network: equal for archs that differ in inactive choices only."""
        record: dict[str, Any] = msgspec.to_builtins(self.canonical())
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]


# depth, width, mlp_dim, num_heads
FAMILY: dict[str, tuple[int, int, int, int]] = {
    "Ti": (12, 192, 768, 3),
    "S": (12, 384, 1536, 6),
    "B": (12, 768, 3072, 12),
    "L": (24, 1024, 4096, 16),
    "H": (32, 1280, 5120, 16),
}
PATCH_SIZES = (14, 16, 32, 1)


def _named() -> dict[str, Arch]:
    archs = {}
    for size, (depth, width, mlp_dim, num_heads) in FAMILY.items():
        stage = Stage(depth=depth, width=width, mlp_dim=mlp_dim, num_heads=num_heads)
        for patch_size in PATCH_SIZES:
            archs[f"vit-{size.lower()}{patch_size}"] = Arch(patch_size=patch_size, stages=(stage,))
    # The Pixel Transformer's write-up has 12 heads where ViT-Ti has 3.
    archs["pixel-tiny"] = Arch(patch_size=1, stages=(Stage(depth=12, width=192, mlp_dim=768, num_heads=12),))
    return archs


NAMED_ARCHS = _named()


def named_arch(name: str) -> Arch:
    """The arch of the family by its name, such as "vit-b16".

    Raises:
        ConfigError: No such name.
    """
    try:
        return NAMED_ARCHS[name]
    except KeyError:
        raise ConfigError(f"no arch is named {name!r}{suggest(name, NAMED_ARCHS)}; `fvsearch list archs` names them all") from None
