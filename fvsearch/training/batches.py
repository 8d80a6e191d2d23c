"""Batches as pure functions of where they stand: (seed, epoch, step) for training, the step for evaluation.

Nothing is carried from batch to batch, so threads may make them ahead in any order, and a resumed training gets the batches of the
unbroken one.
"""

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fvsearch.data.array_images import ArrayImages
from fvsearch.data.crops import draw_crops
from fvsearch.data.images import Images
from fvsearch.study.recipe import Recipe
from fvsearch.training.augmenting import Augmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray

Batch: TypeAlias = "tuple[NDArray[np.float32], NDArray[Any]]"
"""Images (batch, height, width, channels), and labels: int32 (batch,), or float32 (batch, classes) where they are mixed."""


class TrainingBatches:
    """The batches of a training, by their index from its beginning on: step 2 of epoch 3, at 10 steps an epoch, is 32.

    Args:
        images: To train on.
        recipe: For batch size and augmentation.
        seed: Of the training.
        num_classes: Of the labels.

    Attributes:
        steps: Of the device in an epoch: whole batches, each in as many parts as gradients are accumulated of.
    """

    def __init__(self, images: ArrayImages | Images, recipe: Recipe, seed: int, num_classes: int) -> None:
        self._images, self._recipe, self._seed = images, recipe, seed
        self._augment = Augmenter(recipe.augmentation, num_classes)
        self.steps = len(images) // recipe.batch_size * recipe.accumulate

    def __call__(self, index: int) -> Batch:
        """The batch at an index."""
        epoch, step = divmod(index, self.steps)
        size, crop = self._recipe.step_batch_size, self._recipe.augmentation.crop
        indices = _order(self._seed, epoch, len(self._images))[step * size : (step + 1) * size]
        # From 1: the seeds (s, e) and (s, e, 0) give the same numbers, and (s, e) is the order's.
        random = np.random.default_rng((self._seed, epoch, step + 1))
        images = self._images.read(indices, draw_crops(random, size, crop) if crop else None)
        return self._augment(images, self._images.labels[indices], random)


class EvaluationBatches:
    """The batches of an evaluation, every image once, in order; the last may be smaller.

    Args:
        images: To score on.
        batch_size: In a batch, at most.

    Attributes:
        steps: Batches there are.
    """

    def __init__(self, images: ArrayImages | Images, batch_size: int) -> None:
        self._images, self._batch_size = images, batch_size
        self.steps = -(-len(images) // batch_size)

    def __call__(self, index: int) -> Batch:
        """The batch at an index."""
        indices = np.arange(index * self._batch_size, min((index + 1) * self._batch_size, len(self._images)))
        return self._images.read(indices), self._images.labels[indices]


def epoch_order(seed: int, epoch: int, num_images: int) -> "NDArray[np.int64]":
    """The images of an epoch, each once, in the order that (seed, epoch) gives."""
    return np.random.default_rng((seed, epoch)).permutation(num_images)


_order = functools.lru_cache(maxsize=2)(epoch_order)
"""Threads at an epoch's turn want two of them, again and again."""


def evaluation_batch_size(num_images: int, limit: int, devices: int = 1) -> int:
    """The largest batch up to the limit that divides the images, if it is not below half of it: then a step compiles once.

    Never above the batch of training, whose memory is what a budget is kept for: 360 images at a limit of 64 go in 6 batches of 60. Among
    several devices it divides.
    """
    limit = max(devices, min(limit, num_images) // devices * devices)
    return next((size for size in range(limit, limit // 2, -devices) if num_images % size == 0), limit)
