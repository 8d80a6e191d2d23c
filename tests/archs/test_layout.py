import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import TABLE_2, TABLE_4

from fvsearch.archs.arch import NAMED_ARCHS, Arch, Stage
from fvsearch.archs.layout import format_layout, is_layout, parse_layout, pooled_length, stage_tokens
from fvsearch.errors import LayoutError
from fvsearch.library import load_study


@pytest.mark.parametrize("text", sorted({*TABLE_2, *TABLE_4}))
def test_the_papers_layouts_are_canonical(text: str) -> None:
    assert format_layout(parse_layout(text)) == text


def test_counts_imply_strides() -> None:
    arch = parse_layout("B4(197)-4(99)-2(26)-1(26, m64)")
    assert [stage.pool_stride for stage in arch.stages] == [1, 2, 4, 1]


def test_heads_follow_the_width() -> None:
    assert parse_layout("B6(197, h1024)").stages[0].num_heads == 16
    assert parse_layout("B6(197, h48, a3)").stages[0].num_heads == 3


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("B6-6", "B6(197)-6(99)"),
        ("6(197) - 6", "B6(197)-6(99)"),
        ("B6()-6(m1536, 99)", "B6(197)-6(99, m1536)"),
        ("B6-6(mean)", "B6(197)-6(99)"),
        ("B6-6(max)", "B6(197)-6(99, max)"),
        ("B6-6(naive, max)", "B6(197)-6(99, max, naive)"),
        ("B6-6(s4)", "B6(197)-6(50)"),
        ("B6-6(s3)", "B6(197)-6(67, s3)"),
        ("B6(h768,m3072,a12)", "B6(197)"),
        ("B6(197)-6(197, max)", "B6(197)-6(197)"),
    ],
)
def test_every_way_to_write_has_one_canonical_form(text: str, canonical: str) -> None:
    assert format_layout(parse_layout(text)) == canonical
    assert format_layout(parse_layout(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("B6(196)", "the first stage must hold 197 tokens (196 patches and the class token), but got 196 at stage 0"),
        ("B6(197)-6(120)", "after 197 tokens a stage must hold 197 (stride 1), 99 (stride 2), 50 (stride 4), or say its stride"),
        ("B6(197)-6(99, s4)", "stride 4 leaves 50 of 197 tokens, but got 99 at stage 1"),
        ("B6(197, h100)", "a width that 64 does not divide must say its heads"),
        ("B6(197, h100, a3)", "`width` must divide by `num_heads`, but got width=100, num_heads=3 at stage 0"),
        ("B0(197)", "`depth` must be at least 1, but got 0 at stage 0"),
        ("B6(197, mxa)", "but got 'mxa' (did you mean 'max'?) at stage 0"),
        ("B6(m1, m2)", "`mlp_dim` must be said once"),
        ("B6(naive)", "`naive` must stand at a stage that pools"),
        ("B6-6(naive)-6", "`naive` must stand at every stage that pools, or at none"),
        ("B6-6(s0)", "a stride must be at least 1"),
        ("B6(s2)", "the first stage must have `pool_stride` 1"),
        ("B6(197", "a stage must read as its depth and options"),
        ("B6(197)-", "a stage must read as its depth and options"),
        ("B6(197)6(99)", "a stage must read as its depth and options"),
        ("Q6(197)", "a layout must read as the letter B and stages"),
        ("", "a layout must read as the letter B and stages"),
    ],
)
def test_an_error_says_what_and_where(text: str, sentence: str) -> None:
    with pytest.raises(LayoutError) as caught:
        parse_layout(text)
    assert sentence in str(caught.value)


def test_patches_must_tile_the_image() -> None:
    with pytest.raises(LayoutError, match="image_size=225x225, patch_size=16"):
        parse_layout("B6", image_size=225)
    with pytest.raises(LayoutError, match="image_size=224x30"):
        stage_tokens(NAMED_ARCHS["vit-b16"], (224, 30, 3))


def test_a_ragged_end_makes_a_last_smaller_window() -> None:
    assert [pooled_length(49, stride) for stride in (1, 2, 3, 4, 50)] == [49, 25, 17, 13, 1]
    assert stage_tokens(parse_layout("B1-1-1-1"), (224, 224, 3)) == (197, 99, 50, 26)


def test_images_need_not_be_square() -> None:
    arch = parse_layout("B1(9)-1(5)", patch_size=16, image_size=(32, 64))
    assert stage_tokens(arch, (32, 64, 3)) == (9, 5)
    assert format_layout(arch, (32, 64)) == "B1(9)-1(5)"


@pytest.mark.parametrize(
    ("text", "expected"), [("B6(197)", True), ("6", True), ("b6", False), ("vit-b16", False), ("B.toml", False), ("12-6", True)]
)
def test_a_layout_is_told_from_a_name(text: str, expected: bool) -> None:
    assert is_layout(text) is expected


stages = st.builds(
    lambda depth, heads, head_dim, mlp_dim, stride, pooling: Stage(
        depth=depth, width=heads * head_dim, mlp_dim=mlp_dim, num_heads=heads, pool_stride=stride, pooling=pooling
    ),
    st.integers(1, 30),
    st.integers(1, 16),
    st.sampled_from([8, 48, 64, 80]),
    st.sampled_from([64, 3072, 4096]),
    st.integers(1, 9),
    st.sampled_from(["mean", "max"]),
)


@given(st.lists(stages, min_size=1, max_size=4), st.booleans(), st.sampled_from([(224, 16), (8, 2), (32, 1), (30, 5)]))
def test_format_then_parse_is_the_same_arch(found: list[Stage], pool_query_only: bool, sizes: tuple[int, int]) -> None:
    image_size, patch_size = sizes
    first = Stage(depth=found[0].depth, width=found[0].width, mlp_dim=found[0].mlp_dim, num_heads=found[0].num_heads)
    arch = Arch(patch_size=patch_size, stages=(first, *found[1:]), pool_query_only=pool_query_only).canonical()
    text = format_layout(arch, image_size)
    assert parse_layout(text, patch_size=patch_size, image_size=image_size).canonical() == arch


def test_the_listed_study_holds_the_papers_compression_rows() -> None:
    layouts = [format_layout(arch) for arch in load_study("compression").engine.archs]
    assert layouts == [
        "B12(197)",
        "B6(197)-6(99, max)",
        "B6(197)-6(99)",
        "B4(197)-4(99, max)-4(50, max)",
        "B6(197)-6(50, max)",
    ]
