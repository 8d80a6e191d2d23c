"""The end of a training: its last checkpoint as a model of its own, and that model's score."""

from pathlib import Path

import keras

from fvsearch.data import as_arrays, load_test
from fvsearch.errors import TrainingError
from fvsearch.training.checkpoint import read_checkpoint
from fvsearch.training.fit import compile_for_evaluation, evaluate
from fvsearch.training.segment import Segment
from fvsearch.training.work import bare_model


def trained_model(segment: Segment) -> keras.Model:
    """The model with the weights of the segment's checkpoint; not compiled, so a file of it holds no optimizer state.

    Raises:
        TrainingError: The checkpoint is gone or broken.
    """
    model = bare_model(segment)
    try:
        checkpoint = read_checkpoint(Path(segment.folder) / "checkpoint.npz")
        if checkpoint is None:
            raise ValueError("there is none")
        checkpoint.restore_weights(model)
    except ValueError as error:
        raise TrainingError(f"the checkpoint in {segment.folder} cannot be used: {error}; the same command trains again") from None
    return model


def score_on_test(model: keras.Model, segment: Segment) -> dict[str, float] | None:
    """loss, top1, top5 of the test split, and how many images it has; none where the data has no test split."""
    test = load_test(segment.data)
    if test is None:
        return None
    compile_for_evaluation(model)
    return {**evaluate(model, as_arrays(test), segment.recipe.batch_size), "images": len(test.labels)}
