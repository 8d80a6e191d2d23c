"""A model as TensorFlow's SavedModel by Keras's export, and run by TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import keras

from fvsearch.errors import MissingBackendError
from fvsearch.weights.plain import Floats


def export_saved_model(model: keras.Model, path: Path) -> Callable[[Floats], Floats]:
    """Write the model, for batches of any size, and hand back what it answers.

    From JAX Keras writes one too, but TensorFlow 2.21 does not read what JAX 0.10 makes of the exact gelu.

    Raises:
        MissingBackendError: The backend is not TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise MissingBackendError(f"to a SavedModel a model goes from TensorFlow, but the backend is {backend}; give --backend tensorflow")
    import tensorflow as tf

    model.export(path, format="tf_saved_model", verbose=False)

    def run(images: Floats) -> Floats:
        loaded = tf.saved_model.load(str(path))  # its variables live as long as it has a name
        return loaded.serve(images).numpy()

    return run
