"""How two archs are related: what one changes of the other. The report's comparisons are found by these, in any study."""

import itertools
from collections.abc import Callable, Hashable, Sequence

from fvsearch.archs.arch import Arch, Stage

Related = Callable[[Arch, Arch], bool]
Same = Callable[[Stage], object]


def uniform(arch: Arch) -> bool:
    """Whether all stages have one width, MLP size and number of heads."""
    return len({_size(stage) for stage in arch.stages}) == 1


def strides(arch: Arch) -> tuple[int, ...]:
    """The strides of the boundaries that pool."""
    return tuple(stage.pool_stride for stage in arch.stages if stage.pool_stride > 1)


def poolings(arch: Arch) -> set[str]:
    """The kinds of pooling of the boundaries that pool."""
    return {stage.pooling for stage in arch.stages if stage.pool_stride > 1}


def is_twin(arch: Arch, of: Arch) -> bool:
    """Whether `arch` is the unpooled `of`, pooled: as many blocks, of the same size, at fewer tokens."""
    if not (arch.pools and uniform(arch) and uniform(of)) or of.pools:
        return False
    return arch.depth == of.depth and _size(arch.stages[0]) == _size(of.stages[0]) and _around(arch) == _around(of)


def apart_from_pooling(arch: Arch) -> Hashable:
    """What two archs share that differ in the kind of pooling alone."""
    return _around(arch), arch.pool_query_only, tuple((_size(stage), stage.depth, stage.pool_stride) for stage in arch.stages)


def apart_from_boundaries(arch: Arch) -> Hashable:
    """What two archs share that differ in where they pool and by how much, and are of one size throughout."""
    return _around(arch), arch.depth, frozenset(poolings(arch)), frozenset(_size(stage) for stage in arch.stages)


def by_mean_and_max(arch: Arch, other: Arch) -> bool:
    """Whether `arch` pools by mean alone, `other` by max alone, and nothing else differs."""
    alike = _alike([arch, other], lambda stage: (_size(stage), stage.depth, stage.pool_stride))
    return alike and poolings(arch) == {"mean"} and poolings(other) == {"max"}


def at_once_and_twice(arch: Arch, other: Arch) -> bool:
    """Whether `arch` pools once by 4 and `other` twice by 2, with as many blocks of the same size, pooled alike."""
    sizes = {_size(stage) for stage in (*arch.stages, *other.stages)}
    alike = len(sizes) == 1 and arch.depth == other.depth and poolings(arch) == poolings(other) and _around(arch) == _around(other)
    return alike and _keys_alike(arch, other) and strides(arch) == (4,) and strides(other) == (2, 2)


def is_deeper(arch: Arch, than: Arch) -> bool:
    """Whether `arch` has the stages of `than`, some deeper, and maybe more of the last one's size, and nothing else differs."""
    shared, further = arch.stages[: len(than.stages)], arch.stages[len(than.stages) :]
    if arch.depth <= than.depth or len(shared) < len(than.stages) or _around(arch) != _around(than) or not _keys_alike(arch, than):
        return False
    grown = all(
        (_size(a), a.pool_stride, a.pooling) == (_size(b), b.pool_stride, b.pooling) and a.depth >= b.depth
        for a, b in zip(shared, than.stages, strict=True)
    )
    return grown and all(_size(stage) == _size(than.stages[-1]) for stage in further)


def is_wider(arch: Arch, than: Arch) -> bool:
    """Whether hidden widths alone differ, and none is smaller; heads go with the width."""
    alike = _alike([arch, than], lambda stage: (stage.mlp_dim, stage.depth, stage.pool_stride, stage.pooling))
    return alike and _grown([stage.width for stage in arch.stages], [stage.width for stage in than.stages])


def has_larger_mlps(arch: Arch, than: Arch) -> bool:
    """Whether MLP sizes alone differ, and none is smaller."""
    alike = _alike([arch, than], lambda stage: (stage.width, stage.num_heads, stage.depth, stage.pool_stride, stage.pooling))
    return alike and _grown([stage.mlp_dim for stage in arch.stages], [stage.mlp_dim for stage in than.stages])


def is_wide_then_thin(arch: Arch, against: Arch) -> bool:
    """Whether `arch` pools, begins larger than the uniform `against` in width or MLP size, ends smaller, and never grows in between."""
    if not arch.pools or not uniform(against) or _around(arch) != _around(against):
        return False
    usual = against.stages[0]
    sizes = [(stage.width, stage.mlp_dim) for stage in arch.stages]
    never_grows = all(a[0] >= b[0] and a[1] >= b[1] for a, b in itertools.pairwise(sizes))
    begins, ends = _grown(sizes[0], (usual.width, usual.mlp_dim)), _grown((usual.width, usual.mlp_dim), sizes[-1])
    return never_grows and begins and ends


def _size(stage: Stage) -> tuple[int, int, int]:
    return stage.width, stage.mlp_dim, stage.num_heads


def _around(arch: Arch) -> tuple[object, ...]:
    """What is not in the stages; how keys are pooled says nothing of an arch that does not pool."""
    return arch.patch_size, arch.activation, arch.norm_epsilon


def _keys_alike(arch: Arch, other: Arch) -> bool:
    """Whether keys are pooled alike where both archs pool."""
    return arch.pool_query_only == other.pool_query_only or not (arch.pools and other.pools)


def _alike(archs: Sequence[Arch], same: Same) -> bool:
    """Whether archs have the same around the stages, and stage by stage what `same` takes of them."""
    found = {(_around(arch), arch.pool_query_only, tuple(same(stage) for stage in arch.stages)) for arch in archs}
    return len(found) == 1


def _grown(sizes: Sequence[int], than: Sequence[int]) -> bool:
    """None smaller, one larger."""
    pairs = list(zip(sizes, than, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
