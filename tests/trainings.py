"""A tiny training on the example data set: 36 stripes to learn from, in batches of 8; 12 to score on, 12 to test with."""

from pathlib import Path
from typing import Any

import numpy as np

from fvsearch.archs.arch import Arch, Stage
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.training.run import Run
from fvsearch.training.segment import Segment

EXAMPLES = Path(__file__).parent / "examples"
EPOCHS = 4

ARCH = Arch(patch_size=4, stages=(Stage(depth=1, width=16, mlp_dim=16, num_heads=2),))
DATA = Data(source="user_data:stripes", image_size=8, channels=1, num_classes=3, options={"num_images": 60})
RECIPE = Recipe(epochs=EPOCHS, batch_size=8, learning_rate=0.01, dropout=0.2, clip_norm=1.0)
RUN = Run(name="stripes", arch=ARCH, data=DATA, recipe=RECIPE, seed=5, evidence={"trial": 3, "metrics": {"top1": 0.9}})

Weights = dict[str, "np.ndarray[Any, Any]"]


def weights(model: Any) -> Weights:
    """A model's weights by their paths."""
    import keras

    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def segment_in(folder: Path, **changes: Any) -> Segment:
    """The whole training, unless changed; from EXAMPLES as the current directory."""
    fields: dict[str, Any] = {"arch": ARCH, "data": DATA, "recipe": RECIPE, "seed": 5, "to_epoch": EPOCHS, "folder": str(folder)}
    return Segment(**(fields | changes))
