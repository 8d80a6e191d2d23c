"""What a finished model makes of a split: top-1, top-5 and loss, each class by itself, and which classes are taken for which."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from fvsearch.data import ArrayPair, Images, check_source, class_names, problem_notes
from fvsearch.errors import ConfigError, RunError
from fvsearch.files import write_atomically
from fvsearch.records import Record, from_json
from fvsearch.study import Data
from fvsearch.training.environment import set_environment
from fvsearch.training.trained import Trained

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["validation", "test"]

EVALUATION_FILE = "evaluation.json"
BATCH_SIZE = 64
"""Of a model without a run, whose recipe would say it."""


class ClassScore(Record, frozen=True, kw_only=True):
    """How one class fares.

    Attributes:
        label: Of the class, from 0.
        name: What the source calls it; empty where it does not say.
        images: Of it, in the split.
        top1, top5: Shares of its images; none where it has none.
        precision: Share of the images taken for it that are of it; none where none is.
    """

    label: int
    name: str = ""
    images: int
    top1: float | None
    top5: float | None
    precision: float | None


class Evaluation(Record, frozen=True, kw_only=True):
    """A model on a split.

    Attributes:
        split: "validation" or "test".
        data: Whose split.
        images: In it.
        loss: Mean cross-entropy.
        top1, top5: Shares of the images; of fewer than five classes, top5 is of as many as there are.
        classes: Each class, by label.
        confusion: Row i, column j: images of class i that are taken for class j.
        backend: That the model ran on.
        notes: Which images could not be read.
    """

    split: Split
    data: Data
    images: int
    loss: float
    top1: float
    top5: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    backend: str
    notes: tuple[str, ...] = ()


def evaluate_model(trained: Trained, data: Data, split: Split) -> Evaluation:
    """Run a folder's model on a split.

    Args:
        trained: The folder.
        data: Of the model's image shape and classes.
        split: Which; to read the test split is the caller's decision.

    Raises:
        ConfigError: The data cannot be read or have no such split, or the model does not load.
        RunError: It answers with logits that are no numbers.
    """
    check_source(data)
    set_environment()
    import keras
    import numpy as np

    from fvsearch.data import load_search_splits, load_test
    from fvsearch.training.device import set_up_device
    from fvsearch.weights.card import read_model

    images = load_test(data) if split == "test" else load_search_splits(data).validation
    if images is None:
        raise ConfigError("the data must have a test split to be evaluated on it, but `data.test` is 0; --split validation reads the other")
    set_up_device()
    _, model = read_model(trained.folder)
    limit = trained.run.recipe.step_batch_size if trained.run else BATCH_SIZE
    logits = _logits(model, images, limit)
    if broken := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise RunError(f"logits must be finite to be scored, but those of {broken} of {len(logits)} images are not, of {trained.folder}")
    found = score(logits, images.labels, data, split, keras.backend.backend())
    return msgspec.structs.replace(found, notes=tuple(problem_notes([images])))


def score(logits: "NDArray[np.floating]", labels: "NDArray[np.int32]", data: Data, split: Split, backend: str) -> Evaluation:
    """The evaluation that logits come to.

    Args:
        logits: (images, classes).
        labels: (images,).
        data, split, backend: Told on.
    """
    import numpy as np
    from scipy.special import log_softmax
    from sklearn.metrics import confusion_matrix

    every = np.arange(len(labels))
    likelihoods = log_softmax(logits.astype(np.float64), axis=1)  # (images, classes)
    # The rank of the right class: how many classes are held likelier.
    ranks = (logits > logits[every, labels][:, None]).sum(axis=1)  # (images,)
    confusion = confusion_matrix(labels, logits.argmax(axis=1), labels=np.arange(data.num_classes))  # (classes, classes)
    names = class_names(data) or ("",) * data.num_classes
    counts, taken, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    among5 = np.bincount(labels[ranks < 5], minlength=data.num_classes)
    return Evaluation(
        split=split,
        data=data,
        images=len(labels),
        loss=float(-likelihoods[every, labels].mean()),
        top1=float(right.sum() / len(labels)),
        top5=float(among5.sum() / len(labels)),
        classes=tuple(
            ClassScore(
                label=label,
                name=names[label],
                images=int(counts[label]),
                top1=_share(right[label], counts[label]),
                top5=_share(among5[label], counts[label]),
                precision=_share(right[label], taken[label]),
            )
            for label in range(data.num_classes)
        ),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        backend=backend,
    )


def keep_evaluation(folder: Path, found: Evaluation) -> Path:
    """Write an evaluation beside the model, those of other splits kept; the path of evaluation.json."""
    path = folder / EVALUATION_FILE
    try:
        kept = from_json(path, dict[str, Evaluation])
    except ConfigError:
        kept = {}
    content = msgspec.json.encode({**kept, found.split: found})
    try:
        write_atomically(path, msgspec.json.format(content))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return path


def _logits(model: "keras.Model", images: ArrayPair | Images, limit: int) -> "NDArray[np.float32]":
    """(images, classes), of batches no larger than the limit."""
    from fvsearch.training.feeding import scoring

    with scoring(model, images, limit) as scored:
        return model.predict(**{name: value for name, value in scored.items() if name != "y"}, verbose=0)


def _share(part: "np.integer", whole: "np.integer") -> float | None:
    return float(part / whole) if whole else None
