"""A small transfer study, and what its trainings came to, computed: no backend, no process."""

import statistics
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from fvsearch.archs.arch import Stage
from fvsearch.meters.measured import Interval, Measured, MeasureRequest, StepMemory
from fvsearch.search.transferring import Task
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.study.transfer import Published, Training, TransferStudy
from fvsearch.testing import tiny_arch
from fvsearch.training.metrics import EpochMetrics, MetricsFile
from fvsearch.training.run import RunSummary, Score

DATA = Data(source="shapes", image_size=8, channels=1, num_classes=4, options={"samples": 200})
VIT = tiny_arch(stages=(Stage(depth=2, width=16, mlp_dim=32, num_heads=2),))
STUDY = TransferStudy(
    name="small",
    description="small, of two archs",
    archs={"ViT": VIT, "Funnel": tiny_arch()},
    pretraining=Training(data=DATA, recipe=Recipe(epochs=2, batch_size=32)),
    finetuning=Training(data=msgspec.structs.replace(DATA, image_size=12), recipe=Recipe(epochs=1, batch_size=32, optimizer="sgd")),
    seeds=3,
    published=(
        Published(pretrained="ViT", finetuned="ViT", train_top1=0.74, top1=0.71),
        Published(pretrained="Funnel", finetuned="ViT", train_top1=0.75, top1=0.715),
        Published(pretrained="ViT", finetuned="Funnel", train_top1=0.73, top1=0.70),
    ),
    source="a paper",
)

MEANS = {"ViT": 0.60, "Funnel": 0.58, "ViT-as-ViT": 0.70, "ViT-as-Funnel": 0.69, "Funnel-as-ViT": 0.75, "Funnel-as-Funnel": 0.70}
"""Validation top-1 by training, without its seed; seeds spread by `noise` around it."""


def noise(index: int) -> float:
    """What a seed adds; 0, 1 and 2 add up to nothing."""
    return 0.004 * (index - 1)


def summary_of(task: Task) -> RunSummary:
    """As a run would end, with its metrics written where it writes them."""
    name, _, index = task.run.name.rpartition("-seed")
    top1 = MEANS[name] + noise(int(index))
    epochs = [
        EpochMetrics(epoch=epoch, seconds=1.0, loss=0.5, top1=top1, top5=1.0, train_loss=0.4, train_top1=top1 + 0.1, train_top5=1.0)
        for epoch in range(task.run.recipe.epochs)
    ]
    task.folder.mkdir(parents=True)
    MetricsFile(task.folder / "metrics.jsonl").keep(tuple(epochs))
    return RunSummary(
        name=task.run.name,
        model=str(task.folder / "model.keras"),
        last=epochs[-1],
        best=epochs[-1],
        input_pace=None,
        test=Score(loss=0.5, top1=top1 - 0.02, top5=1.0, images=40),
        notes=(),
        measured={"memory": 1e6},
        seconds={"train": 5.0},
        backend="jax",
        device="cpu",
    )


def measured_of(request: MeasureRequest) -> Measured:
    """As a device that takes half the memory and time for every further arch."""
    shares = [0.5**index for index in range(len(request.archs))]
    return Measured(
        throughput=tuple(Interval(median=320 / share, low=300 / share, high=340 / share) for share in shares),
        ratio=tuple(Interval(median=1 / share, low=0.9 / share, high=1.1 / share) for share in shares),
        memory=tuple(StepMemory(bytes=round(share * 2**20), source="a test") for share in shares),
        backend="jax",
        device="cpu",
        versions={"keras": "3"},
        seconds={},
    )


class ScriptedPool:
    """Does each task at once, or what the script has for its run's name; its futures are done."""

    def __init__(self, num_workers: int = 2, script: dict[str, Callable[[Task], Any]] | None = None) -> None:
        self.num_workers, self.script, self.tasks = num_workers, script or {}, []

    def submit(self, fn: Callable[[Any], Any], argument: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if isinstance(argument, MeasureRequest):
            future.set_result(measured_of(argument))
            return future
        self.tasks.append(argument)
        try:
            future.set_result(self.script.get(argument.run.name, summary_of)(argument))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, *, cancel: bool = False) -> None:
        """Nothing is running."""

    def names(self) -> list[str]:
        """Of the runs, in the order they were begun."""
        return [task.run.name for task in self.tasks]


def spread() -> float:
    """Standard deviation of three seeds."""
    return statistics.stdev(noise(index) for index in range(3))
