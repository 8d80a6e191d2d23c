"""Keras's layers with NumPy's draws: against NumPy twins, the standard library's colours, and shares that can be counted."""

import colorsys
import random

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from fvsearch.study.augmentation import Augmentation
from fvsearch.training.augmenting import Augmenter

Floats = NDArray[np.float32]
SEED = 11


def pictures(count: int = 6, size: int = 4) -> tuple[Floats, NDArray[np.int32]]:
    images = np.random.default_rng(1).uniform(-1, 1, (count, size, size + 1, 3)).astype(np.float32)
    return images, np.arange(count, dtype=np.int32)


def altered(images: Floats, **settings: float) -> Floats:
    labels = np.arange(len(images), dtype=np.int32)
    made, same = Augmenter(Augmentation(**settings), len(images))(images.copy(), labels, np.random.default_rng(SEED))
    assert same is labels
    assert isinstance(made, np.ndarray) and made.dtype == np.float32
    return made


def test_images_are_mirrored_left_to_right_every_other_one() -> None:
    images, _ = pictures(40)
    flips = np.random.default_rng(SEED).random((40, 1, 1, 1)) < 0.5
    wanted = np.where(flips, images[:, :, ::-1], images)
    np.testing.assert_array_equal(altered(images, flip=True), wanted)
    # Beside other things too: the draws that follow are those without a flip after as many numbers.
    random = np.random.default_rng(SEED)
    random.random(40)
    grey = Augmenter(Augmentation(grayscale=0.3), 40)(wanted.copy(), np.arange(40, dtype=np.int32), random)[0]
    np.testing.assert_array_equal(altered(images, flip=True, grayscale=0.3), grey)
    assert 10 < flips.sum() < 30


def test_some_images_lose_their_colour() -> None:
    images, _ = pictures(40)
    gone = np.random.default_rng(SEED).random((40, 1, 1, 1)) < 0.3
    grey = (images @ np.array([0.2989, 0.587, 0.114], np.float32))[..., None]
    np.testing.assert_allclose(altered(images, grayscale=0.3), np.where(gone, grey, images), atol=1e-6)
    assert 4 < gone.sum() < 20


def test_colours_move_as_the_standard_library_moves_them() -> None:
    images, _ = pictures()
    brightness, contrast, saturation, hue = np.random.default_rng(SEED).uniform(-0.4, 0.4, (4, len(images)))
    unit = np.clip((images + 1) / 2 + brightness[:, None, None, None] / 2, 0, 1)
    mean = unit.mean(axis=(1, 2), keepdims=True)
    unit = np.clip((unit - mean) * (1 + contrast[:, None, None, None]) + mean, 0, 1)
    wanted = np.empty_like(images)
    for place in np.ndindex(images.shape[:3]):
        turn, depth, value = colorsys.rgb_to_hsv(*unit[place])
        wanted[place] = colorsys.hsv_to_rgb((turn + hue[place[0]]) % 1, min(1, depth * (1 + saturation[place[0]])), value)
    np.testing.assert_allclose(altered(images, color_jitter=0.4), wanted * 2 - 1, atol=1e-5)


@pytest.mark.parametrize("settings", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_labels_have_the_shares_that_the_pixels_have(settings: dict[str, float]) -> None:
    """Every image is of one value and of a class of its own, so its mean after mixing tells how much of which class is in it."""
    values = np.linspace(-1, 1, 8, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (8, 5, 7, 3)).copy()
    kinds = set()
    for seed in range(12):
        mixed, shares = Augmenter(Augmentation(**settings), 8)(images, np.arange(8, dtype=np.int32), np.random.default_rng(seed))
        assert shares.shape == (8, 8) and shares.dtype == np.float32
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        assert (shares >= 0).all() and (shares > 0).sum(axis=1).max() == 2
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), shares @ values, atol=1e-6)
        kinds.add("mixup" if np.ptp(mixed, axis=(1, 2, 3)).max() < 1e-6 else "cutmix")
    assert kinds == set(settings)


def test_a_rectangle_is_cut_from_another_image() -> None:
    images = np.zeros((2, 6, 6, 1), np.float32)
    images[1] = 1
    found = 0
    for seed in range(8):
        mixed, _ = Augmenter(Augmentation(cutmix=1.0), 2)(images, np.arange(2, dtype=np.int32), np.random.default_rng(seed))
        rows, columns = mixed[0, :, :, 0].any(axis=1), mixed[0, :, :, 0].any(axis=0)
        np.testing.assert_array_equal(mixed[0, :, :, 0], np.outer(rows, columns))
        assert np.abs(np.diff(np.r_[0, rows, 0])).sum() in (0, 2), "one stretch"
        found += bool(rows.any() and not rows.all())
    assert found


def test_a_batch_is_a_function_of_its_images_and_its_draws() -> None:
    images, labels = pictures()
    everything = Augmentation(grayscale=0.2, color_jitter=0.4, flip=True, mixup=0.2, cutmix=1.0)
    kept = random.getstate()
    augment = Augmenter(everything, 6)
    first = augment(images.copy(), labels, np.random.default_rng(1))
    other = augment(images.copy(), labels, np.random.default_rng(2))
    again = augment(images.copy(), labels, np.random.default_rng(1))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first[0], other[0])
    assert random.getstate() == kept, "Keras's layers take their seeds from here unless they are given some"


def test_what_does_nothing_hands_the_batch_on() -> None:
    images, labels = pictures()
    made = Augmenter(Augmentation(crop=(0.2, 1.0)), 6)(images, labels, np.random.default_rng(1))
    assert made[0] is images and made[1] is labels


def test_a_policy_of_half_precision_is_not_the_images() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        low = altered(pictures()[0], grayscale=0.3, color_jitter=0.4, flip=True)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(low, altered(pictures()[0], grayscale=0.3, color_jitter=0.4, flip=True))
