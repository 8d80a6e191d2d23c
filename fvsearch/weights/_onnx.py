"""A model as an ONNX file by Keras's export, and run by ONNX Runtime."""

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from fvsearch.errors import MissingBackendError
from fvsearch.weights.plain import Floats

NEEDS = {"torch": ("onnx", "onnxruntime", "onnxscript"), "tensorflow": ("onnx", "onnxruntime", "tf2onnx")}
"""Packages, by the backends from which fvsearch exports; Keras's way from JAX would bring some twenty."""


def export_onnx(model: keras.Model, path: Path) -> Callable[[Floats], Floats]:
    """Write the model, for batches of any size, and hand back what its file answers.

    Raises:
        MissingBackendError: The backend is JAX, or a package is missing.
    """
    backend = keras.backend.backend()
    if backend not in NEEDS:
        raise MissingBackendError(f"to ONNX a model goes from PyTorch and TensorFlow, but the backend is {backend}; give --backend torch")
    if missing := [name for name in NEEDS[backend] if importlib.util.find_spec(name) is None]:
        raise MissingBackendError(f'ONNX needs {", ".join(missing)}; `pip install "fvsearch[onnx]"` installs it')
    images = keras.InputSpec(shape=model.input_shape, dtype="float32", name="images")
    with warnings.catch_warnings():
        # Shapes other than the batch's are numbers here, and PyTorch's tracer warns of each that it takes for one.
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False, input_signature=[images])
    return lambda batch: _session(path).run(None, {"images": batch})[0]


def _session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
