"""Hard digits: scikit-learn's 8x8 digits somewhere on a larger canvas, under noise. A source of images as any user's."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


def hard_digits(size: int, noise: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """All 1,797 digits, each once, at a place that chance chose.

    Args:
        size: Pixels of the canvas's edge.
        noise: Standard deviation of what is added to every pixel; ink is 1, paper -1.
        seed: Of places and noise.

    Returns:
        Images (1797, size, size, 1), labels (1797,).
    """
    pixels, labels = load_digits(return_X_y=True)  # (1797, 64), (1797,)
    digits = pixels.reshape(-1, 8, 8) / 8 - 1  # (1797, 8, 8)
    rng = np.random.default_rng(seed)
    images = rng.normal(-1.0, noise, (len(digits), size, size))  # (1797, size, size)
    for image, digit, (row, column) in zip(images, digits, rng.integers(0, size - 8, (len(digits), 2), endpoint=True), strict=True):
        image[row : row + 8, column : column + 8] += digit + 1
    return images[..., None].astype(np.float32), labels.astype(np.int32)
