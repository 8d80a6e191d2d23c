"""Cross-entropy and accuracies of integer labels (batch,), or of shares of classes (batch, classes), as mixed images have them."""

from typing import Any

import keras
from keras import ops

Tensor = Any

ENTROPY = "entropy"
"""Name of the metric that is the cross-entropy without label smoothing, where the loss has some."""


def cross_entropy(labels: Tensor, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of each image, (batch,).

    Args:
        labels: Integers (batch,), or shares of classes (batch, classes).
        logits: (batch, classes).
        label_smoothing: Share of each label that goes to all classes alike.
    """
    if are_shares(labels, logits):
        return keras.losses.categorical_crossentropy(labels, logits, from_logits=True, label_smoothing=label_smoothing)
    if label_smoothing:
        shares = ops.one_hot(ops.cast(labels, "int32"), logits.shape[-1])  # (batch, classes)
        return keras.losses.categorical_crossentropy(shares, logits, from_logits=True, label_smoothing=label_smoothing)
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def are_shares(labels: Tensor, logits: Tensor) -> bool:
    """Whether labels are shares of classes, not integers."""
    return len(labels.shape) == 2 and labels.shape[-1] == logits.shape[-1]


class CrossEntropy(keras.losses.Loss):
    """The mean cross-entropy of logits.

    Args:
        label_smoothing: Share of each label that goes to all classes alike.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "cross_entropy") -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Of each image, (batch,)."""
        return cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"label_smoothing": self.label_smoothing, "name": self.name}


class Top1(keras.metrics.SparseCategoricalAccuracy):
    """Share of the images whose class (of shares of classes, that with the largest) the logits put first."""

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Any:
        """Count a batch."""
        return super().update_state(_classes(y_true, y_pred), y_pred, sample_weight)


class TopK(keras.metrics.SparseTopKCategoricalAccuracy):
    """The same, of images whose class is among the first `k`."""

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Any:
        """Count a batch."""
        return super().update_state(_classes(y_true, y_pred), y_pred, sample_weight)


def _classes(labels: Tensor, logits: Tensor) -> Tensor:
    """Integers (batch,)."""
    return ops.argmax(labels, axis=-1) if are_shares(labels, logits) else labels
