"""What an Augmentation record means in Keras: its own layers, on the host's CPU, with draws that are functions of the batch alone.

Keras's layers draw from generators that move on with every batch, so a batch would depend on how many were made before it, and in which
thread; on torch their beta distribution seeds the whole process. Here NumPy draws, and the layers do with the pixels what was drawn: the
same on every backend, to a rounding. `RandomColorJitter` draws inside, so the four layers that it is made of stand in its place.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from fvsearch.augmentation import Augmentation

Tensor = Any
Floats: TypeAlias = NDArray[np.float32]
Alter: TypeAlias = Callable[[Tensor, np.random.Generator], Tensor]
"""Images (batch, height, width, channels) in [-1, 1] and a source of chance, to images."""

Mix: TypeAlias = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]
"""The same with labels (batch, classes)."""

UNIT = (0.0, 1.0)
"""The range of pixels in which saturation and hue are what they are called."""


class Augmenter:
    """Does to batches what an Augmentation says, its crop aside, which happens where an image is read.

    Args:
        augmentation: What.
        num_classes: Of the labels.
    """

    def __init__(self, augmentation: Augmentation, num_classes: int) -> None:
        self._augmentation, self._num_classes = augmentation, num_classes
        wanted = {
            grayscale: augmentation.grayscale,
            color_jitter: augmentation.color_jitter,
            flip: 0.5 * augmentation.flip,
        }
        self._alter = [make(amount) for make, amount in wanted.items() if amount]
        self._mix = [make(alpha) for make, alpha in ((mixup, augmentation.mixup), (cutmix, augmentation.cutmix)) if alpha]

    def __call__(self, images: Floats, labels: NDArray[np.int32], random: np.random.Generator) -> tuple[Floats, NDArray[Any]]:
        """A batch as it is trained on; where the augmentation mixes labels, they are float32 (batch, classes), else as they came.

        Args:
            images: (batch, height, width, channels) in [-1, 1].
            labels: int32 (batch,).
            random: All chance comes from here.
        """
        if not self._alter and not self._mix:
            return images, labels
        with keras.device("cpu"):
            altered = ops.convert_to_tensor(images)
            for alter in self._alter:
                altered = alter(altered, random)
            if not self._mix:
                return ops.convert_to_numpy(altered), labels
            mix = self._mix[random.integers(len(self._mix))]
            shares = np.eye(self._num_classes, dtype=np.float32)[labels]  # (batch, classes)
            altered, mixed = mix(altered, ops.convert_to_tensor(shares), random)
            return ops.convert_to_numpy(altered), ops.convert_to_numpy(mixed)


def flip(chance: float) -> Alter:
    """Mirror images, left to right."""
    layer = layers.RandomFlip("horizontal", seed=0, dtype="float32")

    def alter(images: Tensor, random: np.random.Generator) -> Tensor:
        flips = ops.convert_to_tensor(random.random((len(images), 1, 1, 1)) < chance)
        return layer.transform_images(images, {"flips": flips, "input_shape": images.shape})

    return alter


def grayscale(chance: float) -> Alter:
    """Take the colour from images, and leave them three channels."""
    layer = layers.RandomGrayscale(chance, seed=0, dtype="float32")

    def alter(images: Tensor, random: np.random.Generator) -> Tensor:
        return layer.transform_images(images, ops.convert_to_tensor(random.random((len(images), 1, 1, 1)) < chance))

    return alter


def color_jitter(strength: float) -> Alter:
    """Move brightness, contrast, saturation and hue, each image by its own amounts."""
    settings = {"value_range": UNIT, "seed": 0, "dtype": "float32"}
    brightness, contrast = layers.RandomBrightness(0.0, **settings), layers.RandomContrast(0.0, **settings)
    saturation, hue = layers.RandomSaturation(0.0, **settings), layers.RandomHue(0.0, **settings)

    def alter(images: Tensor, random: np.random.Generator) -> Tensor:
        moves = ops.convert_to_tensor(random.uniform(-strength, strength, (4, len(images))).astype(np.float32))
        each = ops.reshape(moves, (4, -1, 1, 1, 1))
        images = (images + 1) / 2
        images = brightness.transform_images(images, {"rgb_delta": each[0] / 2})
        images = contrast.transform_images(images, {"contrast_factor": 1 + each[1]})
        images = saturation.transform_images(images, {"factor": 1 + moves[2]})
        images = hue.transform_images(images, {"factor": moves[3]})
        return images * 2 - 1

    return alter


def mixup(alpha: float) -> Mix:
    """Blend every image with another of the batch, or with itself."""
    layer = layers.MixUp(seed=0, dtype="float32")

    def mix(images: Tensor, labels: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        drawn = {
            "permutation_order": ops.convert_to_tensor(random.permutation(len(images)).astype(np.int32)),
            "mix_weight": ops.convert_to_tensor(random.beta(alpha, alpha, len(images)).astype(np.float32)),
        }
        return layer.transform_images(images, drawn), layer.transform_labels(labels, drawn)

    return mix


def cutmix(alpha: float) -> Mix:
    """Put a rectangle of another image of the batch into every image; labels have the shares of the pixels, counted."""
    layer = layers.CutMix(seed=0, dtype="float32")

    def mix(images: Tensor, labels: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        count, height, width, _ = images.shape
        edge = np.sqrt(1 - random.beta(alpha, alpha, count))  # of the rectangle, as a share of the image's
        masks = _spans(height, edge, random)[:, :, None] & _spans(width, edge, random)[:, None, :]  # (batch, height, width)
        drawn = {
            "permutation_order": ops.convert_to_tensor(random.permutation(count).astype(np.int32)),
            "batch_masks": ops.convert_to_tensor(masks[..., None]),
            "mix_weight": ops.convert_to_tensor(1 - masks.mean(axis=(1, 2), dtype=np.float32)),
        }
        return layer.transform_images(images, drawn), layer.transform_labels(labels, drawn)

    return mix


def _spans(length: int, shares: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
    """(batch, length), true along a stretch of each share of the length, anywhere in it."""
    stretch = shares * length
    start = random.random(len(shares)) * (length - stretch)
    pixels = np.arange(length)
    return (pixels >= start[:, None]) & (pixels < (start + stretch)[:, None])
