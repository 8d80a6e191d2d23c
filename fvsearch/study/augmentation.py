"""Augmentation: what chance does to the images of training, as a frozen record; training/augmenting.py does it."""

import math

from fvsearch.errors import ConfigError
from fvsearch.records import Record

LARGEST_JITTER = 0.5
"""Half a turn of the hue: beyond it hues only come back."""


class Augmentation(Record, frozen=True, kw_only=True):
    """What chance does to the images of training, in this order; nothing unless said. Validation and test images are never touched.

    Two sets of values are usual. Inception's is a crop and a flip: GoogLeNet takes 8% to 100% of the picture (Szegedy et al. 2015, section
    6), the ViT paper's code from 5% on (big_vision's `inception_crop`). MoCo's first is crop [0.2, 1], grayscale 0.2, color_jitter 0.4 and
    flip (He et al. 2020, section 3.3), which the Pixel Transformer took over.

    Attributes:
        crop: Smallest and largest share of the picture's area that is kept, of an aspect between 3/4 and 4/3 anywhere in it, and resized to
            the image size; none takes the whole picture.
        grayscale: Share of the images that lose their colour.
        color_jitter: How far colours are moved: contrast and saturation to between 1 - x and 1 + x of themselves, brightness up or down by
            up to half of x of the whole range (as far as that takes middle grey), hue by up to x of a turn, either way.
        flip: Every other image is mirrored, left to right.
        mixup: Images are blended with others of their batch, and labels with them, by shares from Beta(x, x) (Zhang et al. 2018).
        cutmix: Images get a rectangle of another of their batch, and its label's share, of an area from Beta(x, x) (Yun et al. 2019); with
            mixup too, a coin decides for each batch.
    """

    crop: tuple[float, float] | None = None
    grayscale: float = 0.0
    color_jitter: float = 0.0
    flip: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ConfigError(f"`crop` must be two shares of the area, above 0, ascending and at most 1, but got {list(self.crop)}")
        for name, most in (("grayscale", 1.0), ("color_jitter", LARGEST_JITTER)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ConfigError(f"`{name}` must lie between 0 and {most:g}, but got {value}")
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"`{name}` must be at least 0 and finite, but got {value}")

    @property
    def alters(self) -> bool:
        """Whether anything is done at all."""
        return self != Augmentation()

    @property
    def mixes_labels(self) -> bool:
        """Whether labels come as shares of classes, (batch, classes)."""
        return self.mixup > 0 or self.cutmix > 0

    def require_colors(self, channels: int) -> None:
        """The law that what changes colours is given images that have them.

        Raises:
            ConfigError: It is not.
        """
        for name in ("grayscale", "color_jitter"):
            value = getattr(self, name)
            if value and channels != 3:
                raise ConfigError(
                    f"`augmentation.{name}` must be 0 for images without red, green and blue, but got {name}={value:g}, channels={channels}"
                )
