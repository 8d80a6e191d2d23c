"""Loss and accuracies of integer labels and of shares of classes, against NumPy."""

import keras
import numpy as np
import pytest

from fvsearch.training.loss import CrossEntropy, Top1, TopK

CLASSES, IMAGES = 7, 20
RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.standard_normal((IMAGES, CLASSES)).astype("float32")
LABELS = RANDOM.integers(CLASSES, size=IMAGES).astype("int32")
SHARES = RANDOM.dirichlet(np.ones(CLASSES), IMAGES).astype("float32")
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]


def twin(shares: np.ndarray, smoothing: float) -> float:
    smoothed = (1 - smoothing) * shares.astype("float64") + smoothing / CLASSES
    return -(smoothed * (LOGITS - np.log(np.exp(LOGITS.astype("float64")).sum(axis=1, keepdims=True)))).sum(axis=1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("labels", "shares"), [(LABELS, ONE_HOT), (ONE_HOT, ONE_HOT), (SHARES, SHARES)], ids=["integers", "one-hot", "mixed"]
)
def test_the_loss_is_the_twin_s(labels: np.ndarray, shares: np.ndarray, smoothing: float) -> None:
    assert float(CrossEntropy(smoothing)(labels, LOGITS)) == pytest.approx(twin(shares, smoothing), rel=1e-5)


def test_without_smoothing_it_is_keras_s_own_to_the_bit() -> None:
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(CrossEntropy()(LABELS, LOGITS)) == float(theirs(LABELS, LOGITS))


@pytest.mark.parametrize("labels", [LABELS, ONE_HOT, SHARES], ids=["integers", "one-hot", "mixed"])
def test_accuracies_go_by_the_label_s_largest_share(labels: np.ndarray) -> None:
    classes = labels if labels.ndim == 1 else labels.argmax(axis=1)
    own = LOGITS[np.arange(IMAGES), classes][:, None]  # (images, 1)
    ranks = (own < LOGITS).sum(axis=1)
    for metric, k in ((Top1(name="top1"), 1), (TopK(3, name="top3"), 3)):
        metric.update_state(labels, LOGITS)
        assert float(metric.result()) == pytest.approx((ranks < k).mean())


def test_its_config_makes_it_again() -> None:
    assert CrossEntropy.from_config(CrossEntropy(0.2).get_config()).label_smoothing == 0.2
