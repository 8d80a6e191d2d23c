"""The end of a training: a checkpoint of it as a model of its own, with a card, and that model's score."""

from collections.abc import Sequence
from pathlib import Path

import keras
import msgspec

from fvsearch.data import ArrayPair, Images, load_test, problem_notes
from fvsearch.errors import ConfigError, TrainingError
from fvsearch.files import write_atomically
from fvsearch.training.best import BEST_FILE, LAST_FILE, best_epoch
from fvsearch.training.checkpoint import read_checkpoint
from fvsearch.training.fit import compile_for_evaluation, evaluate
from fvsearch.training.folder import SCORE_FILE
from fvsearch.training.metrics import EpochMetrics
from fvsearch.training.recipe import make_optimizer
from fvsearch.training.segment import Segment
from fvsearch.training.work import bare_model
from fvsearch.weights.card import ModelCard, read_card, write_model

CHECKPOINTS = {"last": LAST_FILE, "best": BEST_FILE}


def is_finished(folder: Path, keep: str) -> bool:
    """Whether a run's folder holds the model of the last or the best epoch, as is wanted, and its score."""
    try:
        return read_card(folder).evidence.get("keep") == keep and (folder / SCORE_FILE).exists()
    except ConfigError:
        return False


def finish(segment: Segment, name: str, keep: str, epochs: Sequence[EpochMetrics]) -> list[str]:
    """Write the model, then score it on the test split; what should be known of it, as notes.

    Args:
        segment: The training, which is over.
        name: Of the run.
        keep: "last" or "best", the epoch whose model it is.
        epochs: All of the training.

    Raises:
        TrainingError: The checkpoint is gone or broken.
    """
    folder = Path(segment.folder)
    kept = best_epoch(epochs) if keep == "best" else epochs[-1]
    model = trained_model(segment, CHECKPOINTS[keep])
    height, width, channels = segment.data.image_shape
    card = ModelCard(
        arch=segment.arch,
        image_size=(height, width),
        channels=channels,
        num_classes=segment.data.num_classes,
        source=name,
        evidence={
            "keep": keep,
            "epoch": kept.epoch,
            "validation": {"top1": kept.top1, "top5": kept.top5, "loss": kept.loss},
            "backend": keras.backend.backend(),
        },
    )
    notes = []
    if (folder / SCORE_FILE).exists():
        notes.append(f"model.keras was of another epoch, and is of epoch {kept.epoch + 1} now; the test split was read once more, for it")
    # A score that is there is of the model that is there.
    (folder / SCORE_FILE).unlink(missing_ok=True)
    write_model(folder, model, card)
    test = load_test(segment.data)
    write_atomically(folder / SCORE_FILE, msgspec.json.encode(None if test is None else _score(model, test, segment)))
    return [*notes, *problem_notes([test])]


def trained_model(segment: Segment, checkpoint_file: str = LAST_FILE) -> keras.Model:
    """The model with the weights of a checkpoint of the segment, or their average where the recipe keeps one.

    It is not compiled, so a file of it holds no optimizer state.

    Raises:
        TrainingError: The checkpoint is gone or broken.
    """
    model = bare_model(segment)
    try:
        checkpoint = read_checkpoint(Path(segment.folder) / checkpoint_file)
        if checkpoint is None:
            raise ValueError("there is none")
        if segment.recipe.ema is None:
            checkpoint.restore_weights(model)
        else:
            checkpoint.restore_average(model, make_optimizer(segment.recipe, 1, model.trainable_variables))
    except ValueError as error:
        way_out = "the same command trains again" if checkpoint_file == LAST_FILE else "--keep last takes the last epoch's"
        raise TrainingError(f"{checkpoint_file} in {segment.folder} cannot be used: {error}; {way_out}") from None
    return model


def _score(model: keras.Model, test: ArrayPair | Images, segment: Segment) -> dict[str, float]:
    """loss, top1, top5 of the test split, and how many images it has."""
    compile_for_evaluation(model)
    return {**evaluate(model, test, segment.recipe.step_batch_size), "images": len(test.labels)}
