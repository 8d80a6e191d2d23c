"""A real training read back step by step, and its learning rate in closed form."""

from typing import Any

import keras
import numpy as np

from fvsearch.study.recipe import Recipe

Arrays = list[np.ndarray[Any, Any]]


def rates(recipe: Recipe, steps: int) -> list[float]:
    """The learning rate of each optimizer step, in closed form."""
    warmup = recipe.warmup(steps // recipe.epochs)
    share = [(step - warmup) / max(1, steps - warmup) for step in range(steps)]
    after = [1.0 if recipe.schedule == "constant" else 0.5 * (1 + np.cos(np.pi * part)) for part in share]
    return [recipe.learning_rate * (step / warmup if step < warmup else after[step]) for step in range(steps)]


def values(variables: Any) -> Arrays:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


class Recorder(keras.callbacks.Callback):
    """What variables and learning rate are before the first step of the device and after each."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Arrays] = []
        self.rates: list[float] = []

    def look(self) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self.weights.append(values(self.model.trainable_variables))
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.look()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.look()
