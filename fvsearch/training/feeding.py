"""How images get to Keras's `fit` and `evaluate`: whole arrays where nothing more is wanted, else batches made ahead of the step."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

import keras

from fvsearch.data import ArrayPair
from fvsearch.data.array_images import ArrayImages
from fvsearch.data.images import Images
from fvsearch.study.recipe import Recipe
from fvsearch.training.batches import EvaluationBatches, TrainingBatches, epoch_order, evaluation_batch_size
from fvsearch.training.metrics import InputPace
from fvsearch.training.pace import Pace
from fvsearch.training.stream import Stream, for_keras

Split: TypeAlias = ArrayPair | Images
Arguments: TypeAlias = Mapping[str, Any]
"""Of `keras.Model.fit` or `evaluate`."""


class Feed(Protocol):
    """What a training trains on, an epoch at a time.

    Attributes:
        callbacks: To go along.
    """

    callbacks: list[keras.callbacks.Callback]

    @property
    def waited(self) -> float:
        """Seconds that steps waited for images, in all epochs so far."""
        ...

    @property
    def pace(self) -> InputPace | None:
        """How fast images came; none where they were all there."""
        ...

    def epoch(self, epoch: int) -> Arguments:
        """Of `fit`, for the epoch."""
        ...


class WholeArrays:
    """An epoch's images as one array, in the epoch's order; no step waits.

    Args:
        train: To train on.
        recipe: For the batch size.
        seed: Of the orders.
    """

    waited = 0.0
    pace = None

    def __init__(self, train: ArrayPair, recipe: Recipe, seed: int) -> None:
        self._train, self._recipe, self._seed = train, recipe, seed
        self.callbacks: list[keras.callbacks.Callback] = []

    def epoch(self, epoch: int) -> Arguments:
        """Of `fit`, for the epoch; the last, smaller batch is left out."""
        num_images = len(self._train.labels)
        order = epoch_order(self._seed, epoch, num_images)[: num_images // self._recipe.batch_size * self._recipe.batch_size]
        return {"x": self._train.images[order], "y": self._train.labels[order], "batch_size": self._recipe.step_batch_size}


class MadeAhead:
    """One stream of batches through all epochs: while one epoch is scored, the first batches of the next are made.

    Args:
        model: That is trained.
        batches: Of the training.
        stream: Of them, from the first epoch on.
        pace: Takes the time.
    """

    def __init__(self, model: keras.Model, batches: TrainingBatches, stream: Stream, pace: Pace) -> None:
        self._model, self._steps, self._stream, self._pace = model, batches.steps, stream, pace
        self.callbacks: list[keras.callbacks.Callback] = [pace]
        pace.follow(stream)

    @property
    def waited(self) -> float:
        """Seconds that steps waited for images, in all epochs so far."""
        return self._stream.waited

    @property
    def pace(self) -> InputPace | None:
        """How fast images came."""
        return self._pace.result()

    def epoch(self, epoch: int) -> Arguments:
        """Of `fit`, for the epoch."""
        assert self._stream.taken % self._steps == 0, "the epoch before was taken whole"
        self._pace.begin_epoch()
        return {"x": for_keras(self._stream.take(self._steps), self._model), "steps_per_epoch": self._steps}


@contextlib.contextmanager
def feeding(model: keras.Model, train: Split, recipe: Recipe, seed: int, epochs: range) -> Iterator[Feed]:
    """What feeds a model's training, by what its images are and what is done to them; threads end with the block.

    Args:
        model: Says the size of images and the number of classes.
        train: To train on.
        recipe: For batch size and augmentation.
        seed: Of the training.
        epochs: That will be asked for, one after the other.
    """
    if isinstance(train, ArrayPair) and not recipe.augmentation.alters:
        yield WholeArrays(train, recipe, seed)
        return
    batches = TrainingBatches(as_images(train), recipe, seed, model.output_shape[-1])
    size = batch_bytes(model, recipe.step_batch_size)
    pace = Pace(recipe.step_batch_size)
    if epochs.start == 0:
        with Stream(batches, range(batches.steps), size) as stream:
            pace.measure_alone(stream.take(batches.steps))
    with Stream(batches, range(epochs.start * batches.steps, epochs.stop * batches.steps), size) as stream:
        yield MadeAhead(model, batches, stream, pace)


@contextlib.contextmanager
def scoring(model: keras.Model, split: Split, limit: int, devices: int = 1) -> Iterator[Arguments]:
    """Arguments of `evaluate` that score a model on every image of a split once, without augmentation.

    Args:
        model: Says the size of images.
        split: To score on.
        limit: Of the images in a batch.
        devices: Among which a batch is to divide.
    """
    size = evaluation_batch_size(len(split.labels), limit, devices)
    if isinstance(split, ArrayPair):
        yield {"x": split.images, "y": split.labels, "batch_size": size}
        return
    batches = EvaluationBatches(split, size)
    with Stream(batches, range(batches.steps), batch_bytes(model, size)) as stream:
        yield {"x": for_keras(stream.take(batches.steps), model), "steps": batches.steps}


def as_validation(scored: Arguments) -> Arguments:
    """Arguments of `evaluate` as `fit` takes them."""
    rest = {f"validation_{name}": scored[name] for name in ("batch_size", "steps") if name in scored}
    return {"validation_data": (scored["x"], scored["y"]) if "y" in scored else scored["x"], **rest}


def as_images(split: Split) -> ArrayImages | Images:
    """A split as images that are read when a batch wants them."""
    return ArrayImages(split) if isinstance(split, ArrayPair) else split


def batch_bytes(model: keras.Model, batch_size: int) -> int:
    """Of a batch of float32 images."""
    return 4 * batch_size * math.prod(model.input_shape[1:])
