"""A model as an ONNX file by Keras's export, and run by ONNX Runtime."""

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from fvsearch.errors import MissingBackendError
from fvsearch.weights.plain import Floats

NEEDS = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(model: keras.Model, path: Path) -> Callable[[Floats], Floats]:
    """Write the model, for batches of any size, and hand back what its file answers.

    Raises:
        MissingBackendError: The backend is not PyTorch, or a package is missing.
    """
    backend = keras.backend.backend()
    if backend != "torch":
        raise MissingBackendError(f"to ONNX Keras exports from PyTorch, but the backend is {backend}; give --backend torch")
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        raise MissingBackendError(f'ONNX needs {", ".join(missing)}; `pip install "fvsearch[onnx]"` installs it')
    with warnings.catch_warnings():
        # Shapes other than the batch's are numbers here, and its tracer warns of each that it takes for one.
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False)
    return lambda images: _session(path).run(None, {"images": images})[0]


def _session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
