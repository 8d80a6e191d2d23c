"""A training of the digits on one device and on several; as a script, which a test runs, in a process that may yet split its CPU.

`python -m distributed '[{"folder": "a", "devices": 4}]'` trains the job's run and prints what came of each.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import RunError
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.training.distribute import Distribution
from fvsearch.training.run import Run, train_run

EPOCHS = 3

# 321 images to validate on, in batches of 64 and one of 1, which does not divide among devices.
DATA = Data(source="digits", image_size=8, channels=1, num_classes=10, validation=0.1785, test=0.0, train_share=0.3)
STAGES = (
    Stage(depth=1, width=16, mlp_dim=32, num_heads=2),
    Stage(depth=1, width=16, mlp_dim=32, num_heads=2, pool_stride=2),
)
# The gradient is clipped at every step: each device's own, clipped before the sum, would be another.
RECIPE = Recipe(epochs=EPOCHS, batch_size=64, learning_rate=0.01, clip_norm=0.3)
RUN = Run(name="digits", arch=Arch(patch_size=2, stages=STAGES), data=DATA, recipe=RECIPE, seed=3)


def curve(folder: Path) -> list[dict[str, float]]:
    """All metrics of all epochs but the time they took."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def train(
    folder: str, interrupt: int | None = None, copy: str | None = None, shared: Any = "data", devices: int | None = None, **recipe: Any
) -> dict[str, Any]:
    """Train, or go on, and say what came of it.

    Args:
        folder: Of the run.
        interrupt: Epochs of the run after which Ctrl-C ends the training, or, where it has a process for each device, the death of one of
            them; none lets it end.
        copy: Folder to which the run's is copied after its first epoch.
        shared, devices: How it is distributed; no devices is one.
        recipe: Changes to it.
    """

    def on_epoch(metrics: dict[str, float]) -> None:
        if copy is not None and metrics["epoch"] == 0:
            shutil.copytree(folder, copy)
        if metrics["epoch"] + 1 == interrupt:
            ranks = psutil.Process().children()
            if not ranks:
                raise KeyboardInterrupt
            ranks[-1].kill()

    run = msgspec.structs.replace(RUN, recipe=msgspec.convert({**msgspec.to_builtins(RECIPE), **recipe}, Recipe))
    distribution = Distribution(shared=shared, devices=devices) if devices else None
    device, notes, ended = "", (), ""
    try:
        summary = train_run(run, Path(folder), on_epoch, distribution)
        device, notes = summary.device, summary.notes
    except (KeyboardInterrupt, RunError) as error:
        ended = f"{type(error).__name__}: {error}"
    files = sorted(path.name for path in Path(folder).iterdir())
    left = [child.name() for child in psutil.Process().children(recursive=True)]
    return {"curve": curve(Path(folder)), "device": device, "notes": notes, "ended": ended, "files": files, "left": left}


if __name__ == "__main__":
    print(json.dumps([train(**job) for job in json.loads(sys.argv[1])]))
