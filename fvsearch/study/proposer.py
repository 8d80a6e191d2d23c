"""Proposer: which engine proposes archs, and its settings, as a frozen record (`[engine]` of a study file); fvsearch/engines makes it."""

from typing import Literal

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least
from fvsearch.study.objectives import ObjectiveName

EngineName = Literal["front", "optuna", "keras_tuner", "listed"]
Sampler = Literal["nsga2", "nsga3", "tpe", "gp", "random"]
Oracle = Literal["random", "bayesian", "hyperband", "grid"]


class Proposer(Record, frozen=True, kw_only=True):
    """Which engine proposes archs, and its settings.

    Attributes:
        name: "front", which learns accuracy alone, for costs are known; "optuna"; "keras_tuner"; or "listed" for a fixed list in its order.
            A study without an engine has "front"; so has a study file whose engine has no name, unless it gives `sampler` or `population`,
            which are Optuna's.
        sampler: Optuna's: "nsga2", "nsga3", "tpe", "gp" (which wants PyTorch) or "random".
        oracle: KerasTuner's: "random", "bayesian", "hyperband" or "grid"; of no other engine, as `scalar`.
        scalar: The one objective that KerasTuner's oracles see; "bayesian" and "hyperband" need it where a study has several.
        population: Archs in a generation of NSGA-II and NSGA-III; keep it well under the number of trials.
        starts: Archs spread over predicted memory that are evaluated before the engine proposes; unless said 4 with "front", which
            spreads them over its first cost and counts what else was evaluated, and none with others.
        candidates: Of "front": a space of so many archs at most is looked at whole for each proposal; of a larger one a draw is, which is
            renewed as the search goes on.
        warm_start: Archs that are evaluated first, or the folder of another study, of which what fits is taken over.
        archs: The list, for "listed"; "front" takes one instead of a space.
    """

    name: EngineName
    sampler: Sampler = "nsga2"
    oracle: Oracle = "random"
    scalar: ObjectiveName | None = None
    population: int = 12
    starts: int | None = None
    candidates: int = 1_000_000
    warm_start: tuple[Arch, ...] | str = ()
    archs: tuple[Arch, ...] = ()

    def __post_init__(self) -> None:
        require_at_least(2, self, "population")
        require_at_least(0, self, "starts")
        require_at_least(1, self, "candidates")
        if self.name != "front" and (self.name == "listed") != bool(self.archs):
            raise ConfigError(
                f'`archs` belongs to the engines "listed" and "front" and to no other, but got name={self.name!r} with '
                f"{len(self.archs)} archs"
            )
        if self.name != "keras_tuner":
            for name, unset in (("oracle", "random"), ("scalar", None)):
                if getattr(self, name) != unset:
                    raise ConfigError(
                        f'`{name}` is for the engine "keras_tuner", but got {name}={getattr(self, name)!r}, name={self.name!r}'
                    )

    @property
    def num_starts(self) -> int:
        """Archs that are spread over cost before the engine proposes."""
        return self.starts if self.starts is not None else 4 if self.name == "front" else 0
