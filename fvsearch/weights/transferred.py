"""What a transfer did, weight by weight; nothing here imports keras, so a reader of it needs no backend."""

from collections.abc import Iterable, Iterator
from typing import Literal

from fvsearch.records import Record

Grid = tuple[int, int]
"""(rows, columns) of patches."""

Reason = Literal["missing", "shape", "kernel"]

FITS: dict[str, tuple[Reason, ...]] = {"that the source lacks": ("missing",), "that do not fit": ("shape", "kernel")}
"""What a summary says of skipped weights, and the reasons that it sums up."""


class Loaded(Record, frozen=True, kw_only=True):
    """A weight of the target that has the source's values.

    Attributes:
        weight: Its path, such as "stage1_block0_mlp/expand/kernel".
        source: The path of the source's weight.
    """

    weight: str
    source: str


class Resized(Record, frozen=True, kw_only=True):
    """Positions that were interpolated from one grid of patches to another.

    Attributes:
        weight: Their path in the target.
        source: Their path in the source.
        from_grid, to_grid: Of the source and the target.
    """

    weight: str
    source: str
    from_grid: Grid
    to_grid: Grid


class Skipped(Record, frozen=True, kw_only=True):
    """A weight of the target that stayed as it was.

    Attributes:
        weight: Its path.
        reason: "missing": the source has no such weight. "shape": the source's has another. "kernel": it is the bias to a kernel that
            was skipped for its shape, and says nothing without it.
        shape: Of the weight.
        source_shape: Of the source's; none where it is missing.
    """

    weight: str
    reason: Reason
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None = None


class Transferred(Record, frozen=True, kw_only=True):
    """What a transfer did. Loaded, resized and skipped are together all weights of the target.

    Attributes:
        loaded, resized, skipped: By weight of the target, each in the target's order.
        unused: Paths of the source's weights that went nowhere; with what was loaded and resized they are all it has.
        notes: What the shapes do not tell: where the same weights are read otherwise, or were rounded.
    """

    loaded: tuple[Loaded, ...]
    resized: tuple[Resized, ...]
    skipped: tuple[Skipped, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What a user reads of it: what came over, what did not, and the notes."""
        moved, stayed = len(self.loaded) + len(self.resized), len(self.skipped)
        total = moved + stayed
        came = f"{moved} of {total}" if stayed else f"all {total}"
        grids = (f", positions resized from {show_grid(item.from_grid)} to {show_grid(item.to_grid)} patches" for item in self.resized)
        rest = [f"{stayed} stayed as they were: {', '.join(self._stayed())}"] if stayed else []
        if self.unused:
            rest.append(f"of the source's {moved + len(self.unused)}, {len(self.unused)} went unused {_layers(self.unused)}")
        sentences = [f"{came} weights came from the source{''.join(grids)}", "; ".join(rest), "; ".join(self.notes)]
        return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences if sentence)

    def _stayed(self) -> Iterator[str]:
        for words, reasons in FITS.items():
            weights = [item.weight for item in self.skipped if item.reason in reasons]
            if weights:
                yield f"{len(weights)} {words} {_layers(weights)}"


def _layers(weights: Iterable[str]) -> str:
    """The layers that weights are of: `(patches, head)`, or the first, the last and how many where they are more than three."""
    names = list(dict.fromkeys(weight.partition("/")[0] for weight in weights))
    return f"({', '.join(names)})" if len(names) <= 3 else f"({len(names)} layers, {names[0]} to {names[-1]})"


def show_grid(grid: Grid) -> str:
    """(14, 24) -> `14x24`, rows first."""
    return "x".join(map(str, grid))
