"""Space: a set of Archs, spanned by domains; flat params `{"stages.0.depth": 4}` to Arch and back.

A space is flat: a fixed number of stages; from stage 1 on, depth 0 ends the encoder. What an arch does not use (the choices of a
stage after its end, the pooling of a boundary of stride 1) is inactive: it takes its domain's first choice and does not count.
"""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from fvsearch.arch import Activation, Arch, Pooling, Stage
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, suggest

Param = int | str | bool
Params = dict[str, Param]


class Range(Record, frozen=True, kw_only=True):
    """The integers from `low` to `high`, both included, `step` apart."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        require_at_least(1, self, "step")
        if self.high < self.low:
            raise ConfigError(f"`high` must be at least `low`, but got low={self.low}, high={self.high}")


Integers = int | tuple[int, ...] | Range
"""A domain of integers in TOML: `4` is fixed, `[2, 4, 6]` lists choices, `{low = 2, high = 12, step = 2}` spans them."""


class StageSpace(Record, frozen=True, kw_only=True):
    """The domains of one stage; depth 0 ends the encoder before it."""

    depth: Integers
    width: Integers
    mlp_dim: Integers
    pool_stride: Integers = 1
    pooling: Pooling | tuple[Pooling, ...] = "mean"

    def choices(self) -> dict[str, tuple[Param, ...]]:
        """The values each of the stage's params may take, in the order of the fields."""
        return {name: _choices(getattr(self, name)) for name in self.__struct_fields__}


class Space(Record, frozen=True, kw_only=True):
    """A set of Archs.

    Attributes:
        name: Of the space.
        description: One line for `fvsearch list`.
        stages: The domains of each stage, first to last.
        patch_size: Pixels per patch edge.
        head_dim: Channels of an attention head; every width divides by it.
        pool_query_only: As in Arch.
        activation: As in Arch.
        norm_epsilon: As in Arch.
    """

    name: str
    description: str = ""
    stages: tuple[StageSpace, ...]
    patch_size: Integers = 16
    head_dim: int = 64
    pool_query_only: bool | tuple[bool, ...] = True
    activation: Activation = "gelu"
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        require_at_least(1, self, "head_dim")
        if not self.stages:
            raise ConfigError("`stages` must hold at least one stage, but it is empty")
        for path, choices in self._all_choices().items():
            if not choices:
                raise ConfigError(f"a domain must hold at least one value, but it is empty at {path}")
            if len(set(choices)) < len(choices):
                raise ConfigError(f"a domain's values must differ, but got {list(choices)} at {path}")
            self._check_values(path, choices)

    def _check_values(self, path: str, choices: tuple[Param, ...]) -> None:
        first, name = path.startswith("stages.0."), path.rpartition(".")[2]
        for value in choices:
            if name in ("pooling", "pool_query_only"):
                continue
            lowest = 0 if name == "depth" and not first else 1
            if int(value) < lowest:
                raise ConfigError(f"`{name}` must be at least {lowest}, but got {value} at {path}")
            if name == "width" and int(value) % self.head_dim:
                raise ConfigError(f"`width` must divide by `head_dim`, but got width={value}, head_dim={self.head_dim} at {path}")
            if name == "pool_stride" and first and value != 1:
                raise ConfigError(
                    f"the first stage must have `pool_stride` 1, but got {value} at {path}: there is nothing before it to pool"
                )

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Every patch size of the space."""
        return tuple(int(value) for value in _choices(self.patch_size))

    def _all_choices(self) -> dict[str, tuple[Param, ...]]:
        found: dict[str, tuple[Param, ...]] = {"patch_size": _choices(self.patch_size), "pool_query_only": _choices(self.pool_query_only)}
        for index, stage in enumerate(self.stages):
            found |= {f"stages.{index}.{name}": choices for name, choices in stage.choices().items()}
        return found

    def domains(self) -> dict[str, tuple[Param, ...]]:
        """The params that are searched, by dotted path: those with more than one choice."""
        return {path: choices for path, choices in self._all_choices().items() if len(choices) > 1}

    def arch(self, params: Mapping[str, Param]) -> Arch:
        """The arch that the params name; params that are absent take their domain's first choice.

        Raises:
            ConfigError: An unknown param, or a value outside its domain.
        """
        choices = self._all_choices()
        values = {path: options[0] for path, options in choices.items()}
        for path, value in params.items():
            if path not in choices:
                raise ConfigError(f"unknown param {path!r}{suggest(path, choices)}")
            if value not in choices[path]:
                raise ConfigError(f"a param must be one of {list(choices[path])}, but got {value!r} at {path}")
            values[path] = value
        stages = []
        for index in range(len(self.stages)):
            stage = {name: values[f"stages.{index}.{name}"] for name in StageSpace.__struct_fields__}
            if stage["depth"] == 0:
                break
            stages.append(Stage(num_heads=int(stage["width"]) // self.head_dim, **stage))  # type: ignore[arg-type]
        return self._whole(int(values["patch_size"]), bool(values["pool_query_only"]), tuple(stages))

    def _whole(self, patch_size: int, pool_query_only: bool, stages: tuple[Stage, ...]) -> Arch:
        return Arch(
            patch_size=patch_size,
            stages=stages,
            pool_query_only=pool_query_only,
            activation=self.activation,
            norm_epsilon=self.norm_epsilon,
        ).canonical()

    def params(self, arch: Arch) -> Params:
        """The searched params of a member; inactive ones take their domain's first choice.

        Raises:
            ConfigError: The arch is not in the space; the message says where it leaves it.
        """
        arch = arch.canonical()
        if len(arch.stages) > len(self.stages):
            raise ConfigError(f"the space {self.name!r} has {len(self.stages)} stages, but the arch has {len(arch.stages)}")
        choices = self._all_choices()
        used: Params = {"patch_size": arch.patch_size}
        if arch.pools:
            used["pool_query_only"] = arch.pool_query_only
        for index in range(len(self.stages)):
            if index >= len(arch.stages):
                used[f"stages.{index}.depth"] = 0
                break
            stage = arch.stages[index]
            if stage.head_dim != self.head_dim:
                raise ConfigError(
                    f"the space {self.name!r} fixes head_dim={self.head_dim}, but the arch has {stage.head_dim} at stages[{index}]"
                )
            names = [name for name in StageSpace.__struct_fields__ if name != "pooling" or stage.pool_stride > 1]
            used |= {f"stages.{index}.{name}": getattr(stage, name) for name in names}
        for path, value in used.items():
            if value not in choices[path]:
                raise ConfigError(f"the space {self.name!r} has {list(choices[path])} at {path}, but the arch has {value!r}")
        if (arch.activation, arch.norm_epsilon) != (self.activation, self.norm_epsilon):
            raise ConfigError(
                f"the space {self.name!r} fixes activation={self.activation!r}, norm_epsilon={self.norm_epsilon}, and the arch has others"
            )
        return {path: used.get(path, options[0]) for path, options in self.domains().items()}

    def contains(self, arch: Arch) -> bool:
        """Whether the arch is a member."""
        try:
            self.params(arch)
        except ConfigError:
            return False
        return True

    def size(self) -> int:
        """How many distinct archs the space has; exact, by formula."""
        unpooled = self._count_stages(0, pooled=False)
        pooled = self._count_stages(0, pooled=True) - unpooled
        return len(_choices(self.patch_size)) * (unpooled + pooled * len(_choices(self.pool_query_only)))

    def _count_stages(self, index: int, pooled: bool) -> int:
        """Distinct stage sequences from `index` on; without `pooled`, only those that never pool."""
        if index == len(self.stages):
            return 1
        choices = self.stages[index].choices()
        entries = (len(choices["pooling"]) if stride != 1 else 1 for stride in choices["pool_stride"] if pooled or stride == 1)
        shapes = sum(entries) * len(choices["width"]) * len(choices["mlp_dim"])
        depths = sum(depth != 0 for depth in choices["depth"])
        return int(0 in choices["depth"]) + depths * shapes * self._count_stages(index + 1, pooled)

    def archs(self) -> Iterator[Arch]:
        """Every member once, in a fixed order."""
        for stages in self._stage_sequences(0):
            pools = any(stage.pool_stride > 1 for stage in stages)
            queries = _choices(self.pool_query_only) if pools else (True,)
            for patch_size, pool_query_only in itertools.product(self.patch_sizes, queries):
                yield self._whole(patch_size, bool(pool_query_only), stages)

    def _stage_sequences(self, index: int) -> Iterator[tuple[Stage, ...]]:
        if index == len(self.stages):
            yield ()
            return
        choices = self.stages[index].choices()
        if 0 in choices["depth"]:
            yield ()
        for depth, width, mlp_dim, stride, pooling in itertools.product(*choices.values()):
            inactive = stride == 1 and pooling != choices["pooling"][0]
            if depth == 0 or inactive:
                continue
            stage = Stage(
                depth=int(depth),
                width=int(width),
                mlp_dim=int(mlp_dim),
                num_heads=int(width) // self.head_dim,
                pool_stride=int(stride),
                pooling="max" if pooling == "max" else "mean",
            )
            for rest in self._stage_sequences(index + 1):
                yield (stage, *rest)

    def sample(self, rng: random.Random) -> Arch:
        """A member whose params are drawn independently and uniformly."""
        return self.arch({path: rng.choice(options) for path, options in self.domains().items()})


def _choices(domain: Any) -> tuple[Param, ...]:
    if isinstance(domain, Range):
        return tuple(range(domain.low, domain.high + 1, domain.step))
    return domain if isinstance(domain, tuple) else (domain,)
