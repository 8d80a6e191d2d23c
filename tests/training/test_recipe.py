"""A recipe in Keras: which variables decay, and the learning rate at chosen steps."""

from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
from trainings import segment_in

from fvsearch.study.recipe import Optimizer, Recipe
from fvsearch.training.recipe import make_optimizer, make_schedule
from fvsearch.training.work import bare_model

KERNELS = ["patches", "query", "key", "value", "projection", "expand", "contract", "head"]


def rate(recipe: Recipe, step: int, steps_per_epoch: int = 10) -> float:
    return float(make_schedule(recipe, steps_per_epoch)(step))


@pytest.mark.parametrize(
    ("step", "wanted"), [(0, 0), (5, 0.05), (10, 0.1), (15, 0.15), (20, 0.2), (40, 0.1 * (1 + 0.5**0.5)), (60, 0.1), (100, 0)]
)
def test_the_rate_rises_linearly_and_falls_as_a_cosine_to_zero(step: int, wanted: float) -> None:
    assert rate(Recipe(epochs=10, learning_rate=0.2, warmup_epochs=2), step) == pytest.approx(wanted, abs=1e-7)


def test_without_warm_up_the_rate_starts_at_its_height() -> None:
    recipe = Recipe(epochs=10, learning_rate=0.2, warmup_epochs=0)
    assert [rate(recipe, step) for step in (0, 50, 100)] == pytest.approx([0.2, 0.1, 0.0], abs=1e-7)


def test_all_epochs_may_be_warm_up() -> None:
    recipe = Recipe(epochs=2, learning_rate=0.2, warmup_epochs=2)
    assert [rate(recipe, step) for step in (0, 10, 19)] == pytest.approx([0.0, 0.1, 0.19])


def test_a_warm_up_in_steps_and_a_constant_rate_after_it() -> None:
    recipe = Recipe(epochs=10, learning_rate=0.2, warmup_steps=4, schedule="constant")
    assert [rate(recipe, step) for step in (0, 1, 4, 50, 99)] == pytest.approx([0.0, 0.05, 0.2, 0.2, 0.2])


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_only_kernels_decay(optimizer: Optimizer, tmp_path: Path) -> None:
    """With no gradient, either optimizer moves a variable by its decay alone: by rate x decay of it."""
    model = bare_model(segment_in(tmp_path))
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, "float32"))
    recipe = Recipe(epochs=1, optimizer=optimizer, learning_rate=0.1, weight_decay=0.5, warmup_epochs=0)
    optimizer = make_optimizer(recipe, 10, model.trainable_variables)
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in model.trainable_variables])
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables}
    decayed = {path for path, value in values.items() if np.allclose(value, 0.95)}
    assert {path.split("/")[-2] for path in decayed} == set(KERNELS)
    assert all(path.endswith("/kernel") for path in decayed)
    assert all(np.all(value == 1) for path, value in values.items() if path not in decayed)
    kept = {path.split("/")[-1] for path in values if path not in decayed}
    assert {"bias", "gamma", "beta", "positions", "token"} == kept


# Adam's first moment takes a tenth of the gradient; SGD's momentum takes it whole, times the rate, downhill.
@pytest.mark.parametrize(("optimizer", "taken"), [("adamw", 0.1), ("sgd", -0.5)])
def test_a_gradient_is_clipped_by_its_global_norm(optimizer: Optimizer, taken: float) -> None:
    """Two gradients of norm 3 and 4, so 5 together: clipped to 1 they are a fifth. The momentum tells what the optimizer was given."""
    variables = [keras.Variable([value], name="kernel") for value in (3.0, 4.0)]
    recipe = Recipe(epochs=1, optimizer=optimizer, learning_rate=0.5, warmup_epochs=0, clip_norm=1.0)
    made = make_optimizer(recipe, 10, variables)
    made.apply([keras.ops.convert_to_tensor([3.0]), keras.ops.convert_to_tensor([4.0])])
    moments = [float(v.numpy()[0]) for v in made.variables if v.path.endswith("momentum")]
    assert moments == pytest.approx([taken * 3 / 5, taken * 4 / 5], rel=1e-5)


def test_sgd_takes_the_recipe_s_momentum_and_looks_not_ahead() -> None:
    """A gradient of 1, then none: the second step is the momentum's share of the first, and not Nesterov's."""
    variable = keras.Variable([0.0], name="kernel")
    recipe = Recipe(epochs=10**6, optimizer="sgd", momentum=0.25, learning_rate=0.5, weight_decay=0.0, warmup_epochs=0)
    optimizer = make_optimizer(recipe, 10, [variable])
    seen = []
    for gradient in (1.0, 0.0):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])])
        seen.append(float(keras.ops.convert_to_numpy(variable)[0]))
    assert seen == pytest.approx([-0.5, -0.5 - 0.25 * 0.5])


def test_sgd_keeps_one_slot_a_variable_and_adamw_two() -> None:
    """What the memory of an optimizer is predicted from."""
    slots = {}
    for optimizer in get_args(Optimizer):
        made = make_optimizer(Recipe(epochs=1, optimizer=optimizer), 10, [keras.Variable(np.zeros((2, 3), "float32"), name="kernel")])
        slots[optimizer] = sum(variable.shape == (2, 3) for variable in made.variables)
    assert slots == {"adamw": 2, "sgd": 1}
