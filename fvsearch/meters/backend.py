"""The meter of the backend that Keras runs on: one module each."""

import importlib
from typing import Any, Protocol, cast

import keras

from fvsearch.meters.measured import StepMemory
from fvsearch.meters.rounds import Runner
from fvsearch.study.budgets import Phase

Batch = tuple[Any, Any]
"""Images (batch, height, width, channels), float32, and labels (batch,), int32: NumPy arrays."""


class Meter(Protocol):
    """What each backend's module offers. A model comes compiled, with its loss, metrics and optimizer built."""

    def step_memory(self, model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
        """Peak device memory of one step of Keras's own train or predict function; the model's state stays as it is, bit for bit."""

    def make_runner(self, model: keras.Model, batch: Batch, phase: Phase) -> Runner:
        """Runs steps of Keras's own train or predict function. It takes the model's state over: use the model for nothing else."""


def meter() -> Meter:
    """The meter of the backend that Keras runs on."""
    return cast(Meter, importlib.import_module(f"fvsearch.meters._{keras.backend.backend()}"))


def model_variables(model: keras.Model, phase: Phase) -> list[keras.Variable]:
    """Every variable that a step has at hand, once: weights and seed generators, in training also metrics and optimizer state."""
    found = [*model.trainable_variables, *model.non_trainable_variables]
    if phase == "training":
        found += [*model.metrics_variables, *model.optimizer.variables]
    return list({id(variable): variable for variable in found}.values())


def steps_per_update(model: keras.Model, phase: Phase) -> int:
    """Steps of the device until the optimizer has made one of its own, which needs the most: more than one where gradients accumulate."""
    return (model.optimizer.gradient_accumulation_steps or 1) if phase == "training" else 1
