"""A model as TensorFlow's SavedModel by Keras's export, and run by TensorFlow."""

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import keras

from fvsearch.errors import MissingBackendError
from fvsearch.weights.plain import Floats


def export_saved_model(model: keras.Model, path: Path) -> Callable[[Floats], Floats]:
    """Write the model, for batches of any size, and hand back what it answers.

    Raises:
        MissingBackendError: The backend is PyTorch, or TensorFlow is not installed.
    """
    if keras.backend.backend() == "torch":
        raise MissingBackendError("to a SavedModel Keras exports from TensorFlow and JAX, but the backend is torch; give --backend jax")
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingBackendError('a SavedModel needs TensorFlow; `pip install "fvsearch[tensorflow]"` installs it')
    import tensorflow as tf

    with warnings.catch_warnings():
        # Keras's, of what JAX is going to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        model.export(path, format="tf_saved_model", verbose=False)

    def run(images: Floats) -> Floats:
        loaded = tf.saved_model.load(str(path))  # its variables live as long as it has a name
        return loaded.serve(images).numpy()

    return run
