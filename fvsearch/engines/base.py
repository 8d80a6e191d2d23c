"""The contract between a search and whoever proposes archs: what an engine answers, and what it is told.

An engine knows params and numbers: no keras, no archs, no bytes. Constraints arrive dimensionless, `measured / budget - 1` for an upper
limit and `1 - measured / budget` for a lower one, so that at most 0 is feasible and violations of different budgets may be added.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Param, Params
from fvsearch.errors import ConfigError
from fvsearch.records import Record


class Suggestion(Record, frozen=True, kw_only=True):
    """An arch to evaluate.

    Attributes:
        params: By dotted path; `{"index": 3}` from an engine that proposes from a list.
        epochs: Train up to this epoch and no further, as an engine asks that spends epochs by its own rule; none is to the end. Params that
            were proposed with fewer epochs before go on from where their training paused.
    """

    params: Params
    epochs: int | None = None


class Wait(Record, frozen=True, kw_only=True):
    """Nothing to propose before another outcome is told."""


class Done(Record, frozen=True, kw_only=True):
    """Nothing to propose ever again: the engine's normal end.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


class Completed(Record, frozen=True, kw_only=True):
    """Trained to the end and within every budget.

    Attributes:
        values: By objective, in the study's order, raw: not turned to minimise.
        constraints: By budget, dimensionless; at most 0 each.
    """

    values: tuple[float, ...]
    constraints: dict[str, float] = {}

    def __post_init__(self) -> None:
        _require_finite("values", dict(enumerate(self.values)))
        _require_finite("constraints", self.constraints)


class Infeasible(Record, frozen=True, kw_only=True):
    """Over a budget, as predicted or as measured; there are no values.

    Attributes:
        constraints: By budget, dimensionless; at least one is above 0.
    """

    constraints: dict[str, float]

    def __post_init__(self) -> None:
        _require_finite("constraints", self.constraints)
        if not any(value > 0 for value in self.constraints.values()):
            raise ConfigError(f"an infeasible outcome must have a constraint above 0, but got {self.constraints}")


class Stopped(Record, frozen=True, kw_only=True):
    """Not trained to the end: stopped at a rung where it was far from the front, or trained as far as the engine asked.

    Attributes:
        epochs: It was trained for.
        values: As in Completed, of the training so far.
    """

    epochs: int
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        _require_finite("values", dict(enumerate(self.values)))


class Failed(Record, frozen=True, kw_only=True):
    """Cannot be trained: NaN, out of time, a worker killed twice.

    Attributes:
        reason: In one sentence.
    """

    reason: str


Outcome = Completed | Infeasible | Stopped | Failed


class Engine(Protocol):
    """Who proposes archs. Prove yours with `fvsearch.testing.EngineTestCase`."""

    def ask(self) -> Suggestion | Wait | Done:
        """The next proposal. It may repeat an earlier one: whoever asks knows what was evaluated, and tells that outcome again."""
        ...

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of an arch, whether this engine proposed it or not (resume, warm start, another coordinator).

        What is told of an arch first stands; the same arch told again changes nothing that was learned, except that one which was Stopped
        may be told again with more epochs, and at last Completed.
        """
        ...


@runtime_checkable
class Expects(Protocol):
    """An engine that wants to know what is trained that it did not propose: baseline, warm starts, what a resumed search goes on with."""

    def expect(self, params: Mapping[str, Param]) -> None:
        """Count an arch as proposed: it is being trained, and its outcome will be told."""
        ...


class Costs(Protocol):
    """Who knows what an arch costs before it is trained: `predictor.Predictor`, or a user's own."""

    def costs(self, arch: Arch) -> Mapping[str, float]:
        """By name: memory, throughput, macs, num_params; those at least that are objectives."""
        ...

    def violations(self, costs: Mapping[str, float]) -> Mapping[str, float]:
        """By budget, how far such costs break it; at most 0 meets it."""
        ...


def _require_finite(name: str, values: Mapping[Any, float]) -> None:
    for key, value in values.items():
        if not math.isfinite(value):
            raise ConfigError(f"`{name}` must be finite, but got {value} at {name}[{key!r}]; a training that diverged is Failed")
