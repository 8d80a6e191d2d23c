"""Images that are read when a batch wants them, and no sooner."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box: TypeAlias = tuple[int, int, int, int]
"""Top, left, height, width in pixels of the original image."""

Cropper: TypeAlias = Callable[[int, int, int], Box]
"""From (position in the batch, height, width of the original) to what is taken of it."""


class Images(Protocol):
    """The labelled images of a split.

    Attributes:
        labels: int32 (images,), from 0.
    """

    labels: "NDArray[np.int32]"

    def __len__(self) -> int:
        """How many there are."""
        ...

    def read(self, indices: "Sequence[int] | NDArray[np.int64]", cropper: Cropper | None = None) -> "NDArray[np.float32]":
        """Some of them, (k, height, width, channels) in [-1, 1]; pure, and safe to be called by several threads at once.

        Args:
            indices: Which, k of them.
            cropper: What to take of each; the whole image unless given.
        """
        ...

    def names(self, indices: "Sequence[int] | NDArray[np.int64]") -> list[str]:
        """What a reader finds them by."""
        ...
