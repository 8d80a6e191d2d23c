"""The recipes that ship, scaled down and read back from real trainings, step by step: learning rate and decay, by what they do.

Images that weigh nothing have no gradient, so that decay alone moves the weights: each kernel by the share rate x decay of itself.
"""

from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest
from stepwise import Recorder, rates
from trainings import segment_in

from fvsearch.data import load_search_splits
from fvsearch.library import load_recipe, shipped
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.recipe import Recipe
from fvsearch.training.fit import compile_model, steps_per_epoch
from fvsearch.training.work import bare_model

EPOCHS, BATCH = 3, 12

# The sources' own on every backend; those of our studies, which hold nothing that these have not, on one.
NAMES = shipped("recipes") if keras.backend.backend() == "jax" else ("vit-pretrain", "vit-finetune", "pixel-cifar")


def scaled(recipe: Recipe) -> Recipe:
    """Nine optimizer steps of twelve images, in two parts where there are parts, decaying by a tenth of the weights at the full rate."""
    return msgspec.structs.replace(
        recipe,
        epochs=EPOCHS,
        batch_size=BATCH,
        accumulate=min(2, recipe.accumulate),
        warmup_steps=None if recipe.warmup_steps is None else min(2, recipe.warmup_steps),
        warmup_epochs=None if recipe.warmup_epochs is None else min(1.5, recipe.warmup_epochs),
        weight_decay=0.1 / recipe.learning_rate,
        augmentation=Augmentation(),  # the pictures here are grey
    )


@pytest.mark.parametrize("name", NAMES)
def test_rate_and_decay_are_the_recipe_s_at_every_step(name: str, tmp_path: Path) -> None:
    recipe = scaled(load_recipe(name))
    segment = segment_in(tmp_path, recipe=recipe, to_epoch=EPOCHS)
    images, labels = load_search_splits(segment.data).train
    model, recorder = bare_model(segment), Recorder()
    compile_model(model, recipe, steps_per_epoch(recipe, len(labels)))
    model.fit(
        images,
        labels,
        sample_weight=np.zeros(len(labels), "float32"),
        batch_size=recipe.step_batch_size,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=[recorder],
        verbose=0,
    )
    expected = rates(recipe, EPOCHS * len(labels) // BATCH)
    assert recorder.rates[:-1] == pytest.approx(np.repeat(expected, recipe.accumulate), rel=1e-5, abs=1e-9)
    assert len(recorder.weights) == len(expected) * recipe.accumulate + 1
    whole = recorder.weights[:: recipe.accumulate]
    for rate, before, after in zip(expected, whole, whole[1:], strict=False):
        for variable, one, other in zip(model.trainable_variables, before, after, strict=True):
            share = rate * recipe.weight_decay if variable.name == "kernel" else 0.0
            np.testing.assert_allclose(other, one * (1 - share), rtol=1e-5, atol=1e-7, err_msg=variable.path)
    for part in range(1, recipe.accumulate):
        for before, after in zip(whole, recorder.weights[part :: recipe.accumulate], strict=False):
            assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert {variable.name for variable in model.trainable_variables} > {"kernel", "bias"}
    assert keras.backend.standardize_dtype(model.get_layer("patches").compute_dtype) == recipe.dtype.removeprefix("mixed_")
