"""Optimizer steps of several steps of the device, and averages of weights: against NumPy twins, and against whole batches."""

from pathlib import Path
from typing import get_args

import keras
import msgspec
import numpy as np
import pytest
from stepwise import Arrays, Recorder, rates, values
from trainings import RECIPE, segment_in

from fvsearch.data import load_search_splits
from fvsearch.study.recipe import Optimizer, Recipe
from fvsearch.training.batches import epoch_order
from fvsearch.training.fit import Stopwatch, compile_model, steps_per_epoch, train_epochs
from fvsearch.training.recipe import make_optimizer
from fvsearch.training.work import bare_model

STEPS, PARTS = 4, 4
SHAPES = ((3, 2), (2,))
PLAIN = Recipe(epochs=1, batch_size=8, learning_rate=0.1, beta_1=0.8, beta_2=0.95, weight_decay=0.3, warmup_steps=2, clip_norm=1.0, ema=0.7)


def twin(recipe: Recipe, weights: Arrays, gradients: list[Arrays]) -> tuple[Arrays, Arrays]:
    """Weights and their average after steps by formula, in float64; the first weight decays."""
    weights = [weight.astype("float64") for weight in weights]
    first, second = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    average = weights
    for step, (rate, gradient) in enumerate(zip(rates(recipe, len(gradients)), gradients, strict=True)):
        norm = np.sqrt(sum((part**2).sum() for part in gradient))
        gradient = [part * min(1.0, recipe.clip_norm / norm) for part in gradient]
        weights = [weight * (1 - rate * recipe.weight_decay * (index == 0)) for index, weight in enumerate(weights)]
        if recipe.optimizer == "sgd":
            first = [recipe.momentum * m - rate * g for m, g in zip(first, gradient, strict=True)]
            weights = [weight + m for weight, m in zip(weights, first, strict=True)]
        else:
            first = [recipe.beta_1 * m + (1 - recipe.beta_1) * g for m, g in zip(first, gradient, strict=True)]
            second = [recipe.beta_2 * v + (1 - recipe.beta_2) * g**2 for v, g in zip(second, gradient, strict=True)]
            hats = [
                (m / (1 - recipe.beta_1 ** (step + 1)), v / (1 - recipe.beta_2 ** (step + 1))) for m, v in zip(first, second, strict=True)
            ]
            weights = [weight - rate * m / (np.sqrt(v) + 1e-7) for weight, (m, v) in zip(weights, hats, strict=True)]
        average = weights if step == 0 else [recipe.ema * a + (1 - recipe.ema) * w for a, w in zip(average, weights, strict=True)]
    return weights, average


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("parts", [1, 2])
def test_each_step_is_the_twin_s(optimizer: Optimizer, parts: int) -> None:
    """Gradients of norms around 2, so that some are clipped; the parts of one differ, and only their mean may matter."""
    recipe = msgspec.structs.replace(PLAIN, optimizer=optimizer, accumulate=parts)
    random = np.random.default_rng(0)
    start = [random.standard_normal(shape).astype("float32") for shape in SHAPES]
    gradients = [[random.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]
    variables = [keras.Variable(value, name=name) for value, name in zip(start, ("kernel", "bias"), strict=True)]
    made = make_optimizer(recipe, STEPS, variables)
    for gradient in gradients:
        noise = [[random.standard_normal(shape) for shape in SHAPES] for _ in range(parts)]
        for part in noise:
            means = [sum(one[index] for one in noise) / parts for index in range(len(SHAPES))]
            made.apply([keras.ops.convert_to_tensor(g + n - m, "float32") for g, n, m in zip(gradient, part, means, strict=True)])
    weights, average = twin(recipe, start, gradients)
    for ours, expected in zip(values(variables), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    trained = values(variables)
    made.finalize_variable_values(variables)
    made.swap_average()
    for ours, expected in zip(values(variables), average, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    made.swap_average()
    for ours, was in zip(values(variables), trained, strict=True):
        np.testing.assert_array_equal(ours, was)


def test_a_batch_in_parts_trains_as_a_whole_and_is_judged_alike(tmp_path: Path) -> None:
    """Without dropout, by SGD, whose steps are as exact as their gradients are; five optimizer steps, two epochs."""
    found = {}
    for parts in (1, PARTS):
        recipe = msgspec.structs.replace(
            RECIPE, accumulate=parts, batch_size=16, dropout=0.0, optimizer="sgd", learning_rate=0.3, ema=0.6, warmup_epochs=0.5, epochs=2
        )
        segment = segment_in(tmp_path, recipe=recipe, to_epoch=2)
        splits, model = load_search_splits(segment.data), bare_model(segment)
        compile_model(model, recipe, steps_per_epoch(recipe, len(splits.train.labels)))
        start = values(model.trainable_variables)
        metrics = list(train_epochs(model, recipe, splits, 5, range(2), Stopwatch()))
        found[parts] = values([*model.trainable_variables, *model.optimizer._model_variables_moving_average]), metrics
    for whole, in_parts in zip(found[1][0], found[PARTS][0], strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-6)
    assert any(np.abs(after - before).max() > 0.01 for before, after in zip(start, found[1][0], strict=False))
    for whole, in_parts in zip(found[1][1], found[PARTS][1], strict=True):
        assert (in_parts.loss, in_parts.train_loss) == pytest.approx((whole.loss, whole.train_loss), rel=1e-4)


def test_an_epoch_is_judged_by_the_average_and_goes_on_from_the_weights(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, accumulate=2, ema=0.8, epochs=2, dropout=0.0)
    segment = segment_in(tmp_path, recipe=recipe, to_epoch=2)
    splits, model = load_search_splits(segment.data), bare_model(segment)
    compile_model(model, recipe, steps_per_epoch(recipe, len(splits.train.labels)))
    (first,) = train_epochs(model, recipe, splits, 5, range(1), Stopwatch())
    after_first = values(model.trainable_variables)
    recorder, order = Recorder(), epoch_order(5, 1, len(splits.train.labels))[:32]
    model.optimizer.swap_average()
    judged = model.evaluate(*splits.validation, batch_size=12, verbose=0, return_dict=True)
    assert first.loss == pytest.approx(judged["loss"], rel=1e-5)
    model.optimizer.swap_average()
    raw = model.evaluate(*splits.validation, batch_size=12, verbose=0, return_dict=True)
    assert abs(raw["loss"] / judged["loss"] - 1) > 1e-3
    start = values(model.optimizer._model_variables_moving_average)
    model.fit(splits.train.images[order], splits.train.labels[order], batch_size=4, shuffle=False, callbacks=[recorder], verbose=0)
    for before, was in zip(recorder.weights[0], after_first, strict=True):
        np.testing.assert_array_equal(before, was)
    average = start
    for weights in recorder.weights[2::2]:  # The second part of each batch makes the optimizer's step.
        average = [0.8 * a + 0.2 * w.astype("float64") for a, w in zip(average, weights, strict=True)]
    for ours, expected in zip(values(model.optimizer._model_variables_moving_average), average, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    for parts in (recorder.weights[1::2], recorder.weights[2::2]):
        assert len(parts) == 4
    for one, other in zip(recorder.weights[0::2], recorder.weights[1::2], strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)), "a part that is not the last changes nothing"
