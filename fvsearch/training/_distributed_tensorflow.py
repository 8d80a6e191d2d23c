"""TensorFlow: MirroredStrategy over the GPUs of one process, or over a CPU that is split into logical devices."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from fvsearch.errors import ConfigError
from fvsearch.training.device import Devices
from fvsearch.training.distribute import Distribution, require_devices


def find_devices(distribution: Distribution) -> Devices:
    """The devices that a distribution means.

    Raises:
        ConfigError: There are fewer.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU" and distribution.devices is not None:
        # Said too late, once TensorFlow has looked for its devices, it is an error: there are then those that there are.
        with contextlib.suppress(RuntimeError):
            parts = [tf.config.LogicalDeviceConfiguration()] * distribution.devices
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    found = len(tf.config.list_logical_devices(kind))
    count = require_devices(found, kind.lower(), distribution.devices, "tensorflow")
    return MirroredDevices([f"{kind}:{index}" for index in range(count)])


class MirroredDevices(Devices):
    """Devices that each have a copy of every variable, and all do the same to it.

    Args:
        names: Of the devices, as TensorFlow has them: "CPU:0".
    """

    def __init__(self, names: list[str]) -> None:
        self.count = len(names)
        self._strategy = tf.distribute.MirroredStrategy(names)

    def build(self, make: Callable[[], keras.Model]) -> keras.Model:
        """The model, its variables mirrored; Keras's `fit` finds its strategy by itself.

        Raises:
            ConfigError: Its optimizer accumulates gradients: TensorFlow has no step of several devices that is taken only now and then.
        """
        with self._strategy.scope():
            model = make()
        parts = model.optimizer.gradient_accumulation_steps
        if parts:
            raise ConfigError(
                f"gradients are accumulated on one device, or on another backend than tensorflow, but got {parts} parts of a batch for "
                f"{self.count} devices; leave recipe.accumulate out, for the devices share each batch already"
            )
        _sum_first(model.optimizer)
        return model

    def fit(self, model: keras.Model, x: Any, y: Any = None, **settings: Any) -> keras.callbacks.History:
        """Keras's `fit`, told how many steps there are: of arrays that are distributed it forgets to count them, and warns at their end."""
        if y is not None:
            settings["steps_per_epoch"] = math.ceil(len(y) / settings["batch_size"])
        validation = settings.get("validation_data")
        if isinstance(validation, tuple):
            settings["validation_steps"] = math.ceil(len(validation[1]) / settings["validation_batch_size"])
        return model.fit(x, y, **settings)


def _sum_first(optimizer: Any) -> None:
    """Make an optimizer begin with the gradient of the whole batch: Keras's clips each device's part of it, and sums those."""
    apply = optimizer.apply

    def apply_sum(gradients: list[Any], variables: list[Any] | None = None) -> None:
        context = tf.distribute.get_replica_context()
        apply(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)), variables)

    optimizer.apply = apply_sum
    optimizer._all_reduce_sum_gradients = list
