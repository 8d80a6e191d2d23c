"""Our AdamW: Keras's updates and variables, with less asked for on the way."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from fvsearch.training.adamw import adamw

Update = tuple[list[np.ndarray[Any, Any]], list[str]]


class CountingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, step: Any) -> Any:
        self.calls += 1
        return 0.1 / keras.ops.cast(step + 1, "float32")

    def get_config(self) -> dict[str, Any]:
        return {}


def updated(make: Callable[..., keras.optimizers.AdamW], steps: int = 8) -> Update:
    """Variables and the optimizer's own after some steps, and their paths; the second variable does not decay."""
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.standard_normal(shape), dtype="float32") for shape in ((4, 5), (5,), (3, 2))]
    optimizer = make(learning_rate=CountingSchedule(), weight_decay=0.3, beta_2=0.95, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_list=variables[1:2])
    optimizer.build(variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(random.standard_normal(tuple(variable.shape)), "float32") for variable in variables])
    everything = [*variables, *optimizer.variables]
    paths = [re.sub(r"_\d+", "", variable.path) for variable in optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in everything], paths


def test_it_updates_as_keras_does_and_keeps_the_same_state() -> None:
    (ours, our_paths), (theirs, their_paths) = updated(adamw), updated(lambda **settings: keras.optimizers.AdamW(**settings, name="adamw"))
    assert our_paths == their_paths
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_what_does_not_decay_keeps_its_value_without_a_gradient() -> None:
    variables = [keras.Variable(np.ones((2, 2)), dtype="float32") for _ in range(2)]
    optimizer = adamw(learning_rate=0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_list=variables[1:])
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros((2, 2)), keras.ops.zeros((2, 2))])
    decayed, kept = (keras.ops.convert_to_numpy(variable) for variable in variables)
    np.testing.assert_allclose(decayed, 1 - 0.5 * 0.1, rtol=1e-6)
    np.testing.assert_array_equal(kept, 1)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras's own there")
def test_the_learning_rate_is_asked_for_once_a_step_however_many_variables() -> None:
    schedule = CountingSchedule()
    variables = [keras.Variable(np.ones((2, 2)), dtype="float32") for _ in range(4)]
    optimizer = adamw(learning_rate=schedule, weight_decay=0.1)
    optimizer.build(variables)
    before = schedule.calls
    optimizer.apply([keras.ops.ones((2, 2)) for _ in variables])
    assert schedule.calls == before + 1
