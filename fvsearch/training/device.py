"""The device a backend trains on, or several: name, determinism, how it says that its memory ran out, and who calls Keras's `fit`."""

import importlib
import platform
import sys
from collections.abc import Callable
from typing import Any

import keras

OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "can't allocate memory", "OOM when allocating")
"""What errors say; their types are the backends' own, or no more than RuntimeError."""


class Devices:
    """What a training's steps run on, and what it therefore asks for: here one device, which takes them as Keras does.

    Attributes:
        count: Of the devices.
    """

    count = 1

    @property
    def name(self) -> str:
        """Such as "cpu", or "4 x NVIDIA H200"."""
        return device_name() if self.count == 1 else f"{self.count} x {device_name()}"

    @property
    def is_cpu(self) -> bool:
        """Whether they are no accelerators."""
        return device_name() == "cpu"

    def build(self, make: Callable[[], keras.Model]) -> keras.Model:
        """The compiled model that `make` makes, where its variables belong."""
        return make()

    def begin(self, model: keras.Model, epochs: range) -> range:
        """The epochs to train, once the model has the state that the first of them begins with."""
        return epochs

    def fit(self, model: keras.Model, *data: Any, **settings: Any) -> keras.callbacks.History:
        """An epoch by Keras's `fit`, or what amounts to it: training, then validation."""
        return model.fit(*data, **settings)


def device_name() -> str:
    """The device that steps run on, such as "NVIDIA H200" or "cpu"."""
    return NAMES[keras.backend.backend()]()


def set_up_device() -> None:
    """Ask for operations that give the same bits each time (JAX has been asked by `environment`), and for no work that gains nothing."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):  # on CPU its operations are, and asking makes tf.data complain
            tf.config.experimental.enable_op_determinism()
        else:
            # Rewriting the step's graph gained no step time there, of the quickstart's archs and of ViT-S, and took half of the first step.
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    elif backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
        # Else every new tensor is filled before it is used.
        torch.utils.deterministic.fill_uninitialized_memory = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a device's or the machine's memory running out, as NumPy and each backend say it."""
    by_type = isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    return by_type or any(sign in str(error) for sign in OUT_OF_MEMORY)


def versions() -> dict[str, str]:
    """Of what a training's numbers depend on."""
    import fvsearch

    backend = keras.backend.backend()
    names = ("keras", "numpy", backend)
    found = {name: str(getattr(sys.modules.get(name) or importlib.import_module(name), "__version__", "")) for name in names}
    return {"fvsearch": fvsearch.__version__, "python": platform.python_version(), **found}


def _jax_device() -> str:
    import jax

    return str(jax.devices()[0].device_kind)


def _tensorflow_device() -> str:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "gpu")) if devices else "cpu"


def _torch_device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


NAMES = {"jax": _jax_device, "tensorflow": _tensorflow_device, "torch": _torch_device}
