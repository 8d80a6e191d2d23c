"""Engines: who proposes archs. `base` is the contract, `make_engine` picks one by a study's settings."""

from collections.abc import Callable, Mapping, Sequence

from fvsearch.engines.base import Completed, Done, Engine, Failed, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.space import Param
from fvsearch.study import Direction, Proposer

__all__ = ["Completed", "Done", "Engine", "Failed", "Infeasible", "Outcome", "Stopped", "Suggestion", "Wait", "make_engine"]

_Maker = Callable[[Proposer, Mapping[str, tuple[Param, ...]], Sequence[Direction], int], Engine]


def make_engine(proposer: Proposer, domains: Mapping[str, tuple[Param, ...]], directions: Sequence[Direction], seed: int) -> Engine:
    """The engine that a study names.

    Args:
        proposer: The engine's name and settings.
        domains: The choices of each searched param, as `Space.domains()` gives them; a listed engine has no use for them.
        directions: Of the objectives, in the study's order.
        seed: Of the engine's draws.
    """
    return _MAKERS[proposer.name](proposer, domains, directions, seed)


def _optuna(proposer: Proposer, domains: Mapping[str, tuple[Param, ...]], directions: Sequence[Direction], seed: int) -> Engine:
    # Importing Optuna takes a quarter of a second.
    from fvsearch.engines._optuna import OptunaEngine

    return OptunaEngine(proposer, domains, directions, seed)


def _listed(proposer: Proposer, domains: Mapping[str, tuple[Param, ...]], directions: Sequence[Direction], seed: int) -> Engine:
    from fvsearch.engines._listed import ListedEngine

    return ListedEngine(len(proposer.archs))


_MAKERS: dict[str, _Maker] = {"optuna": _optuna, "listed": _listed}
