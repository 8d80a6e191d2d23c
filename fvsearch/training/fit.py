"""Epochs of Keras's `fit`, one call an epoch, each a pure function of (state before, seed, epoch).

One call an epoch, on images in that epoch's order, is what makes a resumed training bit for bit the unbroken one: nothing but variables
crosses an epoch's end. The last, smaller batch of an epoch is left out (other images each time), so a step has one shape and compiles once.
"""

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from fvsearch.arch import Arch
from fvsearch.data import ArrayPair, SearchSplits, as_arrays
from fvsearch.errors import ConfigError, TrainingError
from fvsearch.models import build_model
from fvsearch.recipe import Recipe
from fvsearch.study import Data
from fvsearch.training.metrics import EpochMetrics
from fvsearch.training.recipe import make_optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHECK_EVERY = 50
"""Steps between two looks at the loss: a look waits for the device."""


def recipe_model(arch: Arch, data: Data, recipe: Recipe, seed: int) -> keras.Model:
    """The model that a recipe trains, its weights as the seed gives them, not compiled."""
    return build_model(
        arch,
        image_shape=data.image_shape,
        num_classes=data.num_classes,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        dtype=recipe.dtype,
        seed=seed,
    )


def compile_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Give a model the loss, metrics and optimizer that training, evaluation and meters share.

    The loss is the mean cross-entropy of logits; metrics are top1 and top5 (of fewer classes, as many as there are).

    Args:
        model: Images to logits (batch, classes).
        recipe: For the optimizer.
        steps_per_epoch: Optimizer steps in an epoch.
    """
    _compile(model, make_optimizer(recipe, steps_per_epoch, model.trainable_variables))


def compile_for_evaluation(model: keras.Model) -> None:
    """Give a trained model the same loss and metrics, and no optimizer."""
    _compile(model, None)


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer | None) -> None:
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="top1"),
            keras.metrics.SparseTopKCategoricalAccuracy(min(5, model.output_shape[-1]), name="top5"),
        ],
    )


def steps_per_epoch(recipe: Recipe, num_images: int) -> int:
    """Whole batches in the training split.

    Raises:
        ConfigError: There is none.
    """
    steps = num_images // recipe.batch_size
    if steps == 0:
        raise ConfigError(f"`batch_size` must be at most the training split's {num_images} images, but got {recipe.batch_size} at recipe")
    return steps


def epoch_order(seed: int, epoch: int, num_images: int) -> "NDArray[np.int64]":
    """The images of an epoch, each once, in the order that (seed, epoch) gives."""
    return np.random.default_rng((seed, epoch)).permutation(num_images)


def train_epochs(
    model: keras.Model, recipe: Recipe, splits: SearchSplits, seed: int, epochs: range, watch: "Stopwatch"
) -> Iterator[EpochMetrics]:
    """Train a compiled model, and yield each epoch's metrics when its variables stand.

    Args:
        model: As epoch `epochs.start` begins.
        recipe: For epochs and batch size.
        splits: To train on, and to score on after each epoch.
        seed: Of the orders.
        epochs: Which to train, counted from 0.
        watch: Takes the time of compiling.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    train, validation = map(as_arrays, splits)
    taken = steps_per_epoch(recipe, len(train.labels)) * recipe.batch_size
    guard = LossGuard()
    for epoch in epochs:
        order = epoch_order(seed, epoch, len(train.labels))[:taken]
        watch.start()
        history = model.fit(
            train.images[order],
            train.labels[order],
            batch_size=recipe.batch_size,
            shuffle=False,
            initial_epoch=epoch,
            epochs=epoch + 1,
            validation_data=validation,
            validation_batch_size=evaluation_batch_size(len(validation.labels), recipe.batch_size),
            callbacks=[guard, watch],
            verbose=0,
        )
        logs = {name: float(values[-1]) for name, values in history.history.items()}
        for name, place in (("loss", "loss"), ("val_loss", "validation loss")):
            if not math.isfinite(logs[name]):
                raise TrainingError(f"{place} became {_not_finite(logs[name])} in epoch {epoch + 1} of {recipe.epochs}")
        yield EpochMetrics(
            epoch=epoch,
            seconds=watch.elapsed(),
            loss=logs["val_loss"],
            top1=logs["val_top1"],
            top5=logs["val_top5"],
            train_loss=logs["loss"],
            train_top1=logs["top1"],
            train_top5=logs["top5"],
        )


def evaluate(model: keras.Model, pair: ArrayPair, batch_size: int) -> dict[str, float]:
    """loss, top1 and top5 of a compiled model; each image counts once."""
    size = evaluation_batch_size(len(pair.labels), batch_size)
    scores = model.evaluate(pair.images, pair.labels, batch_size=size, return_dict=True, verbose=0)
    return {name: float(scores[name]) for name in ("loss", "top1", "top5")}


def evaluation_batch_size(num_images: int, limit: int) -> int:
    """The largest batch up to the limit that divides the images, if it is not below half of it: then a step compiles once.

    Never above the batch of training, whose memory is what a budget is kept for: 360 images at a limit of 64 go in 6 batches of 60.
    """
    limit = min(limit, num_images)
    return next((size for size in range(limit, limit // 2, -1) if num_images % size == 0), limit)


class LossGuard(keras.callbacks.Callback):
    """Ends an epoch once its mean loss is no longer finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, every so often."""
        if logs and batch % CHECK_EVERY == CHECK_EVERY - 1 and not math.isfinite(float(logs["loss"])):
            self.model.stop_training = True


class Stopwatch(keras.callbacks.Callback):
    """Times epochs, and the first steps of training and of evaluation, which trace and compile.

    Attributes:
        compile_seconds: Of the first step of each, the step itself counted in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compile_seconds = 0.0
        self._started = self._testing = 0.0
        self._seen: set[str] = set()

    def start(self) -> None:
        """An epoch begins."""
        self._started = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the epoch began."""
        return time.perf_counter() - self._started

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The first step of training is over."""
        self._compiled("train", self._started)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Evaluation begins."""
        self._testing = time.perf_counter()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The first step of evaluation is over."""
        self._compiled("test", self._testing)

    def _compiled(self, step: str, since: float) -> None:
        if step not in self._seen:
            self._seen.add(step)
            self.compile_seconds += time.perf_counter() - since


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"
