"""What could not be read, counted and named: a corrupt image ends no training, and is not passed over in silence."""

from collections.abc import Iterable, Mapping

NAMED = 5
"""Images that a note names; of more it says how many."""


class Problems:
    """Images of a source that could not be read.

    All splits of a source share one. Threads may add to it while another reads its notes: a dict's single operations are atomic.

    Args:
        left_out: Name and reason of images that are in no split, for it was seen before the split that they are broken.
    """

    def __init__(self, left_out: Mapping[str, str] | None = None) -> None:
        self._left_out = dict(left_out or {})
        self._replaced: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._left_out) + len(self._replaced)

    def add_replaced(self, name: str, reason: str, stand_in: str) -> None:
        """An image turned out to be broken when it was read, and another was read in its place; the same image counts once."""
        self._replaced[name] = f"{reason}; by {stand_in}"

    def notes(self) -> list[str]:
        """`2 images could not be read and were left out: a.jpg (truncated), b.png (not an image)`, and the like of the replaced."""
        done = ((self._left_out.copy(), "left out"), (self._replaced.copy(), "replaced by another of the same class"))
        return [_note(found, what) for found, what in done if found]


def problem_notes(splits: Iterable[object]) -> list[str]:
    """The notes of all problems of these splits, each told once; arrays have none.

    Args:
        splits: Images or arrays, or None where there is no such split.
    """
    every = (getattr(split, "problems", None) for split in splits)
    found = {id(problems): problems for problems in every if isinstance(problems, Problems)}
    return [note for problems in found.values() for note in problems.notes()]


def _note(found: Mapping[str, str], what: str) -> str:
    named = [f"{name} ({reason})" for name, reason in sorted(found.items())[:NAMED]]
    if len(found) > NAMED:
        named.append(f"and {len(found) - NAMED} more")
    count = "1 image" if len(found) == 1 else f"{len(found):,} images"
    return f"{count} could not be read and {'was' if len(found) == 1 else 'were'} {what}: {', '.join(named)}"
