"""digits: 1,797 real handwritten digits of 8x8 grey pixels, which scikit-learn brings along."""

from fvsearch.data.arrays import ArrayPair
from fvsearch.errors import ConfigError
from fvsearch.study import Data

SHAPE = (8, 8, 1)
NUM_CLASSES = 10


def check_digits(data: Data) -> None:
    """The law that the record says what digits are.

    Raises:
        ConfigError: It does not.
    """
    said = (*data.image_shape, data.num_classes)
    if said != (*SHAPE, NUM_CLASSES):
        raise ConfigError(
            "the data source 'digits' has image_size=8, channels=1, num_classes=10, but got "
            f"image_size={data.image_size}, channels={data.channels}, num_classes={data.num_classes} at data"
        )
    if data.options:
        raise ConfigError(f"the data source 'digits' has no options, but got {', '.join(data.options)} at data.options")


def read_digits(data: Data) -> ArrayPair:
    """All digits; pixel values 0 to 16 become x / 8 - 1."""
    import numpy as np
    from sklearn.datasets import load_digits

    check_digits(data)
    pixels, labels = load_digits(return_X_y=True)  # (1797, 64), (1797,)
    images = (pixels.reshape(-1, *SHAPE) / 8 - 1).astype(np.float32)  # (1797, 8, 8, 1)
    return ArrayPair(images, labels.astype(np.int32))
