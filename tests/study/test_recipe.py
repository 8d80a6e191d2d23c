"""A recipe's laws, and what it makes of the two ways to say its warm-up."""

from typing import Any

import msgspec
import pytest

from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study.recipe import Recipe


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"warmup_epochs": 2.0, "warmup_steps": 100},
            "`warmup_epochs` and `warmup_steps` say the same thing, so one must be left out, but got warmup_epochs=2, warmup_steps=100",
        ),
        ({"epochs": 0}, "`epochs` must be at least 1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"clip_norm": -1.0}, "`clip_norm` must be above 0"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"warmup_epochs": 99.0}, "`warmup_epochs` must not exceed `epochs`"),
        ({"dtype": "float16"}, "the value must be one of float32, mixed_bfloat16, but got 'float16'"),
        ({"batch_size": 64, "accumulate": 3}, "`batch_size` must divide by `accumulate`, but got batch_size=64, accumulate=3"),
        ({"accumulate": 0}, "`accumulate` must be at least 1, but got 0"),
        ({"warmup_steps": -1}, "`warmup_steps` must be at least 0, but got -1"),
        ({"ema": 1.0}, "`ema` must be at least 0 and below 1, but got 1.0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be at least 0 and below 1, but got 1.0"),
        ({"beta_1": -0.1}, "`beta_1` must be at least 0 and below 1, but got -0.1"),
        ({"schedule": "cosin"}, "the value must be one of cosine, constant, but got 'cosin' (did you mean 'cosine'?) at schedule"),
    ],
)
def test_a_recipe_states_its_laws(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_builtins({"epochs": 10} | changes, Recipe)
    assert str(caught.value).startswith(sentence)


def test_a_warm_up_is_an_epoch_unless_it_is_said_in_epochs_or_steps() -> None:
    said = {40: {}, 20: {"warmup_epochs": 0.5}, 7: {"warmup_steps": 7}, 0: {"warmup_steps": 0}}
    assert [Recipe(epochs=9, **warmup).warmup(40) for warmup in said.values()] == list(said)
    assert Recipe(epochs=9) == Recipe(epochs=9, warmup_epochs=1.0)


def test_a_device_s_step_takes_a_part_of_the_batch() -> None:
    assert Recipe(epochs=1, batch_size=4096, accumulate=32).step_batch_size == 128
    assert Recipe(epochs=1, batch_size=64).step_batch_size == 64


OF_BEFORE = {
    "epochs": 15,
    "batch_size": 64,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "weight_decay": 1.0,
    "beta_2": 0.95,
    "momentum": 0.9,
    "warmup_epochs": 2.0,
    "dropout": 0.1,
    "stochastic_depth": 0.0,
    "dtype": "float32",
}
"""As ledgers hold it that were written before there was more to say."""


def test_a_recipe_of_before_reads_as_the_same_training() -> None:
    recipe = from_builtins(OF_BEFORE, Recipe)
    assert to_builtins(recipe).items() >= OF_BEFORE.items()
    assert (recipe.accumulate, recipe.ema, recipe.label_smoothing, recipe.beta_1, recipe.schedule) == (1, None, 0.0, 0.9, "cosine")
    assert from_builtins(to_builtins(recipe), Recipe) == recipe


def test_a_warm_up_takes_the_other_s_place_when_that_is_taken_away() -> None:
    recipe = msgspec.structs.replace(Recipe(epochs=5), warmup_epochs=None, warmup_steps=3)
    assert from_builtins(to_builtins(recipe), Recipe) == recipe
