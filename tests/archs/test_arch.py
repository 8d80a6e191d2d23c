import msgspec
import pytest

from fvsearch.archs.arch import NAMED_ARCHS, Arch, Stage, named_arch
from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins, to_builtins


def stage(**changes: object) -> Stage:
    return Stage(**{"depth": 2, "width": 32, "mlp_dim": 64, "num_heads": 2} | changes)


@pytest.mark.parametrize("name", ["depth", "width", "mlp_dim", "num_heads", "pool_stride"])
def test_a_stage_refuses_what_is_below_one(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`{name}` must be at least 1, but got 0"):
        stage(**{name: 0})


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="`width` must divide by `num_heads`, but got width=32, num_heads=5"):
        stage(num_heads=5)
    assert stage(num_heads=4).head_dim == 8


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"stages": ()}, "at least one stage"),
        ({"stages": (stage(pool_stride=2),)}, "the first stage must have `pool_stride` 1"),
        ({"patch_size": 0}, "`patch_size` must be at least 1"),
        ({"norm_epsilon": 0.0}, "`norm_epsilon` must lie between 0 and 1"),
    ],
)
def test_an_arch_states_its_laws(changes: dict[str, object], law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        Arch(**{"patch_size": 2, "stages": (stage(),)} | changes)


def test_archs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        stage().depth = 3


def test_the_hash_ignores_what_is_inactive_and_nothing_else() -> None:
    arch = Arch(patch_size=2, stages=(stage(), stage(pool_stride=1)))
    same = [
        Arch(patch_size=2, stages=(stage(pooling="max"), stage(pooling="max"))),
        Arch(patch_size=2, stages=(stage(), stage()), pool_query_only=False),
    ]
    assert {a.arch_hash for a in same} == {arch.arch_hash}
    pooled = Arch(patch_size=2, stages=(stage(), stage(pool_stride=2)))
    others = [
        pooled,
        Arch(patch_size=2, stages=(stage(), stage(pool_stride=2, pooling="max"))),
        msgspec.structs.replace(pooled, pool_query_only=False),
        msgspec.structs.replace(pooled, patch_size=4),
        msgspec.structs.replace(pooled, activation="relu"),
        msgspec.structs.replace(pooled, norm_epsilon=1e-5),
        Arch(patch_size=2, stages=(stage(), stage(num_heads=1))),
    ]
    assert len({a.arch_hash for a in [arch, *others]}) == len(others) + 1


def test_the_hash_is_the_same_in_every_version() -> None:
    # Ledgers keep it: a change here loses every study its memory.
    assert named_arch("vit-b16").arch_hash == "e793c4470e65"


def test_the_family_has_the_papers_sizes() -> None:
    base = named_arch("vit-b16").stages[0]
    assert (base.depth, base.width, base.mlp_dim, base.num_heads) == (12, 768, 3072, 12)
    assert named_arch("vit-h14").patch_size == 14
    assert named_arch("vit-l32").depth == 24
    assert named_arch("pixel-tiny").stages[0].num_heads == 12
    assert len(NAMED_ARCHS) == 5 * 4 + 1


def test_an_unknown_name_is_told_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"no arch is named 'vit-b17' \(did you mean 'vit-b1[46]?'\?\)"):
        named_arch("vit-b17")


def test_archs_survive_plain_values() -> None:
    for arch in NAMED_ARCHS.values():
        assert from_builtins(to_builtins(arch), Arch) == arch
