"""shapes: a synthetic image set, drawn by formula from a seed at any resolution: which outline has the figure, and is it filled?

A picture is a figure on a ground, under clutter and noise. Everything that chance decides of it is drawn before the first pixel and in
units of the image, so the same options give the same scenes at another `image_size`, finer or coarser. There is no photograph in it: what
is learned here tells how archs compare, and nothing of how well real things are seen.
"""

from typing import TYPE_CHECKING, NamedTuple

from fvsearch.data.arrays import ArrayPair
from fvsearch.data.splits import split_indices
from fvsearch.errors import ConfigError
from fvsearch.records import Record, from_builtins, require_at_least, require_fraction
from fvsearch.study import Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

OUTLINES: tuple[tuple[int, float], ...] = ((0, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (6, 1.0), (3, 0.4), (4, 0.5), (5, 0.5))
"""Corners, and how far in the middle of a side is drawn (1 is a straight side): disc, four regular polygons, three stars."""

STYLES = ("filled", "hollow")
MOST_CLASSES = len(OUTLINES) * len(STYLES)

LATTICE = 24
"""Points along each edge of the lattice that noise is drawn on; between them it is interpolated."""
NOISE = 0.4
"""Its standard deviation at difficulty 1, where the figure stands out by 1 at most."""
SPOTS = 8
"""Soft spots of clutter in a picture, fainter the easier it is."""
ANGLES = 720
"""At which an outline's radius is tabled."""
CHUNK = 256
"""Pictures drawn at a time, so that their planes stay in the processor's cache."""


class ShapesOptions(Record, frozen=True, kw_only=True):
    """What `data.options` may say of shapes.

    Attributes:
        samples: Pictures in all splits together; every class is drawn as often, to one.
        difficulty: From 0 (in the middle, upright, one size, full contrast, nothing else) to 1 (anywhere, turned, small or large, faint or
            strong, dark or light, under clutter and noise).
        mislabelled: Share of the training pictures that are given the label of another class; validation and test are labelled rightly, so
            a model that learns its pictures by heart pays for it there.
        seed: Of the pictures; `data.seed` is of the split.
    """

    samples: int = 4000
    difficulty: float = 0.5
    mislabelled: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(1, self, "samples")
        require_at_least(0, self, "seed")
        require_fraction(self, "mislabelled")
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f"`difficulty` must lie between 0 and 1, but got {self.difficulty:g}")


class Scenes(NamedTuple):
    """What chance decides of n pictures, noise aside; the shorter edge reaches from -1 to 1.

    Attributes:
        drawn: int32 (n,), the class that is drawn.
        labels: int32 (n,), the class that is said of it in training.
        place: (n, 2), vertical and horizontal, from -1 to 1 of the room that the figure leaves.
        radius: (n,), of the disc of the figure's area.
        turn: (n,), in full turns.
        contrast: (n,), of figure to ground; negative is dark on light.
        tint: (n, channels), by how much of the contrast each channel shows.
        spots: (n, SPOTS, 2), from -1 to 1 of the whole picture.
        spot_sizes: (n, SPOTS).
        spot_heights: (n, SPOTS).
    """

    drawn: "NDArray[np.int32]"
    labels: "NDArray[np.int32]"
    place: "Floats"
    radius: "Floats"
    turn: "Floats"
    contrast: "Floats"
    tint: "Floats"
    spots: "Floats"
    spot_sizes: "Floats"
    spot_heights: "Floats"


def check_shapes(data: Data) -> None:
    """The law that the options can be read, and that there are shapes for as many classes.

    Raises:
        ConfigError: It does not hold.
    """
    read_options(data)
    if data.num_classes > MOST_CLASSES:
        raise ConfigError(f"the data source 'shapes' has at most {MOST_CLASSES} classes, but got num_classes={data.num_classes} at data")


def read_options(data: Data) -> ShapesOptions:
    """The options of shapes that a Data record says.

    Raises:
        ConfigError: An unknown option, or one that breaks a law.
    """
    return from_builtins(data.options, ShapesOptions, source="data.options")


def read_shapes(data: Data) -> dict[str, ArrayPair]:
    """All pictures by split, float32 in [-1, 1]; of the training split some are mislabelled, if the options say so.

    Raises:
        ConfigError: The record breaks a law.
    """
    check_shapes(data)
    options = read_options(data)
    scenes = draw_scenes(options, data.num_classes, data.channels)
    images = draw(scenes, options, data.image_shape)
    test, validation, train = split_indices(scenes.drawn, data.num_classes, (data.test, data.validation), data.seed)
    return {
        "train": ArrayPair(images[train], scenes.labels[train]),
        "validation": ArrayPair(images[validation], scenes.drawn[validation]),
        "test": ArrayPair(images[test], scenes.drawn[test]),
    }


def draw(scenes: Scenes, options: ShapesOptions, image_shape: tuple[int, int, int]) -> "Floats":
    """The pictures of all scenes: (options.samples, height, width, channels), in [-1, 1]."""
    import numpy as np

    images = np.empty((options.samples, *image_shape), np.float32)
    # From 1: the seeds s and (s, 0) give the same numbers, and s is the scenes'.
    for index, start in enumerate(range(0, options.samples, CHUNK), start=1):
        part = slice(start, start + CHUNK)
        lattice = np.random.default_rng((options.seed, index)).standard_normal((CHUNK, LATTICE, LATTICE), np.float32)
        images[part] = render(Scenes._make(values[part] for values in scenes), lattice, options.difficulty, image_shape)
    return images


def draw_scenes(options: ShapesOptions, num_classes: int, channels: int) -> Scenes:
    """The scenes that a seed gives: the same at every resolution, and but for `tint` with every number of channels."""
    import numpy as np

    rng, n, hard = np.random.default_rng(options.seed), options.samples, options.difficulty

    def uniform(low: float, high: float, *shape: int) -> "Floats":
        return rng.uniform(low, high, (n, *shape)).astype(np.float32)

    drawn = (rng.permutation(n) % num_classes).astype(np.int32)
    dark = uniform(0, 1) < hard / 2
    wrong = np.where(uniform(0, 1) < options.mislabelled, rng.integers(1, num_classes, n), 0)
    return Scenes(
        drawn=drawn,
        labels=((drawn + wrong) % num_classes).astype(np.int32),
        place=uniform(-hard, hard, 2),
        radius=uniform(0.55 - 0.3 * hard, 0.55),
        turn=uniform(-hard / 2, hard / 2),
        contrast=uniform(1 - 0.5 * hard, 1) * np.where(dark, -1, 1).astype(np.float32),
        spots=uniform(-1, 1, SPOTS, 2),
        spot_sizes=uniform(0.05, 0.25, SPOTS),
        spot_heights=uniform(-hard / 2, hard / 2, SPOTS),
        tint=uniform(1 - 0.5 * hard, 1, channels),
    )


def render(scenes: Scenes, lattice: "Floats", difficulty: float, image_shape: tuple[int, int, int]) -> "Floats":
    """Pixels of scenes.

    Args:
        scenes: n of them.
        lattice: (at least n, LATTICE, LATTICE), noise of standard deviation 1.
        difficulty: Scales the noise.
        image_shape: (height, width, channels).

    Returns:
        (n, height, width, channels), in [-1, 1].
    """
    import numpy as np

    height, width, _ = image_shape
    shorter = min(height, width)
    rows, columns = _centres(height) * np.float32(height / shorter), _centres(width) * np.float32(width / shorter)
    figure = _figures(scenes, rows, columns, pixel=2 / shorter)  # (n, height, width), 0 to 1
    image = scenes.contrast[:, None, None] * (figure - np.float32(0.5))
    image += _clutter(scenes, rows, columns)
    noise = _interpolation(height) @ lattice[: len(figure)] @ _interpolation(width).T  # (n, height, width)
    image += np.float32(NOISE * difficulty) * noise
    return np.clip(image[..., None] * scenes.tint[:, None, None, :], -1, 1)  # (n, height, width, channels)


def outline_radii() -> "Floats":
    """(outlines, ANGLES), each outline's radius at equal steps of a turn, from a corner on; all enclose the area of the unit disc."""
    import numpy as np

    angles = np.arange(ANGLES) / ANGLES * 2 * np.pi
    found = []
    for corners, drawn_in in OUTLINES:
        radii = np.ones(ANGLES)
        if corners:
            # A straight line from the corner (1, 0) to the middle of a side, which lies at the angle `half`.
            half = np.pi / corners
            middle = drawn_in * np.cos(half)
            folded = np.abs((angles + half) % (2 * half) - half)
            rise = middle * np.sin(half)
            radii = rise / (rise * np.cos(folded) + (1 - middle * np.cos(half)) * np.sin(folded))
        found.append(radii / np.sqrt(np.mean(radii**2)))
    return np.array(found, np.float32)


def _figures(scenes: Scenes, rows: "Floats", columns: "Floats", pixel: float) -> "Floats":
    """(n, height, width), how much of each pixel the figure covers."""
    import numpy as np

    room = np.maximum(0, 1 - 1.2 * scenes.radius)
    down, right = (scenes.place[:, axis] * room for axis in (0, 1))
    y = rows[:, None] - down[:, None, None]  # (n, height, 1)
    x = columns - right[:, None, None]  # (n, 1, width)
    turns = np.arctan2(y, x) / np.float32(2 * np.pi) - scenes.turn[:, None, None]  # (n, height, width)
    steps = (turns * np.float32(ANGLES)).astype(np.int32) % ANGLES
    outlines, styles = scenes.drawn % len(OUTLINES), scenes.drawn // len(OUTLINES)
    radii = outline_radii().ravel()[outlines[:, None, None] * ANGLES + steps] * scenes.radius[:, None, None]
    distance = np.sqrt(x * x + y * y)
    covered = _covered(radii - distance, pixel)
    hollow = styles == STYLES.index("hollow")
    covered[hollow] -= _covered(np.float32(0.6) * radii[hollow] - distance[hollow], pixel)
    return covered


def _covered(inside: "Floats", pixel: float) -> "Floats":
    """By how far a pixel's centre lies inside an edge, how much of the pixel does."""
    import numpy as np

    return np.clip(inside / np.float32(pixel) + np.float32(0.5), 0, 1)


def _clutter(scenes: Scenes, rows: "Floats", columns: "Floats") -> "Floats":
    """(n, height, width), the sum of the spots: each falls off as a Gaussian, so it is a product of rows and columns."""
    import numpy as np

    def fall_off(axis: int, positions: "Floats") -> "Floats":
        away = (positions - scenes.spots[:, :, axis, None] * positions[-1]) / scenes.spot_sizes[:, :, None]
        return np.exp(np.float32(-0.5) * away * away)  # (n, SPOTS, positions)

    by_rows = fall_off(0, rows) * scenes.spot_heights[:, :, None]
    return np.matmul(by_rows.transpose(0, 2, 1), fall_off(1, columns), dtype=np.float32)


def _centres(pixels: int) -> "Floats":
    """(pixels,), the pixels' centres from -1 to 1."""
    import numpy as np

    return ((np.arange(pixels) * 2 + 1) / pixels - 1).astype(np.float32)


def _interpolation(pixels: int) -> "Floats":
    """(pixels, LATTICE), which takes values on the lattice to the pixels' centres, linearly; its rows sum to 1."""
    import numpy as np

    position = np.clip((_centres(pixels) + 1) / 2 * LATTICE - 0.5, 0, LATTICE - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(LATTICE))).astype(np.float32)
