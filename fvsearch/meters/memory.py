"""step_memory: how much device memory a model's step needs, asked ahead of training.

How each backend answers:

    jax         the step compiled ahead of time, XLA's own plan; nothing runs, and training reuses the compiled step
    torch       on CUDA one real step; on CPU the step on fake tensors, counting the storages alive; no arithmetic runs
    tensorflow  on a GPU one real step; on CPU the step's graph, counting the tensors alive; nothing runs
"""

import keras
import numpy as np

from fvsearch.meters.backend import Batch, meter
from fvsearch.meters.measured import StepMemory
from fvsearch.study.budgets import Phase


def step_memory(model: keras.Model, image_shape: tuple[int, int, int], batch_size: int, phase: Phase) -> StepMemory:
    """Peak device memory of one step of a compiled model, weights and optimizer state counted in.

    In training it is the step of `model.fit`: forward, loss, metrics, backward, optimizer; in inference that of `model.predict`.
    Weights, optimizer state and seed generators stay as they are, bit for bit.

    Args:
        model: Takes images (batch, height, width, channels) and integer labels (batch,).
        image_shape: (height, width, channels).
        batch_size: Images per step.
        phase: "training" or "inference".
    """
    batch = synthetic_batch(image_shape, model.output_shape[-1], batch_size)
    prepare(model, batch)
    return meter().step_memory(model, batch, phase)


def synthetic_batch(image_shape: tuple[int, int, int], num_classes: int, batch_size: int, seed: int = 0) -> Batch:
    """Images (batch, height, width, channels) of noise, float32, and labels (batch,), int32."""
    random = np.random.default_rng(seed)
    images = random.standard_normal((batch_size, *image_shape), dtype=np.float32)
    return images, random.integers(num_classes, size=batch_size, dtype=np.int32)


def prepare(model: keras.Model, batch: Batch) -> None:
    """Make the variables of loss, metrics and optimizer, as `fit` does before its first step."""
    model._symbolic_build(data_batch=batch)
