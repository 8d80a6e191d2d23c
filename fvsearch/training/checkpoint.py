"""A training's state after an epoch, as one file: weights, seed generators and optimizer state, whichever the backend."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from fvsearch.errors import ConfigError
from fvsearch.files import require_modest_zip, write_atomically

if TYPE_CHECKING:
    from fvsearch.training.steps import ByOptimizerStep

Array = NDArray[Any]

UNREADABLE = (NotImplementedError, RuntimeError, TypeError, OverflowError, MemoryError)
"""What else zip and NumPy raise: of a method or a password that they do not know, a count that is none, a shape that no memory holds."""


def save_checkpoint(path: Path, model: keras.Model, epochs_done: int) -> None:
    """Write the state of a compiled model; a kill leaves the file before it or this one, whole."""
    arrays = {f"variable{index}": keras.ops.convert_to_numpy(variable) for index, variable in enumerate(_state(model))}
    buffer = io.BytesIO()
    np.savez(buffer, epochs_done=np.int64(epochs_done), **arrays)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path) -> "Checkpoint | None":
    """The checkpoint in a file; None where there is no file.

    Raises:
        ValueError: The file is broken.
    """
    if not path.exists():
        return None
    try:
        require_modest_zip(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)  # reading checks every array's checksum
        epochs_done = int(arrays.pop("epochs_done"))
        if epochs_done < 1:
            raise ValueError(f"it is of {epochs_done} epochs")
        return Checkpoint(epochs_done, [arrays[f"variable{index}"] for index in range(len(arrays))])
    except (ConfigError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, *UNREADABLE) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


class Checkpoint:
    """A state read from disk.

    Attributes:
        epochs_done: Epochs trained to reach it.
        arrays: By the order of the variables.
    """

    def __init__(self, epochs_done: int, arrays: list[Array]) -> None:
        self.epochs_done = epochs_done
        self.arrays = arrays

    def restore(self, model: keras.Model) -> None:
        """Put the state into a compiled model of the same arch and recipe.

        Raises:
            ValueError: The checkpoint is of another model; the model is left as it was.
        """
        _assign(_state(model), self.arrays)

    def restore_weights(self, model: keras.Model) -> None:
        """Put the weights into a model of the same arch, and leave the optimizer's state.

        Raises:
            ValueError: The checkpoint is of another model; the model is left as it was.
        """
        variables = _weights(model)
        _assign(variables, self.arrays[: len(variables)])

    def restore_average(self, model: keras.Model, optimizer: "ByOptimizerStep") -> None:
        """Put the average of the weights into a model of the same arch, which need not be compiled.

        Args:
            model: Whose weights are set.
            optimizer: Of the recipe, over the model's trainable variables; its state is the checkpoint's afterwards, but for the average.

        Raises:
            ValueError: The checkpoint is of another model or recipe; the model is left as it was.
        """
        _assign([*_weights(model), *optimizer.variables], self.arrays)
        optimizer.swap_average()


def _weights(model: keras.Model) -> list[keras.Variable]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _state(model: keras.Model) -> list[keras.Variable]:
    """All that an epoch hands to the next, in a fixed order: weights, seed generators among them, then the optimizer's."""
    return [*_weights(model), *model.optimizer.variables]


def _assign(variables: list[keras.Variable], arrays: list[Array]) -> None:
    found = [(array.shape, str(array.dtype)) for array in arrays]
    wanted = [(tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype)) for variable in variables]
    if found != wanted:
        raise ValueError(f"it holds {len(found)} variables that are not the model's {len(wanted)}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
