"""TensorBoard's view of a run: its epochs as event files, in the run's own folder."""

from pathlib import Path

import msgspec

from fvsearch.archs.layout import format_layout
from fvsearch.records import to_builtins
from fvsearch.tensorboard.events import FOLDER, about, require_tensorboard, write_events
from fvsearch.training.environment_file import read_environment
from fvsearch.training.metrics import MetricsFile
from fvsearch.training.run import Run


class RunEventWriter:
    """A callback for `train_run` that writes each epoch for TensorBoard as it ends, those of earlier starts too.

    Args:
        run: That is trained.
        folder: Of the run.

    Raises:
        MissingBackendError: The package tensorboard is not installed.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        require_tensorboard()
        self._run, self._folder = run, folder

    def __call__(self, metrics: dict[str, float]) -> None:
        """An epoch has ended."""
        self.write()

    def write(self) -> None:
        """Write what is not written yet."""
        epochs = MetricsFile(self._folder / "metrics.jsonl").read()
        if not epochs:
            return
        started = read_environment(self._folder).begun
        begun = started.timestamp() if started else 0.0
        layout = format_layout(self._run.arch, self._run.data.image_size)
        params = {"layout": layout, "seed": self._run.seed}
        params |= {f"recipe.{name}": value for name, value in to_builtins(self._run.recipe).items() if isinstance(value, str | int | float)}
        lines = [f"run {self._run.name}", f"layout: `{layout}`", f"data: {self._run.data.source}", f"seed: {self._run.seed}"]
        told = about(lines, params, group=self._run.name, begun=begun)
        plain = tuple(msgspec.to_builtins(epoch) for epoch in epochs)
        write_events(self._folder / FOLDER, plain, told, begun, others=("learning_rate",))
