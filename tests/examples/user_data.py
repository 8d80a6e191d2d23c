"""An example of a data set of one's own: name it `source = "user_data:stripes"` in a study, beside this file.

A source is a function that returns images and labels: uint8 images, or floats that are scaled to about [-1, 1], of the shape that
the study's [data] says, and integer labels from 0. Its arguments come from `[data.options]`. It may instead return a mapping of splits,
{"train": (images, labels), "test": (images, labels)}, where a data set comes split.
"""

import numpy as np

Array = np.ndarray


def stripes(num_images: int = 120, size: int = 8, seed: int = 0) -> tuple[Array, Array]:
    """Grey images of stripes: lying (label 0), standing (1), slanted (2). uint8 (num_images, size, size, 1)."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_images) % 3
    rows, columns = np.mgrid[:size, :size]
    along = np.stack([rows, columns, rows + columns])[labels]  # (num_images, size, size)
    phases = random.integers(4, size=(num_images, 1, 1))
    images = np.where((along + phases) // 2 % 2 == 0, 200, 60) + random.integers(-40, 40, size=along.shape)
    return images.astype(np.uint8)[..., None], labels


def split_stripes(num_train: int = 90, num_test: int = 30) -> dict[str, tuple[Array, Array]]:
    """The same, as a data set that comes with a test split of its own."""
    return {"train": stripes(num_train, seed=1), "test": stripes(num_test, seed=2)}
