"""What may be done to a batch of training, by Keras's own layers, with draws that are functions of the batch alone.

Keras's layers draw from generators that move on with every batch, so a batch would depend on how many were made before it, and in which
thread; on torch their beta distribution seeds the whole process. Here NumPy draws, and the layers do with the pixels what was drawn: the
same on every backend, to a rounding. `RandomColorJitter` draws inside, so the four layers that it is made of stand in its place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from keras import layers
from numpy.typing import NDArray

Tensor = Any
Shape: TypeAlias = tuple[int, ...]
Drawn: TypeAlias = dict[str, NDArray[Any]]

UNIT = (0.0, 1.0)
"""The range of pixels in which saturation and hue are what they are called."""


class Alteration(NamedTuple):
    """One thing that is done to batches.

    Attributes:
        draw: All that chance decides of it, of a batch of images of shape (batch, height, width, channels).
        apply: From images in [-1, 1], labels and what was drawn, to images and labels; what mixes labels asks for shares (batch, classes).
    """

    draw: Callable[[np.random.Generator, Shape], Drawn]
    apply: Callable[[Tensor, Tensor, Drawn], tuple[Tensor, Tensor]]


def mirror(images: NDArray[np.float32], random: np.random.Generator) -> None:
    """Mirror every other image, left to right, in place.

    By NumPy: through Keras's layer a batch of 224x224 took as long as its crops, most of it for the way there and back.
    """
    chosen = random.random(len(images)) < 0.5
    images[chosen] = images[chosen, :, ::-1]


def grayscale(chance: float) -> Alteration:
    """Take the colour from images, and leave them three channels."""
    layer = layers.RandomGrayscale(chance, seed=0, dtype="float32")

    def draw(random: np.random.Generator, shape: Shape) -> Drawn:
        return {"grey": random.random((shape[0], 1, 1, 1)) < chance}

    def apply(images: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        return layer.transform_images(images, drawn["grey"]), labels

    return Alteration(draw, apply)


def color_jitter(strength: float) -> Alteration:
    """Move brightness, contrast, saturation and hue, each image by its own amounts."""
    settings = {"value_range": UNIT, "seed": 0, "dtype": "float32"}
    brightness, contrast = layers.RandomBrightness(0.0, **settings), layers.RandomContrast(0.0, **settings)
    saturation, hue = layers.RandomSaturation(0.0, **settings), layers.RandomHue(0.0, **settings)

    def draw(random: np.random.Generator, shape: Shape) -> Drawn:
        moves = random.uniform(-strength, strength, (4, shape[0])).astype(np.float32)
        each = moves[:, :, None, None, None]
        return {"rgb_delta": each[0] / 2, "contrast_factor": 1 + each[1], "saturation": 1 + moves[2], "hue": moves[3]}

    def apply(images: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        images = (images + 1) / 2
        images = brightness.transform_images(images, drawn)
        images = contrast.transform_images(images, drawn)
        images = saturation.transform_images(images, {"factor": drawn["saturation"]})
        images = hue.transform_images(images, {"factor": drawn["hue"]})
        return images * 2 - 1, labels

    return Alteration(draw, apply)


def mixup(alpha: float) -> Alteration:
    """Blend every image with another of the batch, or with itself."""
    layer = layers.MixUp(seed=0, dtype="float32")

    def draw(random: np.random.Generator, shape: Shape) -> Drawn:
        order = random.permutation(shape[0]).astype(np.int32)
        return {"permutation_order": order, "mix_weight": random.beta(alpha, alpha, shape[0]).astype(np.float32)}

    def apply(images: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        return layer.transform_images(images, drawn), layer.transform_labels(labels, drawn)

    return Alteration(draw, apply)


def cutmix(alpha: float) -> Alteration:
    """Put a rectangle of another image of the batch into every image; labels have the shares of the pixels, counted."""
    layer = layers.CutMix(seed=0, dtype="float32")

    def draw(random: np.random.Generator, shape: Shape) -> Drawn:
        edge = np.sqrt(1 - random.beta(alpha, alpha, shape[0]))  # of the rectangle, as a share of the image's
        masks = _spans(shape[1], edge, random)[:, :, None] & _spans(shape[2], edge, random)[:, None, :]  # (batch, height, width)
        return {
            "permutation_order": random.permutation(shape[0]).astype(np.int32),
            "batch_masks": masks[..., None],
            "mix_weight": 1 - masks.mean(axis=(1, 2), dtype=np.float32),
        }

    def apply(images: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        return layer.transform_images(images, drawn), layer.transform_labels(labels, drawn)

    return Alteration(draw, apply)


def _spans(length: int, shares: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
    """(batch, length), true along a stretch of each share of the length, anywhere in it."""
    stretch = shares * length
    start = random.random(len(shares)) * (length - stretch)
    pixels = np.arange(length)
    return (pixels >= start[:, None]) & (pixels < (start + stretch)[:, None])
