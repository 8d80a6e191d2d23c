"""The front engine: exact costs, learned accuracy (docs/front.md). Importing this loads no NumPy."""

from fvsearch.errors import ConfigError
from fvsearch.study import LEARNED, Study

MOST_COSTS = 3
"""Among the objectives: the exact expected improvement takes time that grows as a power of them."""


DRAWN = 100_000
"""Archs that are looked at of a space that is too large to look at whole."""


def front_note(study: Study) -> str:
    """What the engine chooses from, in a clause."""
    if study.space is None or study.space.size() <= study.engine.candidates:
        return "the engine looks at all of them for each proposal"
    drawn = min(DRAWN, study.engine.candidates)
    return f"the engine looks at a draw of {drawn:,} for each proposal, renewed as it goes on, and at what is near the best of them"


def check_front(study: Study) -> None:
    """The laws that one objective is learned and all others are costs, at most three, and that listed archs differ in what is seen of them.

    Raises:
        ConfigError: They are not, or do not.
    """
    names = [objective.name for objective in study.objectives]
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
    for index, arch in enumerate(study.engine.archs):
        for name in ("activation", "norm_epsilon"):
            first, other = getattr(study.engine.archs[0], name), getattr(arch, name)
            if first != other:
                raise ConfigError(
                    f'the engine "front" sees no difference in `{name}`, but got {first} and {other} at engine.archs[{index}]; '
                    'keep the archs of one, or take engine.name = "listed"'
                )
