"""PyTorch's files of weights, as arrays. They are pickles: PyTorch is told to make tensors of them and nothing else."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fvsearch.errors import ConfigError
from fvsearch.files import require_modest_zip

NESTS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where checkpoints keep a model's weights, the averaged before the last, as timm looks for them."""

WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")
"""What torch.compile and DistributedDataParallel put before every key, in either order."""


def read_state(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A state dict's arrays by key, and what a user should know of where they were.

    Raises:
        ConfigError: The file does not load without making other objects, or holds no state dict.
    """
    require_modest_zip(path)
    try:
        # timm's training script puts its arguments beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:
        line = next(iter(str(error).strip().splitlines()), "")
        raise ConfigError(f"{path} does not load as PyTorch's weights and nothing but weights: {type(error).__name__}: {line}") from None
    nest = next((key for key in NESTS if isinstance(loaded, dict) and isinstance(loaded.get(key), dict)), None)
    state = loaded[nest] if nest else loaded
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConfigError(f"PyTorch's file must hold a state dict, tensors by name, but {path} does not")
    arrays = {_bare(str(key)): _array(value) for key, value in state.items()}
    return arrays, (f"of what the checkpoint holds, `{nest}` was taken",) if nest else ()


def _bare(key: str) -> str:
    for wrapper in WRAPPERS:
        key = key.removeprefix(wrapper)
    return key


def _array(tensor: torch.Tensor) -> Any:
    """As NumPy has it; bfloat16, which NumPy has not, widened."""
    return np.asarray(tensor.float() if tensor.dtype == torch.bfloat16 else tensor)
