"""Keras's AdamW, with less to trace: what is the same for every variable is computed once a step, not once a variable.

Of the 5,081 operations that TensorFlow traced for a step of the quickstart's baseline, Keras's AdamW had 3,219: it asks the schedule for
the learning rate, and raises both betas to the step, for each variable anew.
"""

from typing import Any

import keras
from keras import ops

from fvsearch.models.initial import Filled
from fvsearch.training.steps import ByOptimizerStep, by_optimizer_step

Tensor = Any


class OncePerStep(ByOptimizerStep, keras.optimizers.AdamW):
    """AdamW whose scalars are computed once a step; its variables and, to a rounding, its updates are those of Keras's own."""

    def add_variable_from_reference(self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros") -> keras.Variable:
        """A variable of the same shape, zero at first, which JAX compiles no program for."""
        made = Filled(0.0) if initializer == "zeros" else initializer
        return super().add_variable_from_reference(reference_variable, name=name, initializer=made)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Left to `update_step`, which has the learning rate at hand."""

    def _backend_update_step(self, grads: list[Tensor], trainable_variables: list[Any], learning_rate: Tensor) -> None:
        """Hands every variable's update the step's scalars in place of the learning rate."""
        rate = ops.cast(learning_rate, "float32")
        step = ops.cast(self.iterations + 1, "float32")
        super()._backend_update_step(
            grads, trainable_variables, self.scalars(rate, ops.power(self.beta_1, step), ops.power(self.beta_2, step))
        )

    def scalars(self, rate: Tensor, beta_1_power: Tensor, beta_2_power: Tensor) -> tuple[Tensor, ...]:
        """What `update_step` needs: the learning rate, and the one that corrects the moments' bias towards their start at zero."""
        return rate, rate * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: tuple[Tensor, ...]) -> None:
        """Decay, moments, update of one variable; the last argument is what `scalars` returned."""
        rate, corrected = (ops.cast(scalar, variable.dtype) for scalar in learning_rate)
        gradient = ops.cast(gradient, variable.dtype)
        momentum, velocity = self.moments(variable)
        self.decay(variable, rate)
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        self.assign_sub(variable, momentum * corrected / (ops.sqrt(velocity) + self.epsilon))

    def moments(self, variable: Any) -> tuple[keras.Variable, keras.Variable]:
        """The running means of the variable's gradient and of its square."""
        index = self._get_variable_index(variable)
        return self._momentums[index], self._velocities[index]

    def decay(self, variable: Any, rate: Tensor) -> None:
        """Shrink the variable, if it is one that decays."""
        if self._use_weight_decay(variable):
            self.assign_sub(variable, variable * self.weight_decay * rate)


class FusedOnTensorFlow(OncePerStep):
    """The same, each variable's moments and update in one operation, which has no temporaries."""

    def scalars(self, rate: Tensor, beta_1_power: Tensor, beta_2_power: Tensor) -> tuple[Tensor, ...]:
        """What the operation takes, in its order."""
        return beta_1_power, beta_2_power, rate, *(ops.convert_to_tensor(value) for value in (self.beta_1, self.beta_2, self.epsilon))

    def decay(self, variable: Any, rate: Tensor) -> None:
        """One pass over the variable, whose product takes its place: a subtraction in place copies what the step still reads first."""
        if self._use_weight_decay(variable):
            self.assign(variable, variable * (1 - self.weight_decay * rate))

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: tuple[Tensor, ...]) -> None:
        """Decay, moments, update of one variable; the last argument is what `scalars` returned."""
        import tensorflow as tf

        names = ("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon")
        scalars = {name: ops.cast(scalar, variable.dtype) for name, scalar in zip(names, learning_rate, strict=True)}
        self.decay(variable, scalars["lr"])
        momentum, velocity = (moment.value.handle for moment in self.moments(variable))
        tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=momentum, v=velocity, grad=ops.cast(gradient, variable.dtype), **scalars)


OURS: dict[str, type[keras.optimizers.AdamW]] = {"jax": OncePerStep, "tensorflow": FusedOnTensorFlow}
"""By backend; PyTorch traces nothing, and Keras updates all variables in one call there."""


def adamw(**settings: Any) -> keras.optimizers.AdamW:
    """The backend's AdamW, with these of Keras's settings."""
    kind = OURS.get(keras.backend.backend()) or by_optimizer_step(keras.optimizers.AdamW)
    return kind(**settings, name="adamw")
