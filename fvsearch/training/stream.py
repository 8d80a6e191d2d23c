"""Batches made ahead of the step that takes them, by grain's threads, and handed to Keras."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import keras

from fvsearch.training.batches import Batch
from fvsearch.training.environment import num_cores

MOST_AHEAD = 2**30
"""Bytes of batches that wait for their step, at most; one batch does in any case."""


class Stream:
    """Batches in the order of their indices, whichever thread made them.

    Args:
        batches: Makes the one at an index; called by several threads at once.
        indices: Which are wanted.
        batch_bytes: Of one, so that few of the large ones wait.
        threads: That make them; what is this process's share of the cores unless given.

    Attributes:
        taken: Batches that were taken.
        waited: Seconds that whoever took them waited.
        error: Why a batch could not be made.
    """

    def __init__(self, batches: Callable[[int], Batch], indices: range, batch_bytes: int, threads: int | None = None) -> None:
        import grain  # which imports JAX where that is installed, and takes a second for it

        self.taken, self.waited = 0, 0.0
        self.error: Exception | None = None
        wanted = threads or num_threads()
        ahead = max(1, min(2 * wanted, MOST_AHEAD // batch_bytes))
        options = grain.ReadOptions(num_threads=min(wanted, ahead), prefetch_buffer_size=ahead)
        self._iterator = iter(grain.MapDataset.range(indices.start, indices.stop).map(batches).to_iter_dataset(options))

    def take(self, count: int) -> Iterator[Batch]:
        """The next batches, so many of them."""
        for _ in range(count):
            start = time.perf_counter()
            try:
                batch = next(self._iterator)
            except Exception as error:
                self.error = error
                raise
            self.waited += time.perf_counter() - start
            self.taken += 1
            yield batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the threads end; an error of theirs is raised as it was, not as a backend wraps it."""
        self._iterator.close()
        if error is not None and self.error is not None and error is not self.error:
            raise self.error from None


def num_threads() -> int:
    """Threads that make batches: the cores, or the share of them that a worker's environment leaves it."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(num_cores(), int(share)) if share.isdecimal() and int(share) else num_cores()


def for_keras(batches: Iterator[Batch], model: keras.Model) -> Any:
    """Batches as the model's `fit` and `evaluate` take them; they go through them once, the first aside.

    Keras takes a grain dataset too, and reads its first two batches twice. On TensorFlow it makes batches of a generator ahead once more,
    so that nobody could tell how long a step waited: there it is given a dataset.
    """
    return AS[keras.backend.backend()](batches, model)


def _iterator(batches: Iterator[Batch], model: keras.Model) -> Iterator[Batch]:
    return batches


def _dataset(batches: Iterator[Batch], model: keras.Model) -> Any:
    """A tf.data.Dataset, which may be begun a second time after its first batch: Keras looks at that where a model is not built.

    Of a model on several devices it always does, and its look draws batches ahead that would be gone: it is shown the first alone.
    """
    import tensorflow as tf

    first = next(batches)
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in first)
    looks = [iter([first])] if model.distribute_strategy.num_replicas_in_sync > 1 else []

    def begin() -> Iterator[Batch]:
        return looks.pop() if looks else itertools.chain([first], batches)

    return tf.data.Dataset.from_generator(begin, output_signature=signature)


AS: dict[str, Callable[[Iterator[Batch], keras.Model], Any]] = {"jax": _iterator, "torch": _iterator, "tensorflow": _dataset}
