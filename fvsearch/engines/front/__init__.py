"""The front engine: exact costs, learned accuracy (docs/front.md). Importing this loads no NumPy."""

from collections.abc import Sequence

from fvsearch.errors import ConfigError
from fvsearch.study import LEARNED, Objective, Study

MOST_COSTS = 3
"""Among the objectives: the exact expected improvement takes time that grows as a power of them."""


DRAWN = 100_000
"""Archs that are looked at of a space that is too large to look at whole."""


def front_note(study: Study) -> str:
    """What the engine chooses from, in a clause."""
    size = study.space.size() if study.space else len(study.engine.archs)
    if size <= study.engine.candidates:
        return "the engine looks at all of them for each proposal"
    drawn = min(DRAWN, study.engine.candidates)
    return f"the engine looks at a draw of {drawn:,} for each proposal, renewed as it goes on, and at what is near the best of them"


def check_front(objectives: Sequence[Objective]) -> None:
    """The law that one objective is learned and all others are costs, at most three.

    Raises:
        ConfigError: They are not.
    """
    names = [objective.name for objective in objectives]
    learned = [name for name in names if name in LEARNED]
    if len(learned) != 1:
        raise ConfigError(
            f'the engine "front" learns one of {", ".join(LEARNED)} beside known costs, but the study has {", ".join(names)}; '
            'keep one of them among the objectives, or take engine.name = "optuna"'
        )
    if len(names) - 1 > MOST_COSTS:
        raise ConfigError(
            f'the engine "front" takes at most {MOST_COSTS} costs among the objectives, but the study has {", ".join(names)}; '
            'leave some out, or take engine.name = "optuna"'
        )
