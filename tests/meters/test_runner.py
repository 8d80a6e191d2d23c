"""What the runners run is the step of `fit`: after as many steps on the same batches the weights are the same, bit for bit."""

import inspect
from typing import Any

import keras
import numpy as np
import pytest
from metered import SHAPE, arch, compiled

from fvsearch.meters.backend import Batch, meter
from fvsearch.meters.memory import prepare, synthetic_batch
from fvsearch.meters.rounds import Runner
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=8, dropout=0.1, stochastic_depth=0.1)
STEPS = 3
BACKEND = keras.backend.backend()


@pytest.fixture
def batch() -> Batch:
    return synthetic_batch(SHAPE, 10, 8)


def fitted(batch: Batch) -> list[Any]:
    """Weights after `fit` on that many copies of the batch, its metrics and seeds with them."""
    model = compiled(arch((1, 1), (1, 2)), RECIPE)
    images, labels = (np.concatenate([array] * STEPS) for array in batch)
    model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    return [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]


def after(runner: Runner, model: keras.Model) -> list[Any]:
    """Weights after the runner's steps; on JAX the runner holds them."""
    runner(STEPS - 1)
    runner(1)
    values = inspect.getclosurevars(runner).nonlocals["state"][0] if BACKEND == "jax" else model.trainable_variables
    return [keras.ops.convert_to_numpy(value) for value in values]


def run(batch: Batch) -> list[Any]:
    model = compiled(arch((1, 1), (1, 2)), RECIPE)
    prepare(model, batch)
    return after(meter().make_runner(model, batch, "training"), model)


def test_a_runner_s_training_steps_are_those_of_fit(batch: Batch) -> None:
    for ours, fits in zip(run(batch), fitted(batch), strict=True):
        np.testing.assert_array_equal(ours, fits)


def test_inference_changes_nothing(batch: Batch) -> None:
    model = compiled(arch((1, 1), (1, 2)), RECIPE)
    prepare(model, batch)
    before = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    for ours, was in zip(after(meter().make_runner(model, batch, "inference"), model), before, strict=True):
        np.testing.assert_array_equal(ours, was)


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX, which returns before its work is done")
@pytest.mark.parametrize("phase", ["training", "inference"])
def test_a_runner_returns_when_all_is_computed(phase: Phase) -> None:
    import jax

    many = synthetic_batch(SHAPE, 10, 256)
    model = compiled(arch((2, 1), width=64), RECIPE)
    prepare(model, many)
    runner = meter().make_runner(model, many, phase)
    runner(1)
    for _ in range(3):
        runner(1)
        assert all(array.is_ready() for array in jax.tree.leaves(inspect.getclosurevars(runner).nonlocals["state"]))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's feeds")
def test_a_batch_that_lies_on_a_gpu_is_fed_to_the_same_step(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    from fvsearch.meters import _tensorflow

    expected = run(batch)
    monkeypatch.setitem(_tensorflow.FEEDS, False, _tensorflow.FEEDS[True])
    for ours, usual in zip(run(batch), expected, strict=True):
        np.testing.assert_array_equal(ours, usual)
