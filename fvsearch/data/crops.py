"""The Inception crop: a box of a chosen share of the picture's area and of a slightly changed aspect, anywhere in the picture.

Keras has no layer for it, and it belongs where an image is read: of a large picture only the box is resized.
"""

import math
from typing import TYPE_CHECKING

from fvsearch.data.images import Box, Cropper

if TYPE_CHECKING:
    import numpy as np

LEAST_ASPECT, MOST_ASPECT = 3 / 4, 4 / 3
"""Width over height (Szegedy et al. 2015, section 6)."""

TRIES = 10
"""Boxes drawn for a picture before the largest in its middle is taken: of long pictures, large boxes do not fit."""


def draw_crops(random: "np.random.Generator", count: int, area: tuple[float, float]) -> Cropper:
    """A cropper for a batch, all its chance drawn at once, so that the boxes do not depend on the order in which images are read.

    The share of the area is uniform, the logarithm of the aspect too, and so is the place.

    Args:
        random: Gives the numbers.
        count: Images in the batch.
        area: Smallest and largest share of the picture's area.
    """
    draws = random.random((count, TRIES, 4)).tolist()  # share, aspect, top, left
    low, high = area

    def crop(position: int, height: int, width: int) -> Box:
        for share, aspect, top, left in draws[position]:
            wanted = (low + (high - low) * share) * height * width
            ratio = LEAST_ASPECT * (MOST_ASPECT / LEAST_ASPECT) ** aspect
            box_height, box_width = round(math.sqrt(wanted / ratio)), round(math.sqrt(wanted * ratio))
            if 0 < box_height <= height and 0 < box_width <= width:
                return int(top * (height - box_height + 1)), int(left * (width - box_width + 1)), box_height, box_width
        return central_box(height, width)

    return crop


def central_box(height: int, width: int) -> Box:
    """The largest box of an allowed aspect in the middle of a picture."""
    box_height, box_width = min(height, max(1, round(width / LEAST_ASPECT))), min(width, max(1, round(height * MOST_ASPECT)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
