"""Batches of a training or a validation, and the parts of them that devices take."""

from collections.abc import Iterable, Iterator
from typing import Any

Batch = tuple[Any, Any]
"""Images (batch, height, width, channels), and labels (batch,) or (batch, classes)."""


def batches_of(data: tuple[Any, ...] | Iterable[Batch], batch_size: int | None = None) -> Iterator[Batch]:
    """The batches that Keras's `fit` takes of the same arguments, unshuffled.

    Args:
        data: (images, labels), arrays of a whole split; or what yields batches, alone or in a tuple of one.
        batch_size: Of the arrays' batches; the last may be smaller.
    """
    if isinstance(data, tuple) and len(data) == 2:
        images, labels = data
        size = batch_size or len(labels)
        for start in range(0, len(labels), size):
            yield images[start : start + size], labels[start : start + size]
    else:
        yield from data[0] if isinstance(data, tuple) else data


def share_of(batch: Batch, rank: int, count: int) -> Batch:
    """Every `count`-th of a batch's images from the one at `rank`: the shares of a batch are the batch, each image once."""
    images, labels = batch
    return images[rank::count], labels[rank::count]


def divide(batches: Iterable[Batch], count: int, rest: list[Batch]) -> Iterator[Batch]:
    """The batches as far as they divide by `count`, and into `rest` what is left of each: 10 images for 4 devices are 8 and 2."""
    for images, labels in batches:
        whole = len(labels) // count * count
        if whole:
            yield images[:whole], labels[:whole]
        if whole < len(labels):
            rest.append((images[whole:], labels[whole:]))


def counting(batches: Iterable[Batch], counted: list[int]) -> Iterator[Batch]:
    """The batches, and the number of images of each into `counted` as it passes."""
    for batch in batches:
        counted.append(len(batch[1]))
        yield batch
