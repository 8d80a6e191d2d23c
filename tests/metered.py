"""Small compiled models for tests of the meters."""

import keras

from fvsearch.archs.arch import Arch, Stage
from fvsearch.models import build_model
from fvsearch.study.recipe import Recipe
from fvsearch.training.fit import compile_model

SHAPE = (8, 8, 1)
RECIPE = Recipe(epochs=2, batch_size=16)


def arch(*stages: tuple[int, int], width: int = 16) -> Arch:
    """An arch of stages (depth, pool_stride), of 17 tokens at first."""
    return Arch(patch_size=2, stages=tuple(Stage(depth=d, width=width, mlp_dim=2 * width, num_heads=2, pool_stride=s) for d, s in stages))


def compiled(of: Arch, recipe: Recipe = RECIPE) -> keras.Model:
    """The arch's model, as a trial trains it."""
    model = build_model(
        of,
        image_shape=SHAPE,
        num_classes=10,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        dtype=recipe.dtype,
        seed=0,
    )
    compile_model(model, recipe, steps_per_epoch=10)
    return model
