"""What a run's folder holds beside its training's state, kept up while it trains.

    run.toml            the run, as it is trained
    environment.json    on what, each time it was started (environment_file.py)
    best.npz            the state after the best epoch (best.py)
    curves.png          loss, top-1 and learning rate by epoch (curves.py)
    model.keras         at the end: the model, and in model.toml what it is (weights/card.py)
    test.json           its score on the test split; null where there is none

A search's trials have none of these: they would cost each of them time and disk, and nobody asks for them.
"""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fvsearch import __version__
from fvsearch.files import write_atomically
from fvsearch.records import to_toml
from fvsearch.training.best import LAST_FILE, epochs_done, keep_best, settle_best
from fvsearch.training.curves import draw_curves
from fvsearch.training.environment_file import add_start
from fvsearch.training.metrics import MetricsFile

if TYPE_CHECKING:
    from fvsearch.training.run import Run
    from fvsearch.training.segment import OnEpoch

RUN_FILE, CURVES_FILE, SCORE_FILE = "run.toml", "curves.png", "test.json"
DRAW_EVERY = 60.0
"""Seconds between two drawings of the curves of a run under way; each takes a fraction of one."""


class RunFolder:
    """The folder of a run, which this process owns.

    Args:
        run: Whose.
        path: Of the folder.
    """

    def __init__(self, run: "Run", path: Path) -> None:
        self.run, self.path = run, path
        self._command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        self._drawn = time.monotonic()

    def begin(self) -> list[str]:
        """The training begins or goes on: say what is trained and where, and put best.npz right; notes of it."""
        self.write_run()
        add_start(self.path, epochs_done(self.path / LAST_FILE), self._command)
        return settle_best(self.path)

    def write_run(self) -> None:
        """Make run.toml this run's; the name of the run and what a search knew of it may change, what is trained does not."""
        command = "".join(letter if letter.isprintable() else "?" for letter in f"fvsearch train {shlex.quote(str(self.path))}")
        header = f"# As trained by fvsearch {__version__}; `{command}` goes on with it where it was interrupted.\n\n"
        content = (header + to_toml(self.run)).encode()
        path = self.path / RUN_FILE
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    def after_epoch(self, on_epoch: "OnEpoch | None") -> "OnEpoch":
        """The callback for the training: an epoch's metrics and checkpoint are written when it is called."""

        def told(metrics: dict[str, float]) -> None:
            keep_best(self.path)
            if time.monotonic() - self._drawn > DRAW_EVERY:
                self.draw()
            if on_epoch is not None:
                on_epoch(metrics)

        return told

    def draw(self) -> None:
        """Draw the curves of the epochs so far."""
        epochs = MetricsFile(self.path / "metrics.jsonl").read()
        if epochs:
            draw_curves(self.run.name, epochs, self.run.recipe.epochs, self.path / CURVES_FILE)
        self._drawn = time.monotonic()
