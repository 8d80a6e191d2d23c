"""Who knows the truth about every arch: how few trials any engine could do with."""

import functools
import heapq
import math
from collections.abc import Mapping, Sequence

from _landscapes import Landscape
from _scores import true_front, volume

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Param, Params
from fvsearch.engines import Done, Outcome, Suggestion, Wait


class Oracle:
    """An engine that proposes the arch which adds most hypervolume in truth to what was proposed before, the baseline first.

    Args:
        name: Of the landscape.
        land: The landscape.
    """

    def __init__(self, name: str, land: Landscape) -> None:
        self._land, self._rows = land, iter(_greedy(name, land.rows[land.study.baseline.arch_hash]))

    def ask(self) -> Suggestion | Wait | Done:
        """The next; Done where no arch adds anything."""
        row = next(self._rows, None)
        return Done(reason="the whole front was found") if row is None else Suggestion(params=self._params(self._land.archs[row]))

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """There is nothing to learn."""

    def _params(self, arch: Arch) -> Params:
        space = self._land.study.space
        if space is not None:
            return space.params(arch)
        return {"index": [listed.arch_hash for listed in self._land.study.engine.archs].index(arch.arch_hash)}


@functools.cache
def _greedy(name: str, baseline: int) -> Sequence[int]:
    """Rows of the true front, each adding most to those before it."""
    known, found = [baseline], list[int]()
    now = volume(name, (baseline,))
    # What a row adds falls as there are more, so that most need not be looked at again.
    queue = [(-math.inf, row, -1) for row in true_front(name) if row != baseline]
    while queue:
        gain, row, of = heapq.heappop(queue)
        if of == len(found):
            if -gain <= 0:
                break
            found.append(row)
            known.append(row)
            now -= gain
        else:
            heapq.heappush(queue, (now - volume(name, tuple(sorted([*known, row]))), row, len(found)))
    return found
