"""JAX: Keras's distributions over the devices of one process; on a TPU, GPUs, or a CPU that is split into several devices."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import keras

from fvsearch.training._shares import Batch, batches_of, evaluate_batches
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
    return JaxDevices(DISTRIBUTIONS[distribution.shared](names[:count]))


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
    """

    def __init__(self, distribution: Any) -> None:
        mesh = distribution.device_mesh.backend_mesh
        self.count, self._distribution = mesh.size, distribution
        self._divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        self._whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

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
        validation_steps: int | None = None,
        **settings: Any,
    ) -> keras.callbacks.History:
        """Keras's `fit`, and validation after it, on batches that are laid out here.

        Keras lays every batch out as the first, and JAX cuts none into unequal parts.
        """
        with self._distribution.scope():
            history = model.fit(*data, callbacks=callbacks, **settings)
        if validation_data is not None:
            batches = self._lay_out(batches_of(validation_data, validation_batch_size))
            for name, score in evaluate_batches(model, batches, callbacks).items():
                history.history[f"val_{name}"] = [score]
        return history

    def _lay_out(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Every batch as far as it divides among the devices, then what is left of it, which all of them take whole."""
        shares = self._distribution.num_model_replicas
        for images, labels in batches:
            divided = len(labels) // shares * shares
            for part, sharding in ((slice(divided), self._divided), (slice(divided, None), self._whole)):
                if len(labels[part]):
                    yield jax.device_put((images[part], labels[part]), sharding)
