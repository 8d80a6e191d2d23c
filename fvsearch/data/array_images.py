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

AT_A_TIME = 2**19
"""Bytes of images that are cropped together: of small ones many, so that calls are few; no more than the processor's cache holds."""


class ArrayImages:
    """An ArrayPair as Images.

    Args:
        pair: Images and labels.

    Attributes:
        labels: int32 (images,), from 0.
    """

    def __init__(self, pair: ArrayPair) -> None:
        self._images, self.labels = pair

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def read(self, indices: "Sequence[int] | NDArray[np.int64]", cropper: Cropper | None = None) -> "Floats":
        """Some images, (k, height, width, channels), copied; what the cropper takes of each is resized to the size of all."""
        import numpy as np

        images = self._images[np.asarray(indices)]
        if cropper is not None and len(images):
            height, width = images.shape[1:3]
            boxes = np.array([cropper(position, height, width) for position in range(len(images))])
            count = max(1, AT_A_TIME // images[0].nbytes)
            for start in range(0, len(images), count):
                part = slice(start, start + count)
                images[part] = crop_and_resize(images[part], boxes[part])
        return images

    def names(self, indices: "Sequence[int] | NDArray[np.int64]") -> list[str]:
        """`image 17`: an array's images have no other name."""
        return [f"image {index}" for index in indices]


def crop_and_resize(images: "Floats", boxes: "Integers") -> "Floats":
    """A part of each image at the whole image's size, bilinear: what Pillow's filter makes of it, to a rounding.

    A part is never larger than the whole, so nothing is averaged. An image comes out the same whatever images are beside it.

    Args:
        images: (k, height, width, channels).
        boxes: (k, 4), top, left, height and width of each part.
    """
    import numpy as np

    count, height, width, channels = images.shape
    top, left, box_height, box_width = boxes.T
    upper, lower, share = _neighbours(top, box_height, height)
    of_image = height * np.arange(count)[:, None]
    rows = images.reshape(count * height, width * channels)
    rows = _between(rows, of_image + upper, of_image + lower, share[:, :, None])  # (k, height, width * channels)
    before, behind, share = _neighbours(left, box_width, width)
    of_row = width * np.arange(count * height).reshape(count, height, 1)
    pixels = rows.reshape(count * height * width, channels)
    return _between(pixels, of_row + before[:, None], of_row + behind[:, None], share[:, None, :, None])


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
