"""Simulated workers: a pool that trains and measures nothing, and answers as if it had: all else of a search can be tried at any scale.

settings = RunSettings(backend="jax", workers=64, pool=SimulatedPool)
"""

import hashlib
import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from fvsearch.archs.arch import Arch
from fvsearch.costs.cost import Cost
from fvsearch.costs.formula import predict
from fvsearch.errors import RunError
from fvsearch.meters.measured import Anchor, Interval, Measured, MeasureRequest, StepMemory
from fvsearch.training.measuring import measure_anchor, measure_throughputs
from fvsearch.training.metrics import EpochMetrics
from fvsearch.training.segment import Segment, SegmentResult, run_segment

A = TypeVar("A")
R = TypeVar("R")

SOURCE, DEVICE = "simulated", "simulated"

_QUIET = 0.005
"""Seconds without a task after which the next one ends though a worker is free: nobody is going to ask for more."""


class SimulatedPool:
    """Workers whose trainings take a made-up time, and come to a made-up accuracy that follows the arch.

    Args:
        num_workers: Trainings that run side by side.
        seconds: That the slowest tasks take; 0 ends the task that would end first as soon as all workers are busy.
        others: What a pool is told that has no meaning here.
    """

    def __init__(self, num_workers: int, *, seconds: float = 0.0, **others: Any) -> None:
        self.num_workers = num_workers
        self._seconds = seconds
        self._running: list[tuple[float, int, Future[Any], Any]] = []
        self._counter = itertools.count()
        self._clock = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[A], R], argument: A) -> "Future[R]":
        """Begin a task: a segment of a training, or a measurement.

        Raises:
            RunError: It is none of these.
        """
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        result, effort = _simulate(fn, argument)
        with self._changed:
            now = time.monotonic() if self._seconds else self._clock
            ends = now + effort * (self._seconds or 1.0)
            heapq.heappush(self._running, (ends, next(self._counter), future, result))
            if not self._seconds and len(self._running) >= self.num_workers:
                self._end_one()
            self._changed.notify()
        return future

    def close(self, *, cancel: bool = False) -> None:
        """End the workers, when their tasks have ended or now."""
        with self._changed:
            if cancel:
                for _, _, future, _ in self._running:
                    future.set_exception(CancelledError())
                self._running.clear()
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _end_one(self) -> None:
        self._clock, _, future, result = heapq.heappop(self._running)
        future.set_result(result)

    def _work(self) -> None:
        """The thread's work: end what is due."""
        with self._changed:
            while self._running or not self._closed:
                if not self._running:
                    self._changed.wait()
                elif not self._seconds:
                    if not self._changed.wait(_QUIET) and self._running:
                        self._end_one()
                elif (left := self._running[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    self._end_one()


def _simulate(fn: Callable[..., Any], argument: Any) -> tuple[Any, float]:
    """What a task would come to, and its share of the longest one's time."""
    if fn is run_segment:
        return _train(argument)
    if fn is measure_anchor:
        measured = _measure(argument)
        throughput, memory = measured.throughput[0].median, measured.memory[0].bytes
        return Anchor(throughput=throughput, memory=memory, memory_source=SOURCE, device=DEVICE, seconds=1.0), 0.1
    if fn is measure_throughputs:
        return _measure(argument), 0.1
    raise RunError(f"simulated workers train segments and measure archs, but got {fn.__qualname__}")


def _train(segment: Segment) -> tuple[SegmentResult, float]:
    """A training whose accuracy rises with the logarithms of the arch's multiply-adds and parameters, and with its luck."""
    arch, epochs = segment.arch, segment.recipe.epochs
    cost = _cost(arch, segment.data.image_shape, segment.data.num_classes, segment.cost_batch_size or segment.recipe.step_batch_size)
    drawn = _draw(arch.arch_hash, segment.seed)
    if drawn < 0.01:
        return SegmentResult(status="failed", reason="the loss became NaN, as one in a hundred does", device=DEVICE), 0.1
    skill = 0.35 + 0.05 * math.log10(cost.macs) + 0.02 * math.log10(cost.num_params) - 0.03 * _draw(arch.arch_hash) + 0.02 * (drawn - 0.5)
    best = max(1 / segment.data.num_classes, min(0.99, skill))
    curve = []
    for epoch in range(segment.to_epoch):
        top1 = best * (1 - math.exp(-4 * (epoch + 1) / epochs))
        curve.append(
            EpochMetrics(
                epoch=epoch,
                seconds=1.0,
                loss=-math.log(top1),
                top1=top1,
                top5=top1**0.3,
                train_loss=-math.log(top1) / 2,
                train_top1=top1**0.5,
                train_top5=top1**0.2,
            )
        )
    share = (segment.to_epoch - segment.from_epoch) / epochs
    result = SegmentResult(
        status="completed",
        epochs=tuple(curve),
        measured={"memory": _memory(arch, cost)} if segment.from_epoch == 0 else {},
        memory_source=SOURCE,
        seconds={"import": 0.1, "build": 0.2, "compile": 1.0, "train": share * epochs},
        device=DEVICE,
        versions={"simulated": "1"},
    )
    if segment.max_memory is not None and segment.from_epoch == 0 and result.measured["memory"] > segment.max_memory:
        over = SegmentResult(status="over_memory", reason="more memory as measured than allowed", measured=result.measured, device=DEVICE)
        return over, 0.1
    return result, share * (0.5 + 0.5 * drawn)


def _measure(request: MeasureRequest) -> Measured:
    costs = [_cost(arch, request.image_shape, request.num_classes, request.batch_size) for arch in request.archs]
    rates = [1e12 / cost.macs for cost in costs]
    return Measured(
        throughput=tuple(_around(rate) for rate in rates),
        ratio=tuple(_around(rate / rates[0]) for rate in rates),
        memory=tuple(StepMemory(bytes=round(_memory(arch, cost)), source=SOURCE) for arch, cost in zip(request.archs, costs, strict=True)),
        backend="",
        device=DEVICE,
        versions={},
        seconds={"measure": 1.0},
    )


def _around(value: float) -> Interval:
    return Interval(median=value, low=0.99 * value, high=1.01 * value)


def _cost(arch: Arch, image_shape: tuple[int, int, int], num_classes: int, batch_size: int) -> Cost:
    return predict(arch, image_shape=image_shape, num_classes=num_classes, batch_size=batch_size)


def _memory(arch: Arch, cost: Cost) -> float:
    """Bytes as a meter would read them: within a fiftieth of the formula."""
    return cost.memory * (0.98 + 0.04 * _draw(arch.arch_hash, "memory"))


def _draw(*of: object) -> float:
    """A number from 0 to 1 that follows from what it is of."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:6], "big") / 2**48
