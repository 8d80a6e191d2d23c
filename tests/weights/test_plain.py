"""The common ground: shapes and paths against the models that are built, and what is inferred from them."""

import pytest

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.weights.foreign import Foreign, Told, read_told, settle_arch, settle_grid, told_text
from fvsearch.weights.plain import Sizes, by_head, in_one_stage, weight_shapes

SIZES = Sizes(width=12, depth=2, mlp_dim=20, patch_size=2, channels=3, patches=6, num_classes=5)
pytestmark = pytest.mark.once

VIT_H = Sizes(width=1280, depth=32, mlp_dim=5120, patch_size=14, channels=3, patches=256, num_classes=0)


def test_shapes_and_paths_are_those_of_the_model():
    arch = Arch(patch_size=2, stages=(Stage(depth=2, width=12, mlp_dim=20, num_heads=3),))
    model = build_model(arch, image_shape=(4, 6, 3), num_classes=5)
    assert weight_shapes(SIZES) == {weight.path: tuple(weight.shape) for weight in model.weights}
    assert weight_shapes(SIZES._replace(num_classes=0)).keys() == weight_shapes(SIZES).keys() - {"head/kernel", "head/bias"}


def test_heads_are_split_behind_in_queries_and_in_front_in_the_projection():
    shapes = {path: by_head(path, shape, 3) for path, shape in weight_shapes(SIZES).items()}
    assert {path: shape for path, shape in shapes.items() if shape != weight_shapes(SIZES)[path]} == {
        f"stage0_block{block}_attention/{name}": shape
        for block in range(2)
        for name, shape in {
            **{f"{part}/kernel": (12, 3, 4) for part in ("query", "key", "value")},
            **{f"{part}/bias": (3, 4) for part in ("query", "key", "value")},
            "projection/kernel": (3, 4, 12),
        }.items()
    }


def test_blocks_of_all_stages_are_numbered_on():
    stage = Stage(depth=2, width=8, mlp_dim=8, num_heads=1)
    arch = Arch(patch_size=2, stages=(stage, stage))
    renamed = in_one_stage(arch, {f"stage{s}_block{b}_mlp/x": (s, b) for s in range(2) for b in range(2)} | {"norm/gamma": ()})
    assert renamed == {f"stage0_block{2 * s + b}_mlp/x": (s, b) for s in range(2) for b in range(2)} | {"norm/gamma": ()}


@pytest.mark.parametrize(
    ("rows", "image_size", "found"),
    [
        (17, None, ((32, 32), True)),
        (16, None, ((32, 32), False)),
        (1, None, ((8, 8), False)),
        (2, None, ((8, 8), True)),
        (17, (16, 64), ((16, 64), True)),
        (7, (16, 24), ((16, 24), True)),
        (16, (64, 16), ((64, 16), False)),
    ],
)
def test_a_grid_is_the_images_or_a_square(rows, image_size, found):
    assert settle_grid(rows, 8, image_size, "x") == found


@pytest.mark.parametrize(
    ("rows", "image_size", "sentence"),
    [
        (7, None, "no square must come with --image-size HxW, but x has 7 of them"),
        (7, (16, 32), "an image of 16x32 has 8 patches of 8 pixels, but x has 7 positions"),
        (7, (15, 32), "`image_size` must divide by `patch_size`, but got 15x32"),
        (7, (0, 32), "`image_size` must divide by `patch_size`"),
    ],
)
def test_positions_that_no_grid_has_are_refused(rows, image_size, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settle_grid(rows, 8, image_size, "x")


def foreign(sizes, **told):
    return Foreign("timm", sizes, (1, 1), {}, Told(**told), Told(activation="gelu", norm_epsilon=1e-6))


def test_vit_h_has_its_sixteen_heads():
    arch, assumed = settle_arch(foreign(VIT_H), Told())
    assert arch.stages[0].num_heads == 16
    assert assumed[0] == "num_heads 16, ViT-H's (--num-heads)"
    arch, assumed = settle_arch(foreign(VIT_H._replace(depth=31)), Told())
    assert arch.stages[0].num_heads == 20
    assert assumed[0] == "num_heads 20, width / 64 (--num-heads)"


def test_heads_must_be_said_where_no_rule_tells_them():
    with pytest.raises(ConfigError, match="`num_heads` must be said where 64 does not divide the width 12: give --num-heads"):
        settle_arch(foreign(SIZES), Told())
    with pytest.raises(ConfigError, match="`width` must divide by `num_heads`, but got width=12, num_heads=5"):
        settle_arch(foreign(SIZES), Told(num_heads=5))
    assert settle_arch(foreign(SIZES, num_heads=3), Told())[0].stages[0].num_heads == 3


def test_what_is_told_is_written_and_read():
    told = Told(num_heads=3, image_size=(8, 12), activation="relu", norm_epsilon=1e-5)
    assert read_told(told_text(told), "x") == told
    for text in ("", "{", '{"num_heads": 0}', '{"num_heads": "3"}', '{"heads": 3}', '{"activation": "swish"}'):
        with pytest.raises(ConfigError, match="the metadata `fvsearch` of x does not read"):
            read_told(text, "x")
