"""Images that lie encoded in a store, decoded one by one as they are read."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from fvsearch.data.decoding import CENTRAL, Encoded, UnreadableError, decode, evaluation_box
from fvsearch.data.images import Box, Cropper
from fvsearch.data.problems import Problems
from fvsearch.errors import ConfigError, RunError
from fvsearch.records import Record
from fvsearch.study import Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST_HELD = 2**30
"""Bytes up to which images are held as arrays."""


class StoredOptions(Record, frozen=True, kw_only=True):
    """What `data.options` may say of every source of encoded images.

    Attributes:
        central: Share of either edge that evaluation looks at, in the middle (decoding.py).
    """

    central: float = CENTRAL

    def __post_init__(self) -> None:
        if not 0 < self.central <= 1:
            raise ConfigError(f"`central` must be above 0 and at most 1, but got {self.central:g}")


def require_levels(data: Data) -> None:
    """The law that images are grey or coloured.

    Raises:
        ConfigError: They are to have another number of channels.
    """
    if data.channels not in (1, 3):
        raise ConfigError(
            f"images of {data.source!r} are read with 1 channel (grey) or 3 (colour), but got channels={data.channels} at data"
        )


class Store(Protocol):
    """Encoded images by number. Safe from several threads at once."""

    def open(self, number: int) -> Encoded:
        """What Pillow opens.

        Raises:
            UnreadableError: There is nothing to open.
        """
        ...

    def name(self, number: int) -> str:
        """What messages call it."""
        ...


class StoredImages:
    """Images of a store, as fvsearch.data.images.Images has it.

    An image that turns out to be broken is replaced by the next of its class, the first follows the last: the label stays true, the
    batch stays whole, and neither a run before nor another split has a say in which image it is. It is noted in `problems`.

    Args:
        store: Where they lie.
        labels: (images,).
        shape: (height, width, channels) that they are read at.
        central: Share of either edge that evaluation looks at.
        problems: Shared by all splits of the source.
        numbers: (images,), of each image in the store; by default 0, 1, 2, ...
        size: (height, width) that all images have, where that is known.
    """

    def __init__(
        self,
        store: Store,
        labels: "NDArray[np.int32]",
        shape: tuple[int, int, int],
        *,
        central: float = CENTRAL,
        problems: Problems | None = None,
        numbers: "NDArray[np.int64] | None" = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        import numpy as np

        self.labels = labels
        self.problems = Problems() if problems is None else problems
        self._store, self._shape, self._central, self._size = store, shape, central, size
        self._numbers = np.arange(len(labels)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_small(self) -> bool:
        """Whether the images may as well be held: they have the wanted size already, so a crop loses nothing, and they are not many."""
        height, width, channels = self._shape
        return self._size == (height, width) and 4 * len(self) * height * width * channels <= LARGEST_HELD

    def take(self, indices: "NDArray[np.int64]") -> "StoredImages":
        """The images at these indices alone, in this order; none is read."""
        return StoredImages(
            self._store,
            self.labels[indices],
            self._shape,
            central=self._central,
            problems=self.problems,
            numbers=self._numbers[indices],
            size=self._size,
        )

    def read(self, indices: "Sequence[int] | NDArray[np.int64]", cropper: Cropper | None = None) -> "NDArray[np.float32]":
        """Images in [-1, 1], (indices, height, width, channels); without a cropper the box for evaluation.

        Raises:
            RunError: An image cannot be read, nor any other of its class.
        """
        import numpy as np

        images = np.empty((len(indices), *self._shape), np.float32)
        for position, index in enumerate(indices):
            images[position] = self._read(int(index), functools.partial(cropper, position) if cropper else self._evaluation_box)
        images /= np.float32(127.5)
        images -= np.float32(1)
        return images

    def names(self, indices: "Sequence[int] | NDArray[np.int64]") -> list[str]:
        """What messages call the images."""
        return [self._store.name(int(self._numbers[index])) for index in indices]

    def _read(self, index: int, crop: Callable[[int, int], Box]) -> "NDArray[np.uint8]":
        """The image, or the first that can be read of those that may stand in for it; (height, width, channels)."""
        reason = ""
        for each in self._candidates(index):
            number = int(self._numbers[each])
            try:
                pixels = decode(self._store.open(number), self._shape, crop)
            except UnreadableError as error:
                reason = reason or str(error)
                continue
            if each != index:
                self.problems.add_replaced(self._store.name(int(self._numbers[index])), reason, self._store.name(number))
            return pixels
        raise RunError(
            f"an image that cannot be read is replaced by another of its class, but none of class {self.labels[index]} can be read, "
            f"among them {self._store.name(int(self._numbers[index]))} ({reason}); mend these files, or take the class out"
        )

    def _candidates(self, index: int) -> Iterator[int]:
        """The image, then those of its class behind it, then those before it."""
        import numpy as np

        yield index
        members = np.flatnonzero(self.labels == self.labels[index])
        yield from members[members > index].tolist()
        yield from members[members < index].tolist()

    def _evaluation_box(self, height: int, width: int) -> Box:
        return evaluation_box(height, width, self._shape[:2], self._central)
