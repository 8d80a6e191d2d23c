"""Orders, batches, and metrics that count every image once."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from trainings import RECIPE, segment_in

from fvsearch.data import ArrayPair, load_search_splits
from fvsearch.errors import ConfigError
from fvsearch.training.fit import LossGuard, compile_for_evaluation, epoch_order, evaluate, evaluation_batch_size, steps_per_epoch
from fvsearch.training.work import bare_model


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


def test_scores_are_means_over_images_whatever_the_batches(tmp_path: Path) -> None:
    segment = segment_in(tmp_path)
    model = bare_model(segment)
    compile_for_evaluation(model)
    train, _ = load_search_splits(segment.data)
    pair = ArrayPair(train.images[:11], train.labels[:11])
    logits = keras.ops.convert_to_numpy(model(pair.images)).astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = evaluate(model, pair, batch_size=4)
    assert scores["loss"] == pytest.approx(-np.log(shares[np.arange(11), pair.labels]).mean(), rel=1e-5)
    assert scores["top1"] == pytest.approx((logits.argmax(axis=1) == pair.labels).mean())
    assert scores["top5"] == 1


def test_an_epoch_has_whole_batches_only() -> None:
    assert steps_per_epoch(RECIPE, 36) == 4
    with pytest.raises(ConfigError):
        steps_per_epoch(RECIPE, 7)


@pytest.mark.parametrize(("batch", "loss", "stops"), [(49, np.nan, True), (99, np.inf, True), (48, np.nan, False), (49, 2.0, False)])
def test_a_lost_number_ends_an_epoch_within_fifty_steps(batch: int, loss: float, stops: bool) -> None:
    model = SimpleNamespace(stop_training=False)
    guard = LossGuard()
    guard._model = model
    guard.on_train_batch_end(batch, {"loss": np.float32(loss)})
    assert model.stop_training is stops
