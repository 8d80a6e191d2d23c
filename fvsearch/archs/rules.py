"""Rules: what an arch of a space must keep beside its domains, such as widths that never rise."""

from collections.abc import Sequence

import msgspec

from fvsearch.archs.arch import Stage
from fvsearch.archs.layout import pooled_length
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least

UNBOUNDED = 2**62
"""Where a rule sets no upper bound."""


class Rules(Record, frozen=True, kw_only=True):
    """What every arch of a space keeps; what is not said is not asked.

    Attributes:
        widths_never_rise: Whether no stage may be wider than the one before it.
        min_mlp_ratio: Least `mlp_dim / width` of any stage.
        max_mlp_ratio: Greatest.
        min_tokens: Least tokens of any stage, the class token counted in, as in a layout.
        min_depth: Least blocks in all stages together.
        max_depth: Most.
        image_size: Pixels at which tokens are counted: one edge of a square, or (height, width). In a study it is that of the data.
    """

    widths_never_rise: bool = False
    min_mlp_ratio: float | None = None
    max_mlp_ratio: float | None = None
    min_tokens: int | None = None
    min_depth: int | None = None
    max_depth: int | None = None
    image_size: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require_at_least(1, self, "min_depth", "max_depth")
        # A class token and one patch are in every stage.
        require_at_least(2, self, "min_tokens")
        for name in ("min_mlp_ratio", "max_mlp_ratio"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{name}` must be above 0, but got {value}")
        for low, high in (("min_mlp_ratio", "max_mlp_ratio"), ("min_depth", "max_depth")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ConfigError(f"`{low}` must not exceed `{high}`, but got {low}={least}, {high}={most}")
        if self.min_tokens is not None and self.image_size is None:
            raise ConfigError(
                f"`min_tokens` needs the `image_size` at which tokens are counted, but got min_tokens={self.min_tokens} alone: "
                "a study gives its data's, a space by itself must say it in its rules"
            )
        if self.image_size is not None and min(self.edges) < 1:
            raise ConfigError(f"`image_size` must be at least 1, but got {self.image_size}")

    @property
    def edges(self) -> tuple[int, int]:
        """(height, width) of the image that tokens are counted at.

        Raises:
            ConfigError: There is none.
        """
        if self.image_size is None:
            raise ConfigError("the rules have no `image_size`")
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size

    def said(self) -> dict[str, bool | int | float]:
        """The rules that ask for something, by name."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "image_size"}
        return {name: value for name, value in values.items() if value not in (None, False)}

    def laws(self) -> dict[str, str]:
        """The same as people write them: `max_depth = 6`."""
        return {name: name if value is True else f"{name} = {value:g}" for name, value in self.said().items()}

    def without(self, name: str) -> "Rules":
        """The other rules."""
        return msgspec.structs.replace(self, **{name: False if name == "widths_never_rise" else None})

    def allows_mlp(self, width: int, mlp_dim: int) -> bool:
        """Whether a stage may have this MLP at this width."""
        low, high = self.min_mlp_ratio, self.max_mlp_ratio
        return (low is None or mlp_dim >= low * width) and (high is None or mlp_dim <= high * width)

    def room(self, patch_size: int) -> int:
        """Greatest product of strides that leaves every stage its tokens; 0 where the image is cut into too few patches to begin with.

        n patches shrunk by s leave ceil(n / s), and ceil(n / s) >= k is s <= (n - 1) // (k - 1): of 49 patches, k = 13 allows s = 4.
        """
        if self.min_tokens is None or self.min_tokens <= 2:
            return UNBOUNDED
        return (self._patches(patch_size) - 1) // (self.min_tokens - 2)

    def broken(self, patch_size: int, stages: Sequence[Stage]) -> str:
        """The first rule that an arch breaks, with its value and the arch's; empty where it keeps them all."""
        depth = sum(stage.depth for stage in stages)
        if self.min_depth is not None and depth < self.min_depth:
            return f"`min_depth = {self.min_depth}`, but the arch has depth {depth}"
        if self.max_depth is not None and depth > self.max_depth:
            return f"`max_depth = {self.max_depth}`, but the arch has depth {depth}"
        patches = self._patches(patch_size) if self.min_tokens is not None else 0
        for index, stage in enumerate(stages):
            before = stages[max(0, index - 1)].width
            if self.widths_never_rise and stage.width > before:
                return f"`widths_never_rise`, but the arch has {before} and then {stage.width} at stages[{index}].width"
            if not self.allows_mlp(stage.width, stage.mlp_dim):
                ratio = stage.mlp_dim / stage.width
                low = self.min_mlp_ratio is not None and ratio < self.min_mlp_ratio
                law = f"`min_mlp_ratio = {self.min_mlp_ratio:g}`" if low else f"`max_mlp_ratio = {self.max_mlp_ratio:g}`"
                return f"{law}, but the arch has {stage.mlp_dim} / {stage.width} = {ratio:g} at stages[{index}].mlp_dim"
            patches = pooled_length(patches, stage.pool_stride)
            if self.min_tokens is not None and patches + 1 < self.min_tokens:
                return f"`min_tokens = {self.min_tokens}`, but the arch has {patches + 1} at stages[{index}]"
        return ""

    def _patches(self, patch_size: int) -> int:
        height, width = self.edges
        if height % patch_size or width % patch_size:
            raise ConfigError(
                f"`image_size` must divide by `patch_size`, but got image_size={height}x{width}, patch_size={patch_size} at rules"
            )
        return (height // patch_size) * (width // patch_size)
