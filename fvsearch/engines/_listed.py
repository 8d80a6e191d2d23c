"""The listed engine: proposes the archs of a list, in order, and is done."""

from collections.abc import Mapping

from fvsearch.archs.space import Param
from fvsearch.engines.base import Done, Outcome, Suggestion, Wait
from fvsearch.errors import ConfigError


class ListedEngine:
    """Proposes `{"index": 0}`, `{"index": 1}` and so on, leaving out what it was told of before.

    Args:
        length: Of the list.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._next = 0
        self._told: set[int] = set()

    def ask(self) -> Suggestion | Wait | Done:
        """The next index that was neither proposed nor told of; then Done."""
        while self._next in self._told:
            self._next += 1
        if self._next >= self._length:
            return Done(reason=f"all {self._length} archs of the list were proposed")
        self._next += 1
        return Suggestion(params={"index": self._next - 1})

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Not to propose this index again; what became of it makes no difference.

        Raises:
            ConfigError: The params are not one index of the list.
        """
        index = params.get("index")
        if set(params) != {"index"} or type(index) is not int or not 0 <= index < self._length:
            raise ConfigError(f"params of a listed engine must be one `index` from 0 to {self._length - 1}, but got {dict(params)}")
        self._told.add(index)
