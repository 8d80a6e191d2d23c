"""Images of an array behind the interface of those that are read lazily: crops are cut out and resized, many images at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fvsearch.data.arrays import ArrayPair
from fvsearch.data.images import Cropper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

AT_A_TIME = 2**17
"""Bytes of rows that are resized together, of many small images or of a part of a large one: few calls, in the processor's cache."""


class ArrayImages:
    """An ArrayPair as Images.

    Args:
        pair: Images and labels.

    Attributes:
        labels: int32 (images,), from 0.
    """

    def __init__(self, pair: ArrayPair) -> None:
        import numpy as np

        self._images, self.labels = np.ascontiguousarray(pair.images), pair.labels  # so that rows can be told by number

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def read(self, indices: "Sequence[int] | NDArray[np.int64]", cropper: Cropper | None = None) -> "Floats":
        """Some images, (k, height, width, channels), copied; what the cropper takes of each is resized to the size of all."""
        import numpy as np

        chosen = np.asarray(indices)
        if cropper is None:
            return self._images[chosen]
        height, width = self._images.shape[1:3]
        boxes = np.array([cropper(position, height, width) for position in range(len(chosen))], np.int64).reshape(-1, 4)
        return crop_and_resize(self._images, chosen, boxes)

    def names(self, indices: "Sequence[int] | NDArray[np.int64]") -> list[str]:
        """`image 17`: an array's images have no other name."""
        return [f"image {index}" for index in indices]


def crop_and_resize(images: "Floats", chosen: "Integers", boxes: "Integers") -> "Floats":
    """A part of each of some images at the whole image's size, bilinear: what Pillow's filter makes of it, to a rounding.

    A part is never larger than the whole, so nothing is averaged. An image comes out the same whatever images are beside it.

    Args:
        images: (images, height, width, channels).
        chosen: (k,), which of them.
        boxes: (k, 4), top, left, height and width of each one's part.

    Returns:
        (k, height, width, channels).
    """
    import numpy as np

    height, width, channels = images.shape[1:]
    top, left, box_height, box_width = boxes.T
    rows = images.reshape(-1, width * channels)
    upper, lower, down = _neighbours(top + height * chosen, box_height, height)  # (k, height), rows of all images
    before, behind, across = _neighbours(left, box_width, width)  # (k, width), columns
    upper, lower, down = upper.ravel(), lower.ravel(), down.reshape(-1, 1)  # a row each of the result
    # A number for each channel: three in a row are slow to multiply by one.
    across = np.repeat(across, channels, axis=1).reshape(-1, width, channels)
    resized = np.empty((len(upper), width, channels), np.float32)
    count = max(1, AT_A_TIME // rows[0].nbytes)
    for start in range(0, len(upper), count):
        part = slice(start, start + count)
        stretched = _between(rows, upper[part], lower[part], down[part])  # (rows of the part, width * channels)
        of_image = np.arange(start, start + len(stretched)) // height
        of_row = width * np.arange(len(stretched))[:, None]
        pixels = stretched.reshape(-1, channels)
        resized[part] = _between(pixels, of_row + before[of_image], of_row + behind[of_image], across[of_image])
    return resized.reshape(-1, height, width, channels)


def _neighbours(starts: "Integers", lengths: "Integers", size: int) -> "tuple[Integers, Integers, Floats]":
    """Along one axis, the two pixels between which each pixel of the result lies, and how far it is from the first to the second.

    Stretched from 2 to 4, with places from centre to centre, and beyond the ends the ends:

        of the box      0       1
        of the result  0 .25 .75 1

    Args:
        starts, lengths: (k,), of the boxes.
        size: Of the result.

    Returns:
        Each (k, size).
    """
    import numpy as np

    last = lengths[:, None] - 1
    places = np.clip((np.arange(size) + 0.5) * (lengths[:, None] / size) - 0.5, 0, last)
    first = places.astype(np.int64)
    return starts[:, None] + first, starts[:, None] + np.minimum(first + 1, last), (places - first).astype(np.float32)


def _between(values: "Floats", first: "Integers", second: "Integers", share: "Floats") -> "Floats":
    """Of rows of values, those on the way from the first to the second."""
    found, start = values.take(second, axis=0), values.take(first, axis=0)
    found -= start
    found *= share
    found += start
    return found
