"""JAX: XLA's plan of the compiled step, on CPU, GPU and TPU alike; nothing runs.

The step is lowered from the very function that Keras's trainer has made with `jax.jit`, so its compiled form is in that function's cache
when training calls it: the compile is paid once.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras

from fvsearch.meters.backend import Batch
from fvsearch.meters.measured import StepMemory
from fvsearch.meters.rounds import Runner
from fvsearch.study.budgets import Phase

State = tuple[list[Any], ...]
"""As Keras's JAX trainer hands it to its step functions: arrays by kind of variable."""


def step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """Arguments and outputs, those that share memory counted once, and the largest temporary need between them."""
    function, state, data = STEPS[phase](model, batch)
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), (state, data))
    plan = _jitted(function).lower(*shapes).compile().memory_analysis()
    used = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes - plan.alias_size_in_bytes
    return StepMemory(bytes=int(used), source="jax: XLA's plan of the compiled step, ahead of time")


def make_runner(model: keras.Model, batch: Batch, phase: Phase) -> Runner:
    """Threads the state through the steps as `fit` does; it is donated, so the model's variables are empty afterwards.

    The batch is put on the device once: what `fit` spends on the way there, ahead of the step, is not measured.
    """
    function, state, data = STEPS[phase](model, batch)
    batches: Iterator[Any] = itertools.repeat(jax.device_put(data))

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            outputs, state = function(state, batches)
        jax.block_until_ready((outputs, state))

    return run


def _train_step(model: keras.Model, batch: Batch) -> tuple[Callable[..., Any], State, Any]:
    """Keras's train function, the state it takes, and its data."""
    model.make_train_function()
    kinds = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables)
    return model.train_function, _values(kinds), batch


def _predict_step(model: keras.Model, batch: Batch) -> tuple[Callable[..., Any], State, Any]:
    """Keras's predict function, the state it takes, and its data."""
    model.make_predict_function()
    return model.predict_function, _values((model.trainable_variables, model.non_trainable_variables)), batch[:1]


STEPS: dict[Phase, Callable[[keras.Model, Batch], tuple[Callable[..., Any], State, Any]]] = {
    "training": _train_step,
    "inference": _predict_step,
}


def _values(kinds: tuple[list[keras.Variable], ...]) -> State:
    return tuple([variable.value for variable in variables] for variables in kinds)


def _jitted(function: Callable[..., Any]) -> Any:
    """The `jax.jit` function inside a step function of Keras's trainer: the trainer keeps it in a closure and nowhere else."""
    for inner in inspect.getclosurevars(function).nonlocals.values():
        if hasattr(inner, "lower") and hasattr(inner, "trace"):
            return inner
        if inspect.isfunction(inner):
            return _jitted(inner)
    raise AssertionError("Keras's JAX trainer has changed: no jitted step in its step function")
