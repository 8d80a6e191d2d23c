"""How fast batches are made and how fast they are trained on: is the input pipeline the bottleneck?"""

import time
from collections.abc import Iterator
from typing import Any

import keras

from fvsearch.training.batches import Batch
from fvsearch.training.metrics import InputPace
from fvsearch.training.stream import Stream

ALONE_SECONDS = 0.5
"""For which batches are made before a training, with nothing else to do."""


class Pace(keras.callbacks.Callback):
    """Takes the time of a training whose batches are made ahead; its first step, which compiles, and validation are left out.

    Keras reads every step's loss for the callbacks of a training, so a step is over when the next batch is asked for, on GPUs too: waiting
    for that is time in which the device has nothing to do.

    Args:
        batch_size: Of a step.

    Attributes:
        alone: Images/s of the input pipeline by itself, if it was measured.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self._batch_size = batch_size
        self.alone: float | None = None
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        self._stream: Stream | None = None
        self._since: tuple[float, float] | None = None

    def measure_alone(self, batches: Iterator[Batch]) -> None:
        """Make batches for a moment; the first, in which Keras's layers are set up, does not count."""
        next(batches)
        start, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < ALONE_SECONDS and next(batches, None) is not None:
            count += 1
        self.alone = count * self._batch_size / elapsed if count else None

    def follow(self, stream: Stream) -> None:
        """The training takes its batches from this stream."""
        self._stream = stream

    def begin_epoch(self) -> None:
        """An epoch begins, before Keras takes a batch."""
        if self._since is not None:
            self._since = self._now()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A step is over."""
        if self._since is None:
            self._since = self._now()
        else:
            self._steps += 1

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The epoch's steps are over, and validation begins."""
        (start, waited), (end, waited_by_now) = self._since or self._now(), self._now()
        self._seconds += end - start
        self._waited += waited_by_now - waited

    def result(self) -> InputPace | None:
        """What was found; none before the second step."""
        if not self._steps:
            return None
        return InputPace(alone=self.alone, trained=self._steps * self._batch_size / self._seconds, waited=self._waited / self._seconds)

    def _now(self) -> tuple[float, float]:
        """The time, and how much of it was spent waiting."""
        return time.perf_counter(), self._stream.waited if self._stream is not None else 0.0
