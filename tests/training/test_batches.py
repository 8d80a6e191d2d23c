"""Batches as functions of where they stand: nothing before, beside or after one matters to it."""

import numpy as np
import pytest

from fvsearch.data import ArrayPair
from fvsearch.data.array_images import ArrayImages
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.recipe import Recipe
from fvsearch.training.batches import Batch, EvaluationBatches, TrainingBatches, epoch_order, evaluation_batch_size

EVERYTHING = Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True, mixup=0.2, cutmix=1.0)


def images(count: int = 14) -> ArrayImages:
    values = np.random.default_rng(3).uniform(-1, 1, (count, 6, 6, 3)).astype(np.float32)
    return ArrayImages(ArrayPair(values, np.arange(count, dtype=np.int32) % 3))


def batches(augmentation: Augmentation = EVERYTHING, seed: int = 5) -> TrainingBatches:
    return TrainingBatches(images(), Recipe(epochs=9, batch_size=4, augmentation=augmentation), seed, num_classes=3)


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(*parts) for parts in zip(one, other, strict=True))


def test_an_epochs_order_is_of_seed_and_epoch() -> None:
    orders = [epoch_order(seed, epoch, 50).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(1, 0, 50).tolist() == orders[0]


@pytest.mark.parametrize(("images", "limit", "size"), [(360, 64, 60), (12, 8, 6), (12, 64, 12), (359, 64, 64), (1, 8, 1), (128, 64, 64)])
def test_evaluation_batches_divide_the_images_where_they_can(images: int, limit: int, size: int) -> None:
    assert evaluation_batch_size(images, limit) == size


@pytest.mark.parametrize(("images", "limit", "size"), [(360, 64, 60), (342, 64, 64), (321, 64, 64), (10, 64, 8), (3, 8, 4)])
def test_evaluation_batches_divide_among_devices(images: int, limit: int, size: int) -> None:
    assert evaluation_batch_size(images, limit, 4) == size


def test_an_epoch_by_itself_is_the_epoch_after_others() -> None:
    one, other = batches(), batches()
    assert one.steps == 3
    after = [one(index) for index in range(12)][9:]
    alone = [other(index) for index in (11, 9, 10)]
    assert equal(after[0], alone[1]) and equal(after[1], alone[2]) and equal(after[2], alone[0])


def test_no_two_batches_and_no_two_seeds_draw_alike() -> None:
    """Of one and the same image, so that what differs is drawn."""
    same = ArrayImages(ArrayPair(np.repeat(images().read([0]), 4, axis=0), np.zeros(4, np.int32)))
    augmentation = Augmentation(crop=(0.2, 1.0))
    seen = [
        TrainingBatches(same, Recipe(epochs=9, batch_size=4, augmentation=augmentation), seed, num_classes=3)(index)[0].tobytes()
        for seed in (0, 1)
        for index in range(6)
    ]
    assert len(set(seen)) == 12


def test_without_augmentation_an_epoch_is_its_images_in_their_order() -> None:
    plain, source = batches(Augmentation()), images()
    for epoch in (0, 2):
        order = epoch_order(5, epoch, 14)[:12]
        made = [plain(epoch * 3 + step) for step in range(3)]
        np.testing.assert_array_equal(np.concatenate([part for part, _ in made]), source.read(order))
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in made]), source.labels[order])


def test_an_evaluation_has_every_image_once() -> None:
    made = EvaluationBatches(images(), 4)
    parts = [made(index) for index in range(made.steps)]
    assert [len(labels) for _, labels in parts] == [4, 4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), images().read(np.arange(14)))
