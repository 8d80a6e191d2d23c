"""A program: writes what this backend makes of the same weights and images, for test_across_backends.py to compare.

    KERAS_BACKEND=... python parity.py FOLDER

For each arch FOLDER/<backend>.npz holds the initial weights, and at shaken weights the logits and the gradients of a cross-entropy.
The model is saved as FOLDER/<arch>.<backend>.keras; every such file already there is loaded, and its logits are held too. A second
call loads only.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from fvsearch.archs.arch import Arch, Stage
from fvsearch.models import build_model


def _stage(depth, width, num_heads, **pooling):
    return Stage(depth=depth, width=width, mlp_dim=3 * width, num_heads=num_heads, **pooling)


ARCHS = {
    "mean": Arch(patch_size=2, stages=(_stage(1, 16, 2), _stage(2, 16, 2, pool_stride=2), _stage(1, 16, 2, pool_stride=2))),
    "max_naive": Arch(
        patch_size=2,
        stages=(_stage(1, 16, 2), _stage(1, 16, 4, pool_stride=4, pooling="max")),
        pool_query_only=False,
        activation="gelu_tanh",
    ),
    "widths": Arch(patch_size=2, stages=(_stage(1, 16, 2), _stage(1, 24, 3, pool_stride=2), _stage(1, 8, 1)), activation="relu"),
}
SHAPE = (6, 10, 3)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, *SHAPE)).astype("float32")
LABELS = RNG.integers(0, 5, 4)


def loss_of(logits):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True))


def _gradients_on_jax(model):
    import jax

    variables = [variable.value for variable in model.trainable_variables]
    seeds = [variable.value for variable in model.non_trainable_variables]
    return jax.jit(jax.grad(lambda values: loss_of(model.stateless_call(values, seeds, IMAGES)[0])))(variables)


def _gradients_on_tensorflow(model):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = loss_of(model(IMAGES))
    return tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def _gradients_on_torch(model):
    loss_of(model(IMAGES)).backward()
    return [variable.value.grad for variable in model.trainable_variables]


GRADIENTS = {"jax": _gradients_on_jax, "tensorflow": _gradients_on_tensorflow, "torch": _gradients_on_torch}


def compute(folder):
    """Initial weights, logits and gradients of every arch; the models, saved."""
    backend = keras.backend.backend()
    found = {}
    for name, arch in ARCHS.items():
        model = build_model(arch, image_shape=SHAPE, num_classes=5, dropout=0.1, stochastic_depth=0.1, seed=7)
        rng = np.random.default_rng(1)
        for variable, value in zip(model.weights, model.get_weights(), strict=True):
            found[f"{name}:initial:{variable.path}"] = value
        model.set_weights([value + rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
        found[f"{name}:logits"] = model.predict_on_batch(IMAGES)
        for variable, gradient in zip(model.trainable_variables, GRADIENTS[backend](model), strict=True):
            found[f"{name}:gradient:{variable.path}"] = ops.convert_to_numpy(gradient)
        model.save(folder / f"{name}.{backend}.keras")
    return found


def main(folder):
    """Computes, or on a second call takes what the first computed; then loads every model there is."""
    file = folder / f"{keras.backend.backend()}.npz"
    found = dict(np.load(file)) if file.exists() else compute(folder)
    for path in sorted(folder.glob("*.keras")):
        if f"loaded:{path.stem}" not in found:
            found[f"loaded:{path.stem}"] = keras.saving.load_model(path).predict_on_batch(IMAGES)
    np.savez(file, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
