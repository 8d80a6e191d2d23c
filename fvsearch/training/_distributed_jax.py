"""JAX: Keras's distributions over the devices of one process; on a TPU, GPUs, or a CPU that is split into several devices."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras

from fvsearch.training._shares import Batch, batches_of, counting, divide
from fvsearch.training.device import Devices
from fvsearch.training.distribute import Distribution, require_devices

LAYERS = {
    r".*_attention/(query|key|value)/kernel": (None, "model"),  # (width, heads x head_dim): each device has some heads
    r".*_attention/(query|key|value)/bias": ("model",),
    r".*_attention/projection/kernel": ("model", None),
    r".*_mlp/expand/kernel": (None, "model"),  # (width, mlp_dim): some hidden units
    r".*_mlp/expand/bias": ("model",),
    r".*_mlp/contract/kernel": ("model", None),
}
"""By variable path, the axis along which a model's devices share it (Shoeybi et al., 2019, section 3); each has all of any other."""


def find_devices(distribution: Distribution) -> Devices:
    """The devices that a distribution means.

    Raises:
        ConfigError: There are fewer.
    """
    if distribution.devices is not None:
        # Said too late, once JAX has looked for its devices, it changes nothing: there are then those that there are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", distribution.devices)
    names = keras.distribution.list_devices()
    count = require_devices(len(names), names[0].partition(":")[0], distribution.devices, "jax")
    return JaxDevices(DISTRIBUTIONS[distribution.shared](names[:count]), names[:count])


def _data_parallel(names: list[str]) -> Any:
    return keras.distribution.DataParallel(devices=names)


def _model_parallel(names: list[str]) -> Any:
    mesh = keras.distribution.DeviceMesh((1, len(names)), ["batch", "model"], names)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts.update(LAYERS)
    return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")


DISTRIBUTIONS: dict[str, Callable[[list[str]], Any]] = {"data": _data_parallel, "model": _model_parallel}
"""By what is shared."""


class JaxDevices(Devices):
    """Devices that one compiled step is for.

    Args:
        distribution: Keras's: where variables and batches lie.
        names: Of the devices, as Keras has them: "cpu:0".
    """

    def __init__(self, distribution: Any, names: list[str]) -> None:
        self.count, self._distribution = len(names), distribution
        self._undivided = _model_parallel(names)

    def build(self, make: Callable[[], keras.Model]) -> keras.Model:
        """The model, its variables laid out among the devices."""
        with self._distribution.scope():
            return make()

    def fit(
        self,
        model: keras.Model,
        *data: Any,
        callbacks: list[keras.callbacks.Callback],
        validation_data: Any = None,
        validation_batch_size: int | None = None,
        **settings: Any,
    ) -> keras.callbacks.History:
        """Keras's `fit`, and validation after it: JAX refuses a batch whose images do not divide by the devices."""
        with self._distribution.scope():
            history = model.fit(*data, callbacks=callbacks, **settings)
        if validation_data is not None:
            shares = self._distribution.num_model_replicas
            size = validation_batch_size and max(shares, validation_batch_size - validation_batch_size % shares)
            for name, score in self._evaluate(model, batches_of(validation_data, size), shares, callbacks).items():
                history.history[f"val_{name}"] = [score]
        return history

    def _evaluate(
        self, model: keras.Model, batches: Iterator[Batch], shares: int, callbacks: list[keras.callbacks.Callback]
    ) -> dict[str, float]:
        """Means over all images: of batches as far as they divide by the shares, and of what is left, which every device takes whole."""
        rest: list[Batch] = []
        scores: list[tuple[dict[str, float], int]] = []

        def score(distribution: Any, batches: Iterator[Batch]) -> None:
            counted: list[int] = []
            with distribution.scope():
                found = model.evaluate(counting(batches, counted), callbacks=callbacks, return_dict=True, verbose=0)
            scores.append((found, sum(counted)))

        divided = divide(batches, shares, rest)
        first = next(divided, None)
        if first is not None:
            score(self._distribution, itertools.chain([first], divided))
        for batch in rest:
            score(self._undivided, iter([batch]))
        images = sum(count for _, count in scores)
        return {name: sum(found[name] * count for found, count in scores) / images for name in scores[0][0]}
