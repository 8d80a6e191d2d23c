"""Space: a set of Archs, spanned by domains; flat params `{"stages.0.depth": 4}` to Arch and back.

A space is flat: a fixed number of stages; from stage 1 on, depth 0 ends the encoder. What an arch does not use (the choices of a
stage after its end, the pooling of a boundary of stride 1) is inactive: it takes its domain's first choice and does not count.

Rules leave some of that product out. Flat params that break one are repaired, so whoever proposes params need not know the rules.
"""

import functools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from fvsearch.archs.arch import Activation, Arch, Pooling, Stage
from fvsearch.archs.members import Choices, Chosen, Member, Members
from fvsearch.archs.rules import Rules
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, suggest

Param = int | str | bool
Params = dict[str, Param]


MOST_CHOICES = 10_000
"""Of one param: each is counted, and told to an engine."""


class Range(Record, frozen=True, kw_only=True):
    """The integers from `low` to `high`, both included, `step` apart."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        require_at_least(1, self, "step")
        if self.high < self.low:
            raise ConfigError(f"`high` must be at least `low`, but got low={self.low}, high={self.high}")
        if (count := len(range(self.low, self.high + 1, self.step))) > MOST_CHOICES:
            raise ConfigError(
                f"a domain must have at most {MOST_CHOICES:,} choices, but {self} has {count:,}; a larger `step` leaves fewer"
            )


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


class Space(Record, frozen=True, kw_only=True, cache_hash=True):
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
        rules: What every member keeps; none leaves the whole product of the domains.
    """

    name: str
    description: str = ""
    stages: tuple[StageSpace, ...]
    patch_size: Integers = 16
    head_dim: int = 64
    pool_query_only: bool | tuple[bool, ...] = True
    activation: Activation = "gelu"
    norm_epsilon: float = 1e-6
    rules: Rules | None = None

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
        if self.rules is not None and not self.size():
            raise ConfigError(_nothing_left(self, self.rules))

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
        """The arch that the params name; params that are absent take their domain's first choice, and what breaks a rule is repaired.

        Raises:
            ConfigError: An unknown param, or a value outside its domain.
        """
        wanted = self._wanted(params)
        if self.rules is not None:
            return self._build(members_of(self).nearest(wanted))
        depths = [stage.depth for stage in wanted.stages]
        end = depths.index(0) if 0 in depths else len(depths)
        return self._build(wanted._replace(stages=wanted.stages[:end]))

    def repair(self, params: Mapping[str, Param]) -> Params:
        """The same params where they name a legal arch; else those of a legal arch near it.

        Param by param, in the order patch size, then of each stage depth, width, stride and MLP size: the wanted value if some legal arch
        has it after the values settled so far, else the nearest such value (of two as near, the smaller). So a stage that is wider than
        the one before it becomes as wide as that, an MLP is clipped to its bounds, and the last stages give way first: their strides
        where tokens run out, their depths where there are too many blocks.

        Raises:
            ConfigError: An unknown param, or a value outside its domain.
        """
        wanted = self._wanted(params)
        if self.rules is None:
            return dict(params)
        found = members_of(self).nearest(wanted)
        changed: Params = {"patch_size": found.patch_size}
        for index, stage in enumerate(found.stages):
            changed |= {f"stages.{index}.{name}": value for name, value in stage._asdict().items()}
        if len(found.stages) < len(self.stages):
            changed[f"stages.{len(found.stages)}.depth"] = 0
        before = _flat(wanted)
        if all(before[path] == value for path, value in changed.items()):
            return dict(params)
        return {path: changed.get(path, before[path]) for path in self.domains()}

    def _wanted(self, params: Mapping[str, Param]) -> Member:
        """What the params say, with every stage, also those after the end."""
        choices = self._all_choices()
        values = {path: options[0] for path, options in choices.items()}
        for path, value in params.items():
            if path not in choices:
                raise ConfigError(f"unknown param {path!r}{suggest(path, choices)}")
            if value not in choices[path]:
                raise ConfigError(f"a param must be one of {list(choices[path])}, but got {value!r} at {path}")
            # The space's own: what is only equal to it, such as 2.0 or NumPy's 2, would be another arch by its hash.
            values[path] = choices[path][choices[path].index(value)]
        stages = [Chosen(*(values[f"stages.{i}.{name}"] for name in Chosen._fields)) for i in range(len(self.stages))]  # type: ignore[arg-type]
        return Member(int(values["patch_size"]), bool(values["pool_query_only"]), tuple(stages))

    def _build(self, member: Member) -> Arch:
        stages = tuple(_stage(chosen, self.head_dim) for chosen in member.stages)
        return Arch(
            patch_size=member.patch_size,
            stages=stages,
            pool_query_only=member.pool_query_only,
            activation=self.activation,
            norm_epsilon=self.norm_epsilon,
        ).canonical()

    def params(self, arch: Arch) -> Params:
        """The searched params of a member; inactive ones take their domain's first choice.

        Raises:
            ConfigError: The arch is not in the space; the message says where it leaves it, or which rule it breaks.
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
        if self.rules is not None and (broken := self.rules.broken(arch.patch_size, arch.stages)):
            raise ConfigError(f"the space {self.name!r} has the rule {broken}")
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
        return members_of(self).size()

    def archs(self) -> Iterator[Arch]:
        """Every member once, in a fixed order."""
        return map(self._build, members_of(self).members())

    def sample(self, rng: random.Random) -> Arch:
        """A member whose params are drawn uniformly from all params that name a member: without rules, each independently."""
        if self.rules is not None:
            return self._build(members_of(self).draw_params(rng))
        return self.arch({path: rng.choice(options) for path, options in self.domains().items()})

    def sample_evenly(self, rng: random.Random) -> Arch:
        """A member, each as likely as any other; `sample` favours those that many params name, such as archs of few stages."""
        return self._build(members_of(self).draw_arch(rng))


@functools.lru_cache(maxsize=16)
def members_of(space: Space) -> Members:
    """What a space's domains and rules span, counted once."""
    return _span(space, space.rules or Rules())


def _span(space: Space, rules: Rules) -> Members:
    stages = [Choices(*stage.choices().values()) for stage in space.stages]  # type: ignore[arg-type]
    return Members(space.patch_sizes, [bool(value) for value in _choices(space.pool_query_only)], stages, rules)


def _nothing_left(space: Space, rules: Rules) -> str:
    """Which rule leaves a space without members."""
    laws = {name: f"`{law}`" for name, law in rules.laws().items()}
    for name, law in laws.items():
        if left := _span(space, rules.without(name)).size():
            return (
                f"the rule {law} leaves nothing of the space {space.name!r}, and without it there are {left:,} archs; "
                "loosen it, or widen the domains"
            )
    return f"the rules {', '.join(laws.values())} leave nothing of the space {space.name!r}; loosen them, or widen the domains"


@functools.lru_cache(maxsize=4096)
def _stage(chosen: Chosen, head_dim: int) -> Stage:
    return Stage(
        depth=chosen.depth,
        width=chosen.width,
        mlp_dim=chosen.mlp_dim,
        num_heads=chosen.width // head_dim,
        pool_stride=chosen.pool_stride,
        pooling="max" if chosen.pooling == "max" else "mean",
    )


def _flat(member: Member) -> Params:
    flat: Params = {"patch_size": member.patch_size, "pool_query_only": member.pool_query_only}
    for index, stage in enumerate(member.stages):
        flat |= {f"stages.{index}.{name}": value for name, value in stage._asdict().items()}
    return flat


def _choices(domain: Any) -> tuple[Param, ...]:
    if isinstance(domain, Range):
        return tuple(range(domain.low, domain.high + 1, domain.step))
    return domain if isinstance(domain, tuple) else (domain,)
