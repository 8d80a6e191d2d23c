"""Optimizers of Keras's that count in optimizer steps where a batch is cut into parts, and leave the weights to training.

Of Keras 3.15, with `gradient_accumulation_steps` and `use_ema`: the schedule is asked by step of the device, so that it would end after
1/accumulate of the training; the average takes the weights after every step of the device, changed or not; and `fit` ends by putting the
average in the weights' place, which would train on from it in the next epoch.
"""

import functools
from typing import Any

import keras
from keras import ops

Tensor = Any


class ByOptimizerStep(keras.optimizers.Optimizer):
    """For an optimizer class to inherit from first. Where nothing is accumulated or averaged, all is as in Keras."""

    def _get_current_learning_rate(self) -> Any:
        """The schedule's, at the optimizer step that is being made."""
        schedule = self._learning_rate
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            return schedule(self.iterations)
        return super()._get_current_learning_rate()

    def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
        """Take the weights into their average where an optimizer step is made; the first step's are the average's start."""
        parts = self.gradient_accumulation_steps
        if not parts:
            super()._update_model_variables_moving_average(trainable_variables)
            return
        kept = ops.where(ops.equal(self.iterations, 0), 0.0, self.ema_momentum)
        # Times 1 and plus 0 leaves the bits of the average as they are.
        kept = ops.cast(ops.where(ops.equal((self._iterations + 1) % parts, 0), kept, 1.0), "float32")
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            average.assign(average * kept + variable * (1 - kept))

    def finalize_variable_values(self, var_list: list[Any]) -> None:
        """Nothing: the weights go on training as they are, and `swap_average` is for who looks at them meanwhile."""

    def swap_average(self) -> None:
        """Put the average in the weights' place and the weights in the average's, bit for bit; called again, back.

        Keras's own callback swaps by sums and differences on TensorFlow, which round.
        """
        for variable, average in zip(self._trainable_variables, self._model_variables_moving_average, strict=True):
            weights = ops.copy(variable)
            variable.assign(average)
            average.assign(weights)


class JudgedByAverage(keras.callbacks.Callback):
    """Lets evaluations see the average of the weights, which the model's optimizer keeps."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Evaluation begins."""
        self.model.optimizer.swap_average()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Evaluation is over."""
        self.model.optimizer.swap_average()


@functools.cache
def by_optimizer_step(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """One of Keras's optimizer classes that counts in optimizer steps."""
    # On PyTorch, Keras has classes in the place of its own that update all variables in one call.
    of_keras: Any = kind
    found = type(of_keras.__new__(of_keras))
    return type(kind.__name__, (ByOptimizerStep, found), {"__doc__": f"{kind.__name__} that counts in optimizer steps."})
