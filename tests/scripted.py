"""A search whose trainings and measurements are functions of a test."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor, Interval, Measured, MeasureRequest, StepMemory
from fvsearch.search.workers import RunSettings
from fvsearch.study import Study
from fvsearch.training.metrics import EpochMetrics
from fvsearch.training.segment import Segment, SegmentResult

ANCHOR = Anchor(throughput=1000.0, memory=20e6, memory_source="made up", device="none", seconds=1.0)
SETTINGS = RunSettings(backend="jax", command="fvsearch run quickstart")


def memory(arch: Any) -> float:
    return 20e6 if arch == STUDY.baseline else 1e6 * sum(stage.depth * stage.width / 16 for stage in arch.stages)


def train(segment: Segment) -> SegmentResult:
    """A training whose accuracy follows the arch's depth, and the seed a little."""
    top1 = 1 - 1 / (2 + segment.arch.depth) + segment.seed % 100 / 1e5
    epochs = tuple(
        EpochMetrics(epoch=epoch, seconds=1.0, loss=1.0, top1=top1, top5=1.0, train_loss=1.0, train_top1=top1, train_top5=1.0)
        for epoch in range(segment.to_epoch)
    )
    return SegmentResult(status="completed", epochs=epochs, measured={"memory": memory(segment.arch)}, seconds={"train": 2.0})


def measure(request: MeasureRequest) -> Measured:
    intervals = tuple(Interval(median=1e9 / memory(arch), low=1.0, high=9e9) for arch in request.archs)
    ratios = tuple(Interval(median=found.median / intervals[0].median, low=1e-3, high=1e3) for found in intervals)
    parts = StepMemory(bytes=1, source="made up")
    return Measured(
        throughput=intervals,
        ratio=ratios,
        memory=(parts,) * len(intervals),
        backend="jax",
        device="none",
        versions={},
        seconds={"measure": 3.0},
    )


STUDY: Study = load_study("quickstart", ["trials=12", "recipe.epochs=2"])


class ScriptedPool:
    """Runs what is submitted at once, by functions of the test."""

    def __init__(self, num_workers: int = 2, **functions: Callable[[Any], Any]) -> None:
        self.num_workers = num_workers
        self.functions = {"run_segment": train, "measure_anchor": lambda request: ANCHOR, "measure_throughputs": measure} | functions
        self.submitted: list[tuple[str, Any]] = []

    def submit(self, function: Callable[[Any], Any], argument: Any) -> "concurrent.futures.Future[Any]":
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.submitted.append((function.__name__, argument))
        try:
            future.set_result(self.functions[function.__name__](argument))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, cancel: bool = False) -> None:
        pass

    def segments(self) -> list[Segment]:
        return [argument for name, argument in self.submitted if name == "run_segment"]


EPOCHS = 8
LONG: Study = STUDY.with_settings(recipe=STUDY.recipe.__class__(epochs=EPOCHS), trials=16)
