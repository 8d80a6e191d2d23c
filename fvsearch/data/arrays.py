"""Images and labels as arrays, the laws they keep, and splits."""

from typing import TYPE_CHECKING, Any, NamedTuple

from fvsearch.data.images import Images
from fvsearch.errors import ConfigError
from fvsearch.study import Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST_FLOAT = 16.0
"""Floats of images that were scaled or standardised stay well below; floats up to 255 were forgotten to be."""


class ArrayPair(NamedTuple):
    """Images and their labels.

    Attributes:
        images: float32 (images, height, width, channels), roughly in [-1, 1].
        labels: int32 (images,), from 0.
    """

    images: "NDArray[np.float32]"
    labels: "NDArray[np.int32]"

    def take(self, indices: "NDArray[np.int64]") -> "ArrayPair":
        """The images at these indices, in this order."""
        return ArrayPair(self.images[indices], self.labels[indices])


class SearchSplits(NamedTuple):
    """What a search may read: no test images."""

    train: ArrayPair | Images
    validation: ArrayPair | Images


class Splits(NamedTuple):
    """Disjoint splits; test is None where the Data record leaves it no share."""

    train: ArrayPair | Images
    validation: ArrayPair | Images
    test: ArrayPair | Images | None


def as_arrays(split: ArrayPair | Images) -> ArrayPair:
    """A split held whole, its images as evaluation sees them; for sets that fit into memory."""
    import numpy as np

    return split if isinstance(split, ArrayPair) else ArrayPair(split.read(np.arange(len(split))), split.labels)


def check_pair(pair: Any, data: Data, place: str) -> ArrayPair:
    """What a user's function returned as one split, as an ArrayPair; uint8 becomes x / 127.5 - 1.

    Args:
        pair: (images, labels). Images (n, height, width, channels), or (n, height, width) of one channel; uint8, or floats that are
            scaled already. Labels (n,) or (n, 1), integers from 0.
        data: Says shape and classes.
        place: Where the pair is from, for errors.

    Raises:
        ConfigError: One of these does not hold.
    """
    import numpy as np

    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ConfigError(f"a split must be (images, labels), but got {_kind(pair)} from {place}")
    images, labels = np.asarray(pair[0]), np.asarray(pair[1])
    if images.ndim == 3 and data.channels == 1:
        images = images[..., None]
    if images.shape[1:] != data.image_shape or len(images) == 0:
        wanted = ", ".join(map(str, data.image_shape))
        raise ConfigError(
            f"images must have shape (n, {wanted}) as data.image_size and data.channels say, but got {images.shape} from {place}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(images),):
        raise ConfigError(f"labels must have shape ({len(images)},), one for each image, but got {labels.shape} from {place}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(f"labels must be integers, but got {labels.dtype} from {place}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= data.num_classes:
        raise ConfigError(
            f"labels must lie in 0 to {data.num_classes - 1} as data.num_classes={data.num_classes} says, "
            f"but got {high if high >= data.num_classes else low} from {place}"
        )
    return ArrayPair(_scaled(images, place), labels.astype(np.int32))


def _scaled(images: Any, place: str) -> Any:
    """float32; uint8 is brought to [-1, 1]."""
    import numpy as np

    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    if not np.issubdtype(images.dtype, np.floating):
        raise ConfigError(f"images must be uint8, or floats scaled to [-1, 1], but got {images.dtype} from {place}")
    largest = float(np.abs(images).max())
    if not largest <= LARGEST_FLOAT:
        raise ConfigError(
            f"images of floats must be scaled to [-1, 1] or standardised, but got values as large as {largest:g} from {place}"
        )
    return images.astype(np.float32)


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__
