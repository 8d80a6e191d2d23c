"""What an Augmentation record means: alterations one after the other, on the host's CPU, compiled where the backend compiles."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from fvsearch.augmentation import Augmentation
from fvsearch.training.alterations import Alteration, Drawn, Tensor, color_jitter, cutmix, flip, grayscale, mixup

Floats: TypeAlias = NDArray[np.float32]


class Augmenter:
    """Does to batches what an Augmentation says, its crop aside, which happens where an image is read.

    Args:
        augmentation: What.
        num_classes: Of the labels.
    """

    def __init__(self, augmentation: Augmentation, num_classes: int) -> None:
        wanted = {
            grayscale: augmentation.grayscale,
            color_jitter: augmentation.color_jitter,
            flip: 0.5 * augmentation.flip,
        }
        always = [make(amount) for make, amount in wanted.items() if amount]
        mixes = [make(alpha) for make, alpha in ((mixup, augmentation.mixup), (cutmix, augmentation.cutmix)) if alpha]
        # Of which a batch gets one.
        self._choices = [Chain([*always, mix]) for mix in mixes] or [Chain(always)]
        self._alters, self._mixes = bool(always or mixes), bool(mixes)
        self._num_classes = num_classes

    def __call__(self, images: Floats, labels: NDArray[np.int32], random: np.random.Generator) -> tuple[Floats, NDArray[Any]]:
        """A batch as it is trained on; where the augmentation mixes labels, they are float32 (batch, classes), else as they came.

        Args:
            images: (batch, height, width, channels) in [-1, 1].
            labels: int32 (batch,).
            random: All chance comes from here.
        """
        if not self._alters:
            return images, labels
        choice = self._choices[random.integers(len(self._choices))]
        shares = np.eye(self._num_classes, dtype=np.float32)[labels]  # (batch, classes)
        altered, mixed = choice(images, shares, random)
        return altered, mixed if self._mixes else labels


class Chain:
    """Alterations one after the other, as one compiled function where the backend compiles.

    Args:
        alterations: In their order.
    """

    def __init__(self, alterations: Sequence[Alteration]) -> None:
        self._alterations = alterations
        self._apply = COMPILED[keras.backend.backend()](self._apply_all)

    def __call__(self, images: Floats, shares: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Images and labels (batch, classes), altered."""
        drawn = [alteration.draw(random, images.shape) for alteration in self._alterations]
        with keras.device("cpu"):
            altered, mixed = self._apply(images, shares, drawn)
            return ops.convert_to_numpy(altered), ops.convert_to_numpy(mixed)

    def _apply_all(self, images: Tensor, shares: Tensor, drawn: list[Drawn]) -> tuple[Tensor, Tensor]:
        images, shares = ops.convert_to_tensor(images), ops.convert_to_tensor(shares)
        for alteration, values in zip(self._alterations, drawn, strict=True):
            images, shares = alteration.apply(images, shares, {name: ops.convert_to_tensor(value) for name, value in values.items()})
        return images, shares


def _jax(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    return jax.jit(function)


def _tensorflow(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    # Batches come as NumPy arrays, by whose values it would trace again and again.
    traced = tf.function(function)
    return lambda *batch: traced(*tf.nest.map_structure(tf.convert_to_tensor, batch))


COMPILED: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "jax": _jax,
    "tensorflow": _tensorflow,
    "torch": lambda function: function,
}
