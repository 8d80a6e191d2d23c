"""Boxes of the Inception crop, and arrays behind the interface of images that are read lazily."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fvsearch.data import ArrayPair, array_images
from fvsearch.data.array_images import ArrayImages
from fvsearch.data.crops import LEAST_ASPECT, MOST_ASPECT, central_box, draw_crops
from fvsearch.data.images import Box

EDGE = st.integers(1, 500)
SHARES = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair)))


@given(seed=st.integers(0, 2**31), height=EDGE, width=EDGE, area=SHARES)
def test_a_box_lies_in_the_picture_and_keeps_to_its_laws_to_a_pixel(seed: int, height: int, width: int, area: tuple[float, float]) -> None:
    crop = draw_crops(np.random.default_rng(seed), 3, area)
    for position in range(3):
        top, left, box_height, box_width = box = crop(position, height, width)
        assert 0 <= top <= top + box_height <= height and 0 <= left <= left + box_width <= width
        assert box_height > 0 and box_width > 0
        assert crop(position, height, width) == box, "no state"
        if box == central_box(height, width):
            continue
        # Within half a pixel of each edge there is a box that keeps to them.
        assert (box_height - 0.5) * (box_width - 0.5) <= area[1] * height * width
        assert (box_height + 0.5) * (box_width + 0.5) >= area[0] * height * width
        assert (box_width - 0.5) / (box_height + 0.5) <= MOST_ASPECT
        assert (box_width + 0.5) / (box_height - 0.5) >= LEAST_ASPECT


def test_areas_aspects_and_places_are_spread_evenly() -> None:
    crop = draw_crops(np.random.default_rng(7), 4000, (0.2, 0.5))
    boxes = np.array([crop(position, 1000, 1000) for position in range(4000)])
    top, _, height, width = boxes.T
    shares, aspects = height * width / 1e6, np.log(width / height)
    assert np.quantile(shares, [0, 0.5, 1]) == pytest.approx([0.2, 0.35, 0.5], abs=0.01)
    assert np.quantile(aspects, [0, 0.25, 0.5, 1]) == pytest.approx(np.log(4 / 3) * np.array([-1, -0.5, 0, 1]), abs=0.02)
    assert np.quantile(top / (1000 - height), [0, 0.5, 1]) == pytest.approx([0, 0.5, 1], abs=0.03)


def test_of_a_long_picture_the_middle_is_taken() -> None:
    assert draw_crops(np.random.default_rng(0), 1, (1.0, 1.0))(0, 10, 100) == (0, 43, 10, 13)
    assert central_box(100, 10) == (43, 0, 13, 10)


def images(count: int = 5, height: int = 6, width: int = 8, channels: int = 3) -> ArrayPair:
    values = np.random.default_rng(1).uniform(-1, 1, (count, height, width, channels)).astype(np.float32)
    return ArrayPair(values, np.arange(count, dtype=np.int32))


def test_without_a_cropper_the_images_are_as_they_were() -> None:
    pair = images()
    lazy = ArrayImages(pair)
    read = lazy.read([3, 0, 3])
    np.testing.assert_array_equal(read, pair.images[[3, 0, 3]])
    read[:] = 0
    assert pair.images[3].any(), "a copy"
    assert (len(lazy), lazy.names([2])) == (5, ["image 2"])


def test_a_crop_is_what_was_in_the_box_at_the_size_of_all() -> None:
    pair = images()
    whole = ArrayImages(pair).read(np.arange(5), lambda position, height, width: (0, 0, height, width))
    np.testing.assert_allclose(whole, pair.images, atol=1e-6)
    half = ArrayImages(pair).read([2], lambda position, height, width: (3, 4, 3, 4))[0]
    assert half.shape == (6, 8, 3) and half.dtype == np.float32
    # A pixel in the middle of the doubled box lies between its four nearest, 3/4 of each way from the nearest one.
    corner = pair.images[2, 3:5, 4:6]
    weights = np.outer([0.75, 0.25], [0.75, 0.25])
    np.testing.assert_allclose(half[1, 1], np.einsum("ij,ijc->c", weights, corner), atol=1e-6)
    np.testing.assert_allclose(half[0, 0], pair.images[2, 3, 4], atol=1e-6)


def by_pillow(image: np.ndarray, box: Box) -> np.ndarray:
    top, left, height, width = box
    planes = np.moveaxis(image[top : top + height, left : left + width], -1, 0)
    size = (image.shape[1], image.shape[0])
    return np.stack([np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, 2)) for plane in planes], axis=-1)


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    count=st.integers(1, 5),
)
def test_crops_are_pillows_whatever_is_beside_them(seed: int, height: int, width: int, channels: int, count: int) -> None:
    pair = images(count, height, width, channels)
    cropper = draw_crops(np.random.default_rng(seed), count, (0.05, 1.0))
    read = ArrayImages(pair).read(np.arange(count), cropper)
    for position, image in enumerate(pair.images):
        np.testing.assert_allclose(read[position], by_pillow(image, cropper(position, height, width)), atol=1e-6)
        alone = ArrayImages(pair).read([position], lambda _, height, width, position=position: cropper(position, height, width))
        np.testing.assert_array_equal(alone[0], read[position])


def test_how_many_rows_are_resized_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cropper = draw_crops(np.random.default_rng(3), 5, (0.2, 0.5))
    together = ArrayImages(images()).read(np.arange(5), cropper)
    for at_a_time in (1, 4 * 8 * 3 * 4):
        monkeypatch.setattr(array_images, "AT_A_TIME", at_a_time)
        np.testing.assert_array_equal(ArrayImages(images()).read(np.arange(5), cropper), together)
    assert ArrayImages(images()).read(np.arange(0), cropper).shape == (0, 6, 8, 3)
