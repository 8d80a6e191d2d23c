"""Data: where a study's images come from, their shape, and how they are split, as a frozen record; fvsearch/data reads them."""

from typing import Any

from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_fraction


class Data(Record, frozen=True, kw_only=True):
    """Where images come from, their shape, and how they are split.

    Attributes:
        source: "digits", "shapes", "folder:PATH" of class folders, "tfds:NAME[/CONFIG][:VERSION]", "tfrecord:PATH" (a folder or a pattern),
            or a user's own "package.module:function". What has no splits of its own is split by the shares below.
        image_size: Pixels: one edge of a square, or (height, width).
        channels: Of an image.
        num_classes: Of the labels.
        validation: Share of the images that the search scores on; where the source has a test split of its own, of what else it has,
            unless that is split too.
        test: Share that nothing but the end of `fvsearch train` reads; a test split of the source's own is taken as it is.
        seed: Of the split.
        train_share: Share of the training split that is trained on; a smaller share is part of a larger one.
        options: Of the source: keyword arguments for a user's function; samples, difficulty, mislabelled and seed for "shapes"; for all
            whose images are read from files central, for "tfds:" data_dir, manual_dir and download, for "tfrecord:" image, label and
            first_label.
    """

    source: str
    image_size: int | tuple[int, int]
    channels: int
    num_classes: int
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    train_share: float = 1.0
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        require_at_least(1, self, "channels")
        require_at_least(2, self, "num_classes")
        require_fraction(self, "validation", "test")
        if min(self.image_shape) < 1:
            raise ConfigError(f"`image_size` must be at least 1, but got {self.image_size}")
        if not self.validation > 0:
            raise ConfigError("`validation` must be above 0, but got 0: the search needs images to score on")
        if not 0 < self.train_share <= 1:
            raise ConfigError(f"`train_share` must be above 0 and at most 1, but got {self.train_share}")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"`validation` and `test` must leave images to train on, but together they are {self.validation + self.test:g}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        height, width = (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size
        return height, width, self.channels


def require_patches(patch_size: int, data: Data) -> None:
    """The law that patches tile the image.

    Raises:
        ConfigError: They do not.
    """
    height, width, _ = data.image_shape
    if height % patch_size or width % patch_size:
        raise ConfigError(f"`image_size` must divide by `patch_size`, but got image_size={height}x{width}, patch_size={patch_size}")
