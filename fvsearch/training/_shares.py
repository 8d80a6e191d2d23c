"""Batches of a training or a validation, and the parts of them that devices take."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import keras

Batch = tuple[Any, Any]
"""Images (batch, height, width, channels), and labels (batch,) or (batch, classes)."""


def batches_of(data: tuple[Any, Any] | Iterable[Batch], batch_size: int | None = None) -> Iterator[Batch]:
    """The batches that Keras's `fit` takes of the same, unshuffled.

    Args:
        data: (images, labels), arrays of a whole split; or what yields batches.
        batch_size: Of the arrays' batches; the last may be smaller.
    """
    if not isinstance(data, tuple):
        yield from data
        return
    images, labels = data
    size = batch_size or len(labels)
    for start in range(0, len(labels), size):
        yield images[start : start + size], labels[start : start + size]


def share_of(batch: Batch, rank: int, count: int) -> Batch:
    """Every `count`-th of a batch's images from the one at `rank`: the shares of a batch are the batch, each image once."""
    images, labels = batch
    return images[rank::count], labels[rank::count]


def evaluate_batches(model: keras.Model, batches: Iterable[Batch], callbacks: Any) -> dict[str, float]:
    """Keras's `evaluate` of batches, at least one, by the metrics' names."""
    generator = (batch for batch in batches)  # of iterators Keras takes no other
    with warnings.catch_warnings():
        # An iterator that ends is what Keras warns of, where it was not told after how many.
        warnings.filterwarnings("ignore", "Your input ran out of data")
        return model.evaluate(generator, callbacks=callbacks, return_dict=True, verbose=0)
