"""The laws of Augmentation, and its way through studies, settings and older files."""

from typing import Any

import msgspec
import pytest
from trainings import ARCH, DATA, RECIPE, RUN, segment_in

from fvsearch.errors import ConfigError
from fvsearch.library import load_study
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.recipe import Recipe
from fvsearch.training.run import Run

MOCO = Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True)


@pytest.mark.parametrize(
    ("field", "value", "law"),
    [
        ("crop", (0.0, 1.0), r"two shares of the area, above 0, ascending and at most 1, but got \[0.0, 1.0\]"),
        ("crop", (0.5, 0.2), "ascending"),
        ("crop", (0.5, 1.1), "at most 1"),
        ("grayscale", 1.5, "`grayscale` must lie between 0 and 1, but got 1.5"),
        ("color_jitter", 0.6, "`color_jitter` must lie between 0 and 0.5, but got 0.6"),
        ("color_jitter", -0.1, "`color_jitter` must lie between 0 and 0.5, but got -0.1"),
        ("mixup", float("inf"), "`mixup` must be at least 0 and finite, but got inf"),
        ("cutmix", float("nan"), "`cutmix` must be at least 0 and finite, but got nan"),
    ],
)
def test_a_law_is_told_with_the_value_that_breaks_it(field: str, value: Any, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        Augmentation(**{field: value})


def test_nothing_is_done_unless_it_is_said() -> None:
    assert Recipe(epochs=1).augmentation == Augmentation()
    assert not Augmentation().alters and not Augmentation().mixes_labels
    assert MOCO.alters and not MOCO.mixes_labels
    assert Augmentation(cutmix=1.0).mixes_labels and Augmentation(mixup=0.2).mixes_labels


def test_a_recipe_says_it_in_plain_values_and_an_older_one_says_nothing_of_it() -> None:
    recipe = Recipe(epochs=1, augmentation=MOCO)
    assert to_builtins(recipe)["augmentation"]["crop"] == [0.2, 1.0]
    assert from_builtins(to_builtins(recipe), Recipe) == recipe
    older = {name: value for name, value in to_builtins(Recipe(epochs=1)).items() if name != "augmentation"}
    assert from_builtins(older, Recipe) == Recipe(epochs=1)


def test_a_setting_reaches_it() -> None:
    study = load_study("quickstart", ["recipe.augmentation.flip=true", "recipe.augmentation.crop=[0.2, 1]"])
    assert study.recipe.augmentation == Augmentation(flip=True, crop=(0.2, 1.0))
    with pytest.raises(ConfigError, match=r"unknown key `flop` \(did you mean 'flip'\?\) at recipe.augmentation"):
        load_study("quickstart", ["recipe.augmentation.flop=true"])


def test_colours_of_grey_images_are_refused_wherever_recipe_and_data_meet(tmp_path: Any) -> None:
    law = "`augmentation.grayscale` must be 0 for images without red, green and blue, but got grayscale=0.2, channels=1"
    recipe = msgspec.structs.replace(RECIPE, augmentation=MOCO)
    with pytest.raises(ConfigError, match=law):
        load_study("quickstart", ["recipe.augmentation.grayscale=0.2"])
    with pytest.raises(ConfigError, match=law):
        segment_in(tmp_path, recipe=recipe)
    with pytest.raises(ConfigError, match=law):
        Run(name="grey", arch=ARCH, data=DATA, recipe=recipe)
    colours = msgspec.structs.replace(DATA, channels=3)
    assert msgspec.structs.replace(RUN, data=colours, recipe=recipe).recipe.augmentation == MOCO
