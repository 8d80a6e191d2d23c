"""An engine that searches a space, made to choose from a list of archs."""

from collections.abc import Mapping, Sequence

import numpy as np
from _landscapes import inputs

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Param, Params
from fvsearch.engines import Done, Engine, Outcome, Suggestion, Wait
from fvsearch.study import Study


class FromList:
    """An engine that searches a space, where only the archs of a list can be had: the nearest one that is not told yet is taken instead.

    The engine is told of it under the params that it suggested, as it is of what a space's rules repair.

    Args:
        engine: That proposes.
        study: Of the space.
        archs: The list.
    """

    def __init__(self, engine: Engine, study: Study, archs: Sequence[Arch]) -> None:
        assert study.space is not None
        self._engine, self._study, self._space, self._archs = engine, study, study.space, archs
        self._inputs = inputs(study, archs)
        self._suggested: dict[int, Params] = {}
        self._left = np.ones(len(archs), bool)

    def ask(self) -> Suggestion | Wait | Done:
        """The nearest to what the engine suggests, by the sum of differences of params as shares of the greatest."""
        if not self._left.any():
            return Done(reason="all archs of the list were tried")
        answer = self._engine.ask()
        if not isinstance(answer, Suggestion):
            return answer
        (wanted,) = inputs(self._study, [self._space.arch(answer.params)])
        distance = np.abs(self._inputs - wanted).sum(axis=1)
        index = int(np.argmin(np.where(self._left, distance, np.inf)))
        self._suggested[index] = answer.params
        return Suggestion(params={"index": index})

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of one of the list."""
        index = int(params["index"])
        self._left[index] = False
        self._engine.tell(self._suggested.pop(index, self._space.params(self._archs[index])), outcome)
