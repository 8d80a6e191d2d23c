"""Many archs as one integer matrix: every arch of a space, or a draw of them, without an object for each."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fvsearch.archs.arch import Arch, Stage
from fvsearch.archs.members import Members, State
from fvsearch.archs.space import Space, members_of
from fvsearch.costs.predictor import Predictor

Codes: TypeAlias = NDArray[np.int32]
Numbers: TypeAlias = NDArray[np.float64]

ARCH_FIELDS = ("patch_size", "pool_query_only")
STAGE_FIELDS = ("depth", "width", "mlp_dim", "num_heads", "pool_stride", "max_pooling")
_FIRST, _WIDE = len(ARCH_FIELDS), len(STAGE_FIELDS)


class Archs:
    """Distinct archs of at most so many stages; what a stage after an arch's end has is 0.

    Args:
        codes: (archs, 2 + 6 stages): patch size and pool_query_only, then of each stage the `STAGE_FIELDS`.
        activation: Of all of them.
        norm_epsilon: Of all of them.
    """

    def __init__(self, codes: Codes, activation: Any = "gelu", norm_epsilon: float = 1e-6) -> None:
        self.codes, self.activation, self.norm_epsilon = codes, activation, norm_epsilon

    @classmethod
    def of(cls, archs: Sequence[Arch], stages: int = 0) -> "Archs":
        """These archs, all with the first one's activation and epsilon, with room for so many stages at least."""
        most = max([stages, *(len(arch.stages) for arch in archs)])
        codes = np.zeros((len(archs), _FIRST + _WIDE * most), np.int32)
        for row, arch in zip(codes, map(Arch.canonical, archs), strict=True):
            row[:_FIRST] = arch.patch_size, arch.pool_query_only
            for index, stage in enumerate(arch.stages):
                row[_FIRST + _WIDE * index :][:_WIDE] = _stage_code(stage)
        return cls(codes, archs[0].activation, archs[0].norm_epsilon) if archs else cls(codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, name: str) -> NDArray[np.int32]:
        """A field: (archs,) of an arch's own, (archs, stages) of its stages'."""
        if name in ARCH_FIELDS:
            return self.codes[:, ARCH_FIELDS.index(name)]
        return self.codes[:, _FIRST + STAGE_FIELDS.index(name) :: _WIDE]

    def take(self, rows: Any) -> "Archs":
        """Those of these rows, or of a mask."""
        return Archs(self.codes[rows], self.activation, self.norm_epsilon)

    def arch(self, row: int) -> Arch:
        """The record of one."""
        patch_size, query = (int(value) for value in self.codes[row, :_FIRST])
        stages = []
        for depth, width, mlp_dim, num_heads, stride, most in self.codes[row, _FIRST:].reshape(-1, _WIDE).tolist():
            if depth:
                pooling: Any = "max" if most else "mean"
                stages.append(Stage(depth=depth, width=width, mlp_dim=mlp_dim, num_heads=num_heads, pool_stride=stride, pooling=pooling))
        return Arch(
            patch_size=patch_size,
            stages=tuple(stages),
            pool_query_only=bool(query),
            activation=self.activation,
            norm_epsilon=self.norm_epsilon,
        )

    def keys(self) -> NDArray[np.uint64]:
        """A number of each, by which two of the same width of codes are told apart but for one chance in 10^19."""
        multipliers = np.random.default_rng(0).integers(1, 2**63, self.codes.shape[1], np.uint64) | np.uint64(1)
        keys = np.zeros(len(self), np.uint64)
        for column, multiplier in zip(self.codes.T, multipliers, strict=True):
            keys += column.astype(np.uint64) * multiplier
        return keys

    def tokens(self, image_shape: tuple[int, int, int]) -> NDArray[np.int32]:
        """(archs, stages) token counts, class token counted in; after an arch's end, those of its last stage."""
        height, width, _ = image_shape
        patches = (height // self["patch_size"]) * (width // self["patch_size"])
        found = []
        for stride in np.maximum(self["pool_stride"], 1).T:
            patches = -(-patches // stride)
            found.append(patches + 1)
        return np.stack(found, axis=1)


def all_archs(space: Space) -> Archs:
    """Every member of a space once."""
    members = members_of(space)
    reached: dict[State, list[Codes]] = defaultdict(list)
    for patch_size, start in members.starts.items():
        reached[start].append(_start_codes(space, patch_size, 1))
    ended: list[Codes] = []
    for index in range(len(space.stages) + 1):
        after: dict[State, list[Codes]] = defaultdict(list)
        for state, blocks in reached.items():
            codes = np.concatenate(blocks)
            if members.may_end(state):
                ended.append(codes)
            for step, following in members.steps(state).items():
                options = np.array(_options(space, members, index, step), np.int32)
                block = np.repeat(codes, len(options), axis=0)
                block[:, _FIRST + _WIDE * index :][:, :_WIDE] = np.tile(options, (len(codes), 1))
                after[following].append(block)
        reached = after
    return _with_queries(space, np.concatenate(ended))


def drawn_archs(space: Space, count: int, rng: np.random.Generator) -> Archs:
    """So many draws of a space's members, each as likely as any other; what was drawn twice is there once."""
    members = members_of(space)
    weights = {patch_size: sum(weight for _, weight in members.branches(start)) for patch_size, start in members.starts.items()}
    reached: dict[State, list[Codes]] = defaultdict(list)
    for (patch_size, start), some in zip(members.starts.items(), rng.multinomial(count, _shares(weights.values())), strict=True):
        reached[start].append(_start_codes(space, patch_size, int(some)))
    ended: list[Codes] = []
    for index in range(len(space.stages) + 1):
        after: dict[State, list[Codes]] = defaultdict(list)
        for state, blocks in reached.items():
            codes, branches = np.concatenate(blocks), members.branches(state)
            chosen = rng.choice(len(branches), len(codes), p=_shares(weight for _, weight in branches))
            for number, (step, _) in enumerate(branches):
                block = codes[chosen == number]
                if step is None:
                    ended.append(block)
                elif len(block):
                    options = np.array(_options(space, members, index, step), np.int32)
                    block[:, _FIRST + _WIDE * index :][:, :_WIDE] = options[rng.integers(len(options), size=len(block))]
                    after[members.steps(state)[step]].append(block)
        reached = after
    found = _with_queries(space, np.concatenate(ended), rng)
    return found.take(np.sort(np.unique(found.keys(), return_index=True)[1]))


def _shares(weights: Iterable[int]) -> Numbers:
    whole = list(weights)
    # Counts of archs may be larger than a float is exact for.
    return np.array([weight / sum(whole) for weight in whole])


def _start_codes(space: Space, patch_size: int, count: int) -> Codes:
    codes = np.zeros((count, _FIRST + _WIDE * len(space.stages)), np.int32)
    codes[:, 0], codes[:, 1] = patch_size, 1
    return codes


def _options(space: Space, members: Members, index: int, step: tuple[int, int, int]) -> list[tuple[int, ...]]:
    """The codes of a stage that a step leads to: each MLP size with each pooling, which without a stride is none."""
    depth, width, stride = step
    poolings = space.stages[index].choices()["pooling"] if stride > 1 else ("mean",)
    return [
        (depth, width, mlp_dim, width // space.head_dim, stride, int(pooling == "max"))
        for mlp_dim, pooling in itertools.product(members.mlp_dims(index, width), poolings)
    ]


def _with_queries(space: Space, codes: Codes, rng: np.random.Generator | None = None) -> Archs:
    """With each choice of pooled queries, or a drawn one, where an arch pools."""
    choices = space.pool_query_only if isinstance(space.pool_query_only, tuple) else (space.pool_query_only,)
    archs = Archs(codes, space.activation, space.norm_epsilon)
    pools = (archs["pool_stride"] > 1).any(axis=1)
    if rng is not None:
        codes[pools, 1] = rng.choice(choices, int(pools.sum()))
        return archs
    blocks = [codes[~pools]]
    for choice in choices:
        block = codes[pools]
        block[:, 1] = choice
        blocks.append(block)
    return Archs(np.concatenate(blocks), space.activation, space.norm_epsilon)


def _stage_code(stage: Stage) -> tuple[int, ...]:
    return stage.depth, stage.width, stage.mlp_dim, stage.num_heads, stage.pool_stride, int(stage.pooling == "max")


class _Stages(NamedTuple):
    """The same stage of many archs, as the formula reads it."""

    depth: Any
    width: int
    mlp_dim: Any
    num_heads: int
    pool_stride: int


class _Alike(NamedTuple):
    """Archs that differ in depths and MLP sizes alone."""

    patch_size: int
    pool_query_only: bool
    stages: tuple[_Stages, ...]

    @property
    def depth(self) -> Any:
        return sum(stage.depth for stage in self.stages)


def costs_of(archs: Archs, predictor: Predictor) -> dict[str, Numbers]:
    """What the predictor says of each: by name, (archs,).

    Archs are taken together that have everything but depths and MLP sizes in common, so that the formula's every question has one answer
    for all of them.
    """
    shape = np.stack([archs[name] for name in ("width", "num_heads", "pool_stride")], axis=2).reshape(len(archs), -1)
    common = Archs(np.concatenate([archs.codes[:, :_FIRST], shape], axis=1).astype(np.int32))
    _, group = np.unique(common.keys(), return_inverse=True)
    order = np.argsort(group, kind="stable")
    found: dict[str, Numbers] = {}
    for rows in np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(archs) else ():
        for name, values in predictor.costs(cast(Arch, _alike(archs.take(rows)))).items():
            found.setdefault(name, np.empty(len(archs)))[rows] = values
    return found


def _alike(archs: Archs) -> _Alike:
    codes = archs.codes.astype(np.int64)
    stages = []
    for start in range(_FIRST, codes.shape[1], _WIDE):
        width, num_heads, stride = (int(codes[0, start + STAGE_FIELDS.index(name)]) for name in ("width", "num_heads", "pool_stride"))
        if width:
            stages.append(_Stages(codes[:, start], width, codes[:, start + STAGE_FIELDS.index("mlp_dim")], num_heads, stride))
    return _Alike(int(codes[0, 0]), bool(codes[0, 1]), tuple(stages))
