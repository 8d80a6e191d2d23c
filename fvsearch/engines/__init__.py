"""Engines: who proposes archs. `base` is the contract, `make_engine` picks one by a study's settings."""

from collections.abc import Callable

from fvsearch.backend import is_installed
from fvsearch.engines._choices import Domains
from fvsearch.engines.base import Completed, Costs, Done, Engine, Expects, Failed, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.errors import MissingBackendError
from fvsearch.study import EngineName, Study

__all__ = [
    "Completed",
    "Costs",
    "Done",
    "Engine",
    "Expects",
    "Failed",
    "Infeasible",
    "Outcome",
    "Stopped",
    "Suggestion",
    "Wait",
    "check_engine",
    "engine_note",
    "make_engine",
]


def check_engine(study: Study) -> None:
    """The law that the study's engine can serve it, as far as can be told at once; nothing heavy is imported.

    Raises:
        ConfigError: It cannot, or its package is not installed.
    """
    if study.engine.name == "front":
        from fvsearch.engines.front import check_front

        check_front(study)
    if study.engine.name == "keras_tuner":
        from fvsearch.engines._keras_tuner import check_keras_tuner

        check_keras_tuner(study.engine, study.objectives)
    if (study.engine.name, study.engine.sampler) == ("optuna", "gp") and not is_installed("torch"):
        raise MissingBackendError(
            'the sampler "gp" computes in PyTorch, whatever the backend, and it is not installed; '
            '`pip install "fvsearch[torch]"` installs it, or take sampler = "tpe"'
        )


def engine_note(study: Study) -> str:
    """What a user should know of how the study's engine chooses, in a clause; empty where there is nothing."""
    if study.engine.name != "front":
        return ""
    from fvsearch.engines.front import front_note

    return front_note(study)


def make_engine(study: Study, costs: Costs | None = None) -> Engine:
    """The engine that a study names, over the choices of its space's params.

    Args:
        study: To search.
        costs: Who predicts what archs cost, for an engine that goes by it; the formula unless given.

    Raises:
        ConfigError: It cannot serve this study, or its package is not installed.
    """
    return _MAKERS[study.engine.name](study, study.space.domains() if study.space else {}, costs)


def _front(study: Study, domains: Domains, costs: Costs | None) -> Engine:
    from fvsearch.engines.front.engine import FrontEngine

    return FrontEngine(study, costs)


def _optuna(study: Study, domains: Domains, costs: Costs | None) -> Engine:
    # Importing Optuna takes a quarter of a second.
    from fvsearch.engines._optuna import OptunaEngine

    directions = [objective.direction for objective in study.objectives]
    return OptunaEngine(study.engine, domains, directions, study.seed, constraints=study.budget.limits())


def _keras_tuner(study: Study, domains: Domains, costs: Costs | None) -> Engine:
    from fvsearch.engines._keras_tuner import KerasTunerEngine

    return KerasTunerEngine(study.engine, domains, study.objectives, study.seed, study.recipe.epochs)


def _listed(study: Study, domains: Domains, costs: Costs | None) -> Engine:
    from fvsearch.engines._listed import ListedEngine

    return ListedEngine(len(study.engine.archs))


_MAKERS: dict[EngineName, Callable[[Study, Domains, Costs | None], Engine]] = {
    "front": _front,
    "optuna": _optuna,
    "keras_tuner": _keras_tuner,
    "listed": _listed,
}
