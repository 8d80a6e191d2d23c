"""The synthetic set: the same scenes at every resolution, classes that differ, options that do what they say."""

from typing import Any

import numpy as np
import pytest

from fvsearch.data import check_source, load, load_search_splits
from fvsearch.data.arrays import ArrayPair
from fvsearch.data.shapes import ANGLES, MOST_CLASSES, OUTLINES, ShapesOptions, draw, draw_scenes, outline_radii, read_options
from fvsearch.errors import ConfigError
from fvsearch.study import Data


def shapes(image_size: Any = 24, num_classes: int = 10, channels: int = 1, **options: Any) -> Data:
    return Data(
        source="shapes", image_size=image_size, channels=channels, num_classes=num_classes, options={"samples": 320, "seed": 3, **options}
    )


def read_shapes(data: Data) -> ArrayPair:
    """All pictures, as they are drawn, before the split."""
    options = read_options(data)
    scenes = draw_scenes(options, data.num_classes, data.channels)
    return ArrayPair(draw(scenes, options, data.image_shape), scenes.drawn)


def test_pictures_are_scaled_floats_of_the_shape_that_is_asked_for() -> None:
    for data in (shapes((12, 20), channels=3), shapes(16, num_classes=2, samples=50)):
        images, labels = read_shapes(data)
        assert images.shape == (data.options["samples"], *data.image_shape)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)
        assert -1 <= images.min() < -0.3 < 0.3 < images.max() <= 1


def test_a_seed_gives_the_same_pictures_and_another_seed_others() -> None:
    first, again, other = (read_shapes(shapes(seed=seed)).images for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.5


def test_classes_are_drawn_equally_often() -> None:
    assert set(np.bincount(read_shapes(shapes(num_classes=7)).labels)) == {45, 46}


def test_at_difficulty_0_a_class_is_one_picture_and_no_two_classes_are() -> None:
    images, labels = read_shapes(shapes(num_classes=MOST_CLASSES, difficulty=0))
    classes = [images[labels == label] for label in range(MOST_CLASSES)]
    assert all(np.ptp(members, axis=0).max() == 0 for members in classes)
    apart = [np.abs(a[0] - b[0]).mean() for index, a in enumerate(classes) for b in classes[:index]]
    assert min(apart) > 0.01


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_another_resolution_shows_the_same_scenes(difficulty: float) -> None:
    coarse, fine = (read_shapes(shapes(size, difficulty=difficulty)) for size in (24, 72))
    np.testing.assert_array_equal(coarse.labels, fine.labels)
    shrunk = fine.images.reshape(-1, 24, 3, 24, 3, 1).mean((2, 4))
    for picture, same, next_picture in zip(coarse.images, shrunk, np.roll(shrunk, 1, axis=0), strict=True):
        alike = np.corrcoef(picture.ravel(), same.ravel())[0, 1]
        assert alike > 0.75
        assert alike > np.corrcoef(picture.ravel(), next_picture.ravel())[0, 1] or np.array_equal(same, next_picture)


def test_the_shorter_edge_sets_the_scale_so_that_a_disc_stays_round() -> None:
    images, labels = read_shapes(shapes((24, 48), difficulty=0))
    disc = images[labels == 0][0, :, :, 0] > 0
    assert disc.any(axis=0).sum() == disc.any(axis=1).sum() > 8
    np.testing.assert_array_equal(disc, disc[::-1, ::-1])


def test_outlines_enclose_one_area_and_have_their_corners() -> None:
    radii = outline_radii()
    np.testing.assert_allclose(np.mean(radii**2, axis=1), 1, rtol=1e-5)
    square = radii[OUTLINES.index((4, 1.0))]
    np.testing.assert_allclose(square[0], np.sqrt(np.pi / 2), rtol=1e-3)  # half the diagonal of a square of area pi
    np.testing.assert_allclose(square[ANGLES // 8], np.sqrt(np.pi) / 2, rtol=1e-3)  # half its side
    for (corners, _), row in zip(OUTLINES, radii, strict=True):
        peaks = np.sum((row > np.roll(row, 1)) & (row >= np.roll(row, -1)))
        assert peaks == corners


def test_harder_pictures_are_told_apart_less_well_by_their_pixels() -> None:
    def nearest_mean(difficulty: float) -> float:
        images, labels = read_shapes(shapes(difficulty=difficulty, samples=1000))
        flat, half = images.reshape(1000, -1), 500
        means = np.stack([flat[:half][labels[:half] == label].mean(axis=0) for label in range(10)])
        found = np.argmin(((flat[half:, None] - means) ** 2).sum(axis=2), axis=1)
        return float(np.mean(found == labels[half:]))

    easy, middle, hard = map(nearest_mean, (0.0, 0.3, 0.9))
    assert easy == 1
    assert 0.9 > middle > hard


def test_a_share_of_the_training_split_is_mislabelled_and_nothing_else_changes() -> None:
    clean, wrong = load(shapes(samples=2000)), load(shapes(samples=2000, mislabelled=0.3))
    assert np.mean(clean.train.labels != wrong.train.labels) == pytest.approx(0.3, abs=0.04)
    assert clean.test is not None and wrong.test is not None
    for before, after in ((clean.validation, wrong.validation), (clean.test, wrong.test)):
        np.testing.assert_array_equal(before.labels, after.labels)
    for before, after in zip(clean, wrong, strict=True):
        np.testing.assert_array_equal(before.images, after.images)


def test_a_wrong_label_is_another_class_s() -> None:
    options = ShapesOptions(samples=4000, mislabelled=0.2)
    scenes, clean = draw_scenes(options, 10, 1), draw_scenes(ShapesOptions(samples=4000), 10, 1)
    np.testing.assert_array_equal(clean.labels, clean.drawn)
    assert np.mean(scenes.labels != scenes.drawn) == pytest.approx(0.2, abs=0.02)
    assert scenes.labels.min() == 0 and scenes.labels.max() == 9
    for name in set(scenes._fields) - {"labels"}:
        np.testing.assert_array_equal(getattr(scenes, name), getattr(clean, name))


def test_channels_show_one_scene_in_different_tints() -> None:
    grey, colour = read_shapes(shapes(channels=1)), read_shapes(shapes(channels=3))
    np.testing.assert_array_equal(grey.labels, colour.labels)
    assert np.corrcoef(grey.images[..., 0].ravel(), colour.images[..., 2].ravel())[0, 1] > 0.9
    assert np.abs(colour.images[..., 0] - colour.images[..., 1]).max() > 0.1


def test_splits_are_the_house_s() -> None:
    data = shapes()
    splits, searched = load(data), load_search_splits(data)
    assert [len(pair.labels) for pair in splits] == [192, 64, 64]
    np.testing.assert_array_equal(splits.train.images, searched.train.images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampels": 9}, r"unknown key `sampels` \(did you mean 'samples'\?\) in data.options"),
        ({"difficulty": 1.5}, r"`difficulty` must lie between 0 and 1, but got 1.5.* in data.options"),
        ({"difficulty": "hard"}, r"expected `float`, got `str`, but the value is 'hard' at difficulty in data.options"),
        ({"samples": 0}, r"`samples` must be at least 1, but got 0 in data.options"),
        ({"mislabelled": 1}, r"`mislabelled` must be at least 0 and below 1, but got 1"),
        ({"num_classes": 17}, r"the data source 'shapes' has at most 16 classes, but got num_classes=17 at data"),
    ],
)
def test_wrong_options_are_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_source(shapes(**changes))
    with pytest.raises(ConfigError):
        load_search_splits(shapes(**changes))


def test_too_few_samples_for_the_splits_are_refused() -> None:
    with pytest.raises(ConfigError, match="every class must have at least 3 images"):
        load(shapes(samples=20))
