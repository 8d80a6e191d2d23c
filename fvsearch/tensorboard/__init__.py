"""TensorBoard's view of a search and of a run: event files written from the metrics that trainings leave."""

from fvsearch.tensorboard.events import FOLDER, require_tensorboard
from fvsearch.tensorboard.runs import RunEventWriter
from fvsearch.tensorboard.searches import EventWriter

__all__ = ["EventWriter", "FOLDER", "RunEventWriter", "require_tensorboard"]
