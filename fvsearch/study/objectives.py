"""Objective: a number that a study turns up or down; which of them training tells, and what chance reaches of those."""

import math
from collections.abc import Callable
from typing import Literal

from fvsearch.records import Record

Direction = Literal["maximize", "minimize"]
ObjectiveName = Literal["top1", "top5", "loss", "memory", "throughput", "macs", "num_params"]

LEARNED = ("top1", "top5", "loss")
"""Objectives that only a training tells; the others are costs, known before it."""


CHANCE: dict[str, Callable[[int], float]] = {
    "top1": lambda classes: 1 / classes,
    "top5": lambda classes: min(5, classes) / classes,
    "loss": math.log,
}
"""What a model that has learned nothing reaches, by the number of classes."""


class Objective(Record, frozen=True, kw_only=True):
    """A number to turn up or down.

    Attributes:
        name: top1, top5 and loss are of the validation split; memory in bytes, throughput in images/s, macs per image.
        direction: "maximize" or "minimize".
    """

    name: ObjectiveName
    direction: Direction
