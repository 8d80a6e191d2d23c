"""Position embeddings on another grid of patches: cubic interpolation in two dimensions; the class token's vector stays.

Three choices, which libraries make differently, and why ours:

- Sizes, never factors: a position's place is its patch's centre as a share of the image, (i + 1/2) / n. The original ViT code puts
  corner upon corner instead, which moves the outer patches by up to half a patch.
- Cubic (Keys 1981, a = -1/2), not linear: a mean of neighbours is shorter than they are, and what is not smooth in positions is what tells
  them apart. From 14x14 to 24x24 white noise keeps 0.83 of its norm by the cubic, 0.69 by the linear; DeiT's authors saw it in accuracy.
- Where the grid shrinks, the cubic widens by as much (antialiasing), so that every position counts, not every other.

That is timm's default, and what JAX, PyTorch and Pillow compute as antialiased bicubic; SciPy's `zoom` has no such mode. It is done
here with NumPy in float64, so that no backend has a say in it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvsearch.errors import ConfigError
from fvsearch.weights.transferred import Grid, show_grid

Array = NDArray[Any]


def resize_positions(positions: Array, source_grid: Grid, target_grid: Grid) -> Array:
    """Positions of one grid for another; the same values where the grids are the same.

    An equal number of patches is no equal grid: 2x8 to 4x4 grows along the rows and shrinks along the columns.

    Args:
        positions: (1, 1 + rows * columns, width), the class token's first, then patches row by row.
        source_grid: Of these positions.
        target_grid: Of those wanted.

    Returns:
        (1, 1 + rows * columns of the target, width), of the same dtype.

    Raises:
        ConfigError: A grid is empty, or the positions are not the source grid's.
    """
    for grid in (source_grid, target_grid):
        if min(grid) < 1:
            raise ConfigError(f"a grid must have at least one row and one column, but got {show_grid(grid)}")
    rows, columns = source_grid
    if positions.ndim != 3 or positions.shape[:2] != (1, 1 + rows * columns):
        raise ConfigError(
            f"positions must have shape (1, 1 + rows * columns, width), but got {positions.shape} with the grid {show_grid(source_grid)}"
        )
    if source_grid == target_grid:
        return positions.copy()
    width = positions.shape[2]
    along_rows, along_columns = (interpolation(*sizes) for sizes in zip(source_grid, target_grid, strict=True))
    patches = positions[0, 1:].astype(np.float64).reshape(rows, columns, width)
    resized = np.tensordot(along_rows, patches, axes=1)  # (target rows, columns, width)
    resized = along_columns @ resized  # (target rows, target columns, width)
    return np.concatenate([positions[:, :1], resized.reshape(1, -1, width).astype(positions.dtype)], axis=1)


def interpolation(source: int, target: int) -> NDArray[np.float64]:
    """Weights of `source` places in each of `target` places, evenly laid over the same length; a row sums to 1.

    A place of the target and its neighbours of the source, growing from 2 to 4, in units of the source:

        source     0       1
        target  -.25 .25 .75 1.25

    Beyond the ends there is nothing: the weights within make up for it.

    Returns:
        (target, source).
    """
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    distances = np.abs(centres[:, None] - np.arange(source)) / max(1.0, scale)  # (target, source)
    weights = keys_cubic(distances)
    return weights / weights.sum(axis=1, keepdims=True)


def keys_cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution kernel at distances >= 0: 1 at 0, 0 at 1 and from 2 on. Source: Keys 1981, a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
