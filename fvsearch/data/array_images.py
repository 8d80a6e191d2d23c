"""Images of an array behind the interface of those that are read lazily: a crop is cut out and resized."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fvsearch.data.arrays import ArrayPair
from fvsearch.data.images import Box, Cropper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


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
        if cropper is not None:
            height, width = images.shape[1:3]
            for position, image in enumerate(images):
                image[:] = crop_and_resize(image, cropper(position, height, width))
        return images

    def names(self, indices: "Sequence[int] | NDArray[np.int64]") -> list[str]:
        """`image 17`: an array's images have no other name."""
        return [f"image {index}" for index in indices]


def crop_and_resize(image: "Floats", box: Box) -> "Floats":
    """A part of an image at the whole image's size, by Pillow's bilinear filter, which averages where it shrinks.

    Args:
        image: (height, width, channels).
        box: Which part.
    """
    import numpy as np
    from PIL import Image

    top, left, height, width = box
    part = np.moveaxis(image[top : top + height, left : left + width], -1, 0)  # (channels, height, width)
    size = (image.shape[1], image.shape[0])
    planes = [Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BILINEAR) for plane in part]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)  # (height, width, channels)
