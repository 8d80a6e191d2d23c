"""What an Augmentation record means: alterations one after the other, on the host's CPU, compiled where the backend compiles."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from fvsearch.study.augmentation import Augmentation
from fvsearch.training.alterations import Alteration, Drawn, Tensor, color_jitter, cutmix, grayscale, mirror, mixup

Floats: TypeAlias = NDArray[np.float32]


class Augmenter:
    """Does to batches what an Augmentation says, its crop aside, which happens where an image is read.

    Args:
        augmentation: What.
        num_classes: Of the labels.
    """

    def __init__(self, augmentation: Augmentation, num_classes: int) -> None:
        colours = ((grayscale, augmentation.grayscale), (color_jitter, augmentation.color_jitter))
        always = [make(amount) for make, amount in colours if amount]
        mixes = [make(alpha) for make, alpha in ((mixup, augmentation.mixup), (cutmix, augmentation.cutmix)) if alpha]
        # Of which a batch gets one, if there is any.
        self._choices = [Chain([*always, mix]) for mix in mixes] or [Chain(always)] * bool(always)
        self._flips, self._mixes = augmentation.flip, bool(mixes)
        self._num_classes = num_classes

    def __call__(self, images: Floats, labels: NDArray[np.int32], random: np.random.Generator) -> tuple[Floats, NDArray[Any]]:
        """A batch as it is trained on; where the augmentation mixes labels, they are float32 (batch, classes), else as they came.

        Args:
            images: (batch, height, width, channels) in [-1, 1]; they are handed over, and may change.
            labels: int32 (batch,).
            random: All chance comes from here.
        """
        if self._flips:  # colours do not mind which side is left
            mirror(images, random)
        if not self._choices:
            return images, labels
        choice = self._choices[random.integers(len(self._choices))]
        altered, mixed = choice(images, self._shares(labels) if self._mixes else labels, random)
        return altered, mixed if self._mixes else labels

    def _shares(self, labels: NDArray[np.int32]) -> Floats:
        """Labels as shares of classes, (batch, classes)."""
        shares = np.zeros((len(labels), self._num_classes), np.float32)
        shares[np.arange(len(labels)), labels] = 1
        return shares


class Chain:
    """Alterations one after the other, as one compiled function where the backend compiles.

    Args:
        alterations: In their order.
    """

    def __init__(self, alterations: Sequence[Alteration]) -> None:
        self._alterations = alterations
        self._apply = COMPILED[keras.backend.backend()](self._apply_all)

    def __call__(self, images: Floats, labels: NDArray[Any], random: np.random.Generator) -> tuple[Floats, NDArray[Any]]:
        """Images, and labels, altered; for what mixes labels they are shares of classes (batch, classes)."""
        drawn = [alteration.draw(random, images.shape) for alteration in self._alterations]
        with keras.device("cpu"):
            altered, mixed = self._apply(images, labels, drawn)
            return ops.convert_to_numpy(altered), ops.convert_to_numpy(mixed)

    def _apply_all(self, images: Tensor, labels: Tensor, drawn: list[Drawn]) -> tuple[Tensor, Tensor]:
        images, labels = ops.convert_to_tensor(images), ops.convert_to_tensor(labels)
        for alteration, values in zip(self._alterations, drawn, strict=True):
            images, labels = alteration.apply(images, labels, {name: ops.convert_to_tensor(value) for name, value in values.items()})
        return images, labels


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
