"""From an encoded image to pixels of the wanted shape, by Pillow: whatever its format, mode, size and orientation.

A box of the image is resized, bilinear and antialiased. Evaluation takes a box in the middle, as is usual for ImageNet: the largest of the
target's proportions, and of it 87.5% of either edge (resize to 256, crop 224), yet no fewer pixels than the target has where the image
has them. An image that has the target's size already is thus taken whole, as is usual for CIFAR, and nothing is squeezed.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fvsearch.data.images import Box
from fvsearch.records import SHOWN, in_short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

CENTRAL = 0.875
"""Share of either edge that evaluation looks at."""

GAP = 2.0
"""A huge image is first shrunk cheaply to no less than this many times the target's size, then resized well."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats that are read, as Pillow calls them. It knows others, and EPS among them is a program, which Pillow has Ghostscript run."""

DRAFTED = ("JPEG", "MPO")
"""Formats that Pillow decodes small, if it is told so before."""

ROWS = 64
"""Of 16 bits that are scaled down at a time."""

ORIENTATION = 0x0112
"""The EXIF tag that says how an image is to be turned."""

TURNED = (5, 6, 7, 8)
"""Its values that exchange height and width; what is none of 1 to 8 says nothing."""

Encoded = Path | IO[bytes]


class UnreadableError(Exception):
    """An image that cannot be read; the reason, in a few words. Whoever reads many decides what becomes of it.

    Args:
        reason: As above.
        lasting: Whether it lies in the image's bytes. What the system has against a file (no permission, too many open files, a disk that
            is away) may pass without the file changing.
    """

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


def decode(encoded: Encoded, shape: tuple[int, int, int], crop: Callable[[int, int], Box]) -> "NDArray[np.uint8]":
    """A box of an image, resized.

    Args:
        encoded: A file, or its bytes.
        shape: (height, width, channels) of what is returned; 1 channel is grey, 3 are red, green, blue.
        crop: From (height, width) of the upright image to the box that is taken.

    Returns:
        (height, width, channels).

    Raises:
        UnreadableError: The image is broken, or of a kind that is not one of levels from dark to light.
    """
    import numpy as np
    from PIL import Image

    height, width, channels = shape
    with open_image(encoded) as image:
        with _unreadable():
            drafts = image.format in DRAFTED
            # Others are decoded whole and turned before their size is asked for: where the tag is, and who minds it, is their affair.
            is_turned = drafts and _exif(image).get(ORIENTATION) in TURNED
            if not drafts:
                _turn(image)
        original = image.size if is_turned else image.size[::-1]  # (height, width), upright
        top, left, box_height, box_width = box = crop(*original)
        if not (0 <= top < top + box_height <= original[0] and 0 <= left < left + box_width <= original[1]):
            raise ValueError(f"a box must lie in its image, but got {box} of an image of {original[0]}x{original[1]} pixels")
        with _unreadable():
            shrunk = 1
            if drafts:
                shrunk = _draft(image, min(box_height / height, box_width / width) / GAP)
                _turn(image)
            corners = (left / shrunk, top / shrunk, (left + box_width) / shrunk, (top + box_height) / shrunk)
            resized = _levels(image, channels).resize((width, height), Image.Resampling.BILINEAR, box=corners, reducing_gap=GAP)
            return np.asarray(resized).reshape(shape)


def open_image(encoded: Encoded) -> "Image":
    """An image whose header is read, and not more: its format is known, and its size is one that Pillow takes.

    Raises:
        UnreadableError: It is not.
    """
    from PIL import Image

    with _unreadable():
        image = Image.open(encoded, formats=_formats())
    if image.mode == "F":
        image.close()
        raise UnreadableError("floating-point pixels")
    return image


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of them that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def evaluation_box(height: int, width: int, target: tuple[int, int], central: float = CENTRAL) -> Box:
    """What evaluation takes of an image: 328x328 pixels in the middle of 375x500 for a target of 224x224; all of 32x32 for 32x32.

    Args:
        height, width: Of the image.
        target: (height, width) that the box is resized to.
        central: Share of either edge of the largest box.
    """
    largest = min(height / target[0], width / target[1])  # pixels of the image for one of the target
    scale = max(central * largest, min(largest, 1.0))
    box_height, box_width = max(1, round(target[0] * scale)), max(1, round(target[1] * scale))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _draft(image: "Image", shrink: float) -> int:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size, if that shrinks it by no more than `shrink`; by how much it does."""
    if shrink < 2:
        return 1
    width, height = image.size
    drafted = image.draft(None, (int(width / shrink) + 1, int(height / shrink) + 1))
    return 1 if drafted is None else round(width / drafted[1][2])


def _turn(image: "Image") -> None:
    """Turn an image upright, in place, as its EXIF data say."""
    from PIL import ImageOps

    image.load()
    if _exif(image):
        ImageOps.exif_transpose(image, in_place=True)


def _exif(image: "Image") -> "Mapping[int, Any]":
    """An image's EXIF data; none where they are broken, for the image need not be."""
    try:
        return image.getexif()
    except Exception:  # whatever Pillow's parser stumbles over
        return {}


def _levels(image: "Image", channels: int) -> "Image":
    """Pixels of 8 bits: 16 bits are scaled down, and what is transparent shows white."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    return image.convert("L" if channels == 1 else "RGB")


def _eight_bits(levels: "NDArray[np.integer[Any]]") -> "NDArray[np.uint8]":
    """(height, width) of 16 bits, which Pillow would clip, scaled down; of 32 bits it opens what 16 would do for.

    A few rows at a time: the wider integers in between would take many times the image's memory.
    """
    import numpy as np

    scaled = np.empty(levels.shape, np.uint8)
    for top in range(0, len(levels), ROWS):
        scaled[top : top + ROWS] = (levels[top : top + ROWS].clip(0, 65535).astype(np.int64) + 128) // 257
    return scaled


@contextlib.contextmanager
def _unreadable() -> Iterator[None]:
    """Whatever Pillow raises is the image's fault: its formats raise what their parsers stumble over."""
    from PIL import Image, UnidentifiedImageError

    # Of an image between its limit and twice it, Pillow warns, and reads it: cameras take such. So it does of broken EXIF data, which break
    # no image. Asked first, for each new filter has Python forget which warnings it has shown.
    passed = ("ignore", None, Image.DecompressionBombWarning, None, 0)
    if passed not in warnings.filters:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        yield
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than the {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels that Pillow takes") from None
    except UnidentifiedImageError:
        raise UnreadableError("not an image of a format that is read") from None
    except OSError as error:
        # Pillow's own of this kind, such as that of a truncated file, have no number.
        raise UnreadableError(error.strerror or in_short(str(error), SHOWN), lasting=error.errno is None) from None
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableError(f"{type(error).__name__}: {in_short(str(error), SHOWN)}") from None
