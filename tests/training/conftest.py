"""The example data set's module lies in the current directory; and trainings that learn nothing, for what is not about learning."""

import sys
from collections.abc import Iterator
from typing import Any

import keras
import pytest
from trainings import EXAMPLES, Weights, weights

from fvsearch.meters.measured import StepMemory
from fvsearch.training import finish, work
from fvsearch.training.metrics import EpochMetrics

JUDGED = [(0.5, 1.0), (0.75, 0.7), (0.75, 0.8), (0.75, 0.7)]
"""Validation top-1 and loss of each epoch of a training that is played: the second is the best, by its loss."""


@pytest.fixture(autouse=True)
def _in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """An epoch adds one to a weight and is judged as JUDGED says, so nothing is compiled. The weights that each call begins with."""
    begun: list[Weights] = []

    def play(model: keras.Model, recipe: Any, splits: Any, seed: int, epochs: range, *others: Any) -> Iterator[EpochMetrics]:
        begun.append(weights(model))
        for number in epochs:
            bias = model.get_layer("head").bias
            bias.assign(bias + 1)
            top1, loss = JUDGED[number]
            trained = {"train_loss": 1.0, "train_top1": 0.5, "train_top5": 1.0}
            yield EpochMetrics(epoch=number, seconds=1.0, top1=top1, top5=1.0, loss=loss, **trained)

    monkeypatch.setattr(work, "train_epochs", play)
    monkeypatch.setattr(work, "step_memory", lambda *arguments: StepMemory(bytes=2048, source="a test"))
    monkeypatch.setattr(finish, "evaluate", lambda *arguments: {"loss": 1.0, "top1": 0.5, "top5": 1.0})
    return begun
