"""Positions on other grids, against three references: a loop over the definition, SciPy's cubic, and the backend's own resize."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from fvsearch.errors import ConfigError
from fvsearch.weights.positions import interpolation, resize_positions

sizes = st.integers(1, 12)
grids = st.tuples(sizes, sizes)


def drawn(grid, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(1, 1 + grid[0] * grid[1], width)).astype("float32")


def as_image(positions, grid):
    """(rows, columns, width), without the class token."""
    return positions[0, 1:].reshape(*grid, -1)


def keys(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resized_by_loops(image, grid):
    """One vector at a time: a mean of all vectors, weighted by the kernel at their distance along the rows and along the columns."""
    rows, columns = image.shape[:2]
    steps = (rows / grid[0], columns / grid[1])
    result = np.zeros((*grid, image.shape[2]))
    for row in range(grid[0]):
        for column in range(grid[1]):
            total = 0.0
            for i in range(rows):
                for j in range(columns):
                    # Centres as shares of the image, their distance in units of the coarser of the two grids.
                    down = ((row + 0.5) / grid[0] - (i + 0.5) / rows) * (rows / max(1, steps[0]))
                    across = ((column + 0.5) / grid[1] - (j + 0.5) / columns) * (columns / max(1, steps[1]))
                    weight = keys(down) * keys(across)
                    result[row, column] += weight * image[i, j]
                    total += weight
            result[row, column] /= total
    return result


def test_from_two_to_four_by_hand():
    """The kernel is 111/128 at a quarter, 29/128 at three quarters, -9/128 at one and a quarter, and a row is divided by its sum."""
    end, inner = np.array([111, -9]) / 102, np.array([111, 29]) / 140
    np.testing.assert_allclose(interpolation(2, 4), [end, inner, inner[::-1], end[::-1]], rtol=1e-15)


@settings(max_examples=30)
@given(source=grids, target=grids, seed=st.integers(0, 99))
def test_every_vector_is_the_weighted_mean_of_the_definition(source, target, seed):
    positions = drawn(source, seed=seed)
    found = resize_positions(positions, source, target)
    assert found.shape == (1, 1 + target[0] * target[1], 3) and found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], positions[:, 0])
    expected = resized_by_loops(as_image(positions, source).astype("float64"), target)
    np.testing.assert_allclose(as_image(found, target), expected, atol=1e-5)


@given(source=st.integers(4, 30), grown=st.integers(0, 30), seed=st.integers(0, 99))
def test_where_it_grows_it_is_scipys_cubic_through_the_values(source, grown, seed):
    """Slopes from both neighbours: so it has to be where two neighbours stand on either side."""
    target = source + grown
    values = np.random.default_rng(seed).normal(size=source)
    inner = np.arange(1, source - 1)
    spline = CubicHermiteSpline(inner, values[inner], (values[inner + 1] - values[inner - 1]) / 2)
    places = (np.arange(target) + 0.5) * source / target - 0.5
    within = (places >= 1) & (places <= source - 2)
    assert within.any()
    np.testing.assert_allclose((interpolation(source, target) @ values)[within], spline(places[within]), atol=1e-10)


@pytest.mark.parametrize(("source", "target"), [((4, 4), (6, 6)), ((7, 5), (3, 4)), ((2, 8), (4, 4)), ((1, 6), (2, 1))])
def test_the_backends_own_antialiased_resize_agrees(source, target):
    positions = drawn(source, width=2)
    image = keras.ops.image.resize(
        as_image(positions, source), target, interpolation="bicubic", antialias=True, data_format="channels_last"
    )
    found = as_image(resize_positions(positions, source, target), target)
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(image), atol=1e-5)


@given(grid=grids)
def test_the_same_grid_changes_nothing_and_shares_nothing(grid):
    positions = drawn(grid)
    found = resize_positions(positions, grid, grid)
    np.testing.assert_array_equal(found, positions)
    assert not np.shares_memory(found, positions)


def test_an_axis_that_keeps_its_size_keeps_its_vectors():
    positions = drawn((3, 5))
    found = resize_positions(positions, (3, 5), (3, 9))
    for row in range(3):
        alone = np.concatenate([positions[:, :1], positions[:, 1 + 5 * row : 6 + 5 * row]], axis=1)
        np.testing.assert_array_equal(as_image(found, (3, 9))[row], as_image(resize_positions(alone, (1, 5), (1, 9)), (1, 9))[0])


def test_an_equal_count_on_another_grid_is_resized():
    positions = drawn((2, 8))
    assert resize_positions(positions, (2, 8), (4, 4)).shape == positions.shape
    assert not np.allclose(resize_positions(positions, (2, 8), (4, 4)), positions, atol=0.1)


@given(source=grids, target=grids)
def test_what_is_the_same_everywhere_stays_so(source, target):
    positions = np.full((1, 1 + source[0] * source[1], 2), 0.7, np.float32)
    np.testing.assert_allclose(resize_positions(positions, source, target), 0.7, rtol=1e-6)


@given(source=grids, target=grids)
def test_a_mirrored_and_turned_grid_is_resized_to_the_mirrored_and_turned(source, target):
    positions = drawn(source)
    found = as_image(resize_positions(positions, source, target), target)
    turned = as_image(positions, source)[::-1].transpose(1, 0, 2)
    turned = np.concatenate([positions[:, :1], turned.reshape(1, -1, 3)], axis=1)
    expected = as_image(resize_positions(turned, source[::-1], target[::-1]), target[::-1]).transpose(1, 0, 2)[::-1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_slope_stays_a_slope_away_from_the_ends():
    places = (np.arange(20) + 0.5) * 10 / 20 - 0.5
    found = interpolation(10, 20) @ np.arange(10.0)
    np.testing.assert_allclose(found[4:-4], places[4:-4], atol=1e-12)


def test_where_it_shrinks_every_position_counts():
    assert np.count_nonzero(np.abs(interpolation(12, 4)).sum(axis=0) > 0.05) == 12


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(dtype):
    assert resize_positions(drawn((2, 2)).astype(dtype), (2, 2), (3, 3)).dtype == dtype


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ((2, 3), (3, 3), r"shape \(1, 1 \+ rows \* columns, width\), but got \(1, 5, 3\) with the grid 2x3"),
        ((2, 2), (0, 3), "at least one row and one column, but got 0x3"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(source, target, words):
    with pytest.raises(ConfigError, match=words):
        resize_positions(drawn((2, 2)), source, target)
