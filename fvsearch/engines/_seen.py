"""A set of suggestions that takes eight bytes for each: thousands of trials see tens of thousands of them."""

import hashlib
from array import array
from bisect import bisect_left

_RECENT = 1024
"""Members that may wait to be sorted in with the others."""


class Seen:
    """Tuples of indices that were added, known by a digest of 64 bits each.

    Of a million tuples two have one digest with a chance of 1 in 30 million; the later would then be taken for seen.
    """

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._recent: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def __contains__(self, indices: tuple[int, ...]) -> bool:
        digest = _digest(indices)
        if digest in self._recent:
            return True
        place = bisect_left(self._sorted, digest)
        return place < len(self._sorted) and self._sorted[place] == digest

    def add(self, indices: tuple[int, ...]) -> None:
        """Add a tuple; one that is there stays once."""
        if indices in self:
            return
        self._recent.add(_digest(indices))
        if len(self._recent) >= _RECENT:
            self._sorted = array("Q", sorted([*self._sorted, *self._recent]))
            self._recent.clear()


def _digest(indices: tuple[int, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(array("I", indices).tobytes(), digest_size=8).digest())
