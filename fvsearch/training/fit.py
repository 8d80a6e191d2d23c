"""Epochs of Keras's `fit`, one call an epoch, each a pure function of (state before, seed, epoch).

One call an epoch, on images in that epoch's order, is what makes a resumed training bit for bit the unbroken one: nothing but variables
crosses an epoch's end. The last, smaller batch of an epoch is left out (other images each time), so a step has one shape and compiles once.
A recipe's `accumulate` steps of the device make an optimizer step; an epoch has whole optimizer steps.
"""

import math
import time
from collections.abc import Iterator
from typing import Any

import keras

from fvsearch.archs.arch import Arch
from fvsearch.data import SearchSplits
from fvsearch.errors import ConfigError, TrainingError
from fvsearch.models import build_model
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.training.device import Devices
from fvsearch.training.feeding import Split, as_validation, feeding, scoring
from fvsearch.training.loss import ENTROPY, CrossEntropy, Top1, TopK, cross_entropy
from fvsearch.training.metrics import EpochMetrics, InputPace
from fvsearch.training.recipe import make_optimizer
from fvsearch.training.steps import JudgedByAverage

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

    The loss is the mean cross-entropy of logits, with the recipe's label smoothing; metrics are top1 and top5 (of fewer classes, as many as
    there are), and the cross-entropy without smoothing where the loss has some. Labels are integers (batch,) or shares (batch, classes).

    Args:
        model: Images to logits (batch, classes).
        recipe: For optimizer and loss.
        steps_per_epoch: Optimizer steps in an epoch.
    """
    _compile(model, make_optimizer(recipe, steps_per_epoch, model.trainable_variables), recipe.label_smoothing)


def compile_for_evaluation(model: keras.Model) -> None:
    """Give a trained model the same loss, without smoothing, and metrics, and no optimizer."""
    _compile(model, None)


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer | None, label_smoothing: float = 0.0) -> None:
    entropy = [keras.metrics.MeanMetricWrapper(cross_entropy, name=ENTROPY)] if label_smoothing else []
    model.compile(
        optimizer=optimizer,
        loss=CrossEntropy(label_smoothing),
        metrics=[Top1(name="top1"), TopK(min(5, model.output_shape[-1]), name="top5"), *entropy],
    )


def judging(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """The callbacks by which evaluations within `fit` see the weights that the recipe's model is judged by."""
    return [] if recipe.ema is None else [JudgedByAverage()]


def steps_per_epoch(recipe: Recipe, num_images: int) -> int:
    """Optimizer steps in an epoch: whole batches in the training split.

    Raises:
        ConfigError: There is none, or the warm-up is longer than the training.
    """
    steps = num_images // recipe.batch_size
    if steps == 0:
        raise ConfigError(f"`batch_size` must be at most the training split's {num_images} images, but got {recipe.batch_size} at recipe")
    if recipe.warmup(steps) > recipe.epochs * steps:
        raise ConfigError(
            f"`warmup_steps` must be at most the training's {recipe.epochs * steps:,} steps, {recipe.epochs} epochs of {steps:,}, "
            f"but got {recipe.warmup(steps):,} at recipe"
        )
    return steps


def train_epochs(
    model: keras.Model,
    recipe: Recipe,
    splits: SearchSplits,
    seed: int,
    epochs: range,
    watch: "Stopwatch",
    devices: Devices | None = None,
) -> Iterator[EpochMetrics]:
    """Train a compiled model, and yield each epoch's metrics when its variables stand.

    Args:
        model: As epoch `epochs.start` begins.
        recipe: As the model was compiled for.
        splits: To train on, and to score on after each epoch.
        seed: Of the orders.
        epochs: Which to train, counted from 0.
        watch: Takes the time of compiling.
        devices: That run the steps; one unless said.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    devices = devices or Devices()
    train, validation = splits
    guard = LossGuard()
    with feeding(model, train, recipe, seed, epochs) as feed:
        for epoch in epochs:
            watch.start()
            before = feed.waited
            with scoring(model, validation, recipe.step_batch_size, devices.count) as scored:
                history = devices.fit(
                    model,
                    **feed.epoch(epoch),
                    shuffle=False,
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    **as_validation(scored),
                    callbacks=[guard, *judging(recipe), watch, *feed.callbacks],
                    verbose=0,
                )
            logs = {name: float(values[-1]) for name, values in history.history.items()}
            for name, place in (("loss", "loss"), ("val_loss", "validation loss")):
                if not math.isfinite(logs[name]):
                    raise TrainingError(f"{place} became {_not_finite(logs[name])} in epoch {epoch + 1} of {recipe.epochs}")
            watch.input_pace = feed.pace
            yield EpochMetrics(
                epoch=epoch,
                seconds=watch.elapsed(),
                loss=logs.get(f"val_{ENTROPY}", logs["val_loss"]),
                top1=logs["val_top1"],
                top5=logs["val_top5"],
                train_loss=logs.get(ENTROPY, logs["loss"]),
                train_top1=logs["top1"],
                train_top5=logs["top5"],
                waited=feed.waited - before,
                learning_rate=float(model.optimizer.learning_rate),
            )


def evaluate(model: keras.Model, split: Split, batch_size: int) -> dict[str, float]:
    """loss, top1 and top5 of a compiled model; each image counts once."""
    with scoring(model, split, batch_size) as scored:
        scores = model.evaluate(**scored, return_dict=True, verbose=0)
    return {name: float(scores[name]) for name in ("loss", "top1", "top5")}


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
        input_pace: How fast images came; none where they were all there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compile_seconds = 0.0
        self.input_pace: InputPace | None = None
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
