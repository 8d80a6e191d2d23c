"""Budgets: what an arch may use, in the user's units or relative to the baseline, and how far costs are from it.

Violations are dimensionless, at most 0 where the budget is met.
"""

import re
from collections.abc import Mapping
from typing import Literal

from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least

Phase = Literal["training", "inference"]


class Limit(Record, frozen=True, kw_only=True):
    """One side of a budget, read from the user's text: a number in bytes or images/s, or a multiple of the baseline's."""

    value: float
    relative: bool


_UNITS: dict[str, dict[str, float]] = {
    "memory": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    "throughput": {"images/s": 1},
}


def parse_limit(kind: str, text: str) -> Limit:
    """`"8 GiB"` -> 8589934592 bytes, `"400 images/s"`, or `"0.75x"` of the baseline.

    Raises:
        ConfigError: The text is none of these.
    """
    units = _UNITS[kind]
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*(\S+)\s*", text)
    if match and match[2] == "x" and float(match[1]) > 0:
        return Limit(value=float(match[1]), relative=True)
    if match and match[2] in units and float(match[1]) > 0:
        return Limit(value=float(match[1]) * units[match[2]], relative=False)
    example = '"8 GiB"' if kind == "memory" else '"400 images/s"'
    raise ConfigError(
        f"`{kind}` must be a positive number with a unit ({', '.join(units)}) or a multiple of the baseline, "
        f'such as {example} or "0.75x", but got {text!r}'
    )


class Budget(Record, frozen=True, kw_only=True):
    """What an arch may use, in the user's units or relative to the baseline.

    Attributes:
        memory: Most peak device memory: "8 GiB", or "0.75x" of the baseline's.
        throughput: Least images/s: "400 images/s", or "1.25x" of the baseline's.
        phase: What both are said of.
        batch_size: Images per step of the device, at which; the recipe's unless said.
    """

    memory: str | None = None
    throughput: str | None = None
    phase: Phase = "training"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        require_at_least(1, self, "batch_size")
        self.limits()

    def limits(self) -> dict[str, Limit]:
        """The limits that are set, by "memory" and "throughput"."""
        return {kind: parse_limit(kind, text) for kind in _UNITS if (text := getattr(self, kind)) is not None}


def allowed(kind: str, limit: Limit, baseline: Mapping[str, float]) -> float:
    """A limit in bytes or images/s.

    Args:
        kind: "memory" or "throughput".
        limit: As the user set it.
        baseline: The baseline's costs by kind, from the same source (formula or device) as what is compared with it.
    """
    return limit.value * baseline[kind] if limit.relative else limit.value


def violations(budget: Budget, costs: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """By "memory" and "throughput", where the budget sets them and the cost is known: how far it is broken.

    `memory / limit - 1`, for it is an upper limit, and `1 - throughput / limit`, for it is a lower one.
    """
    found = {}
    for kind, limit in budget.limits().items():
        if kind in costs:
            share = costs[kind] / allowed(kind, limit, baseline)
            found[kind] = share - 1 if kind == "memory" else 1 - share
    return found


def is_met(found: Mapping[str, float]) -> bool:
    """Whether no budget is broken, by what `violations` found."""
    return all(value <= 0 for value in found.values())
