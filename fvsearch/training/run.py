"""A run: one full training of one arch, from a TOML file to model.keras, metrics and the test split's score."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.data import check_source
from fvsearch.errors import RunError, TrainingError
from fvsearch.files import locked_folder
from fvsearch.library import resolve_recipe, resolved_arch
from fvsearch.records import Record, from_builtins, from_json, read_toml, require_at_least, require_name
from fvsearch.study import Data, require_patches
from fvsearch.study.recipe import Recipe
from fvsearch.training.best import best_epoch
from fvsearch.training.distribute import Distribution, check_distribution, run_distributed
from fvsearch.training.environment import set_environment
from fvsearch.training.folder import SCORE_FILE, RunFolder
from fvsearch.training.metrics import EpochMetrics, InputPace
from fvsearch.training.segment import OnEpoch, Segment, run_locked
from fvsearch.training.start import resolve_start
from fvsearch.weights.card import MODEL_FILE

PATIENCE = 1.0
"""Seconds to wait for another `fvsearch train` in the folder."""


Keep = Literal["last", "best"]


class Run(Record, frozen=True, kw_only=True):
    """All that a training needs, in one file.

    Attributes:
        name: Also of the folder, unless another is given.
        arch, data, recipe, seed: What is trained, on what, how.
        start: Folder of a trained or imported model whose weights the training starts from, as far as they fit; the seed's unless said.
        keep: Of which epoch model.keras is: "last", as the recipes have it, or "best", by validation top-1.
        evidence: What a search knew of the arch, in plain values: study, trial, layout, metrics, costs. Training ignores it.
    """

    name: str
    arch: Arch
    data: Data
    recipe: Recipe
    seed: int = 0
    start: str | None = None
    keep: Keep = "last"
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        require_at_least(0, self, "seed")
        require_name(self.name)
        require_patches(self.arch.patch_size, self.data)
        self.recipe.augmentation.require_colors(self.data.channels)


def load_run(path: Path) -> Run:
    """The run that a TOML file holds.

    Its recipe may be named, or have a named one as `base`; its arch may be a name, or a layout with `patch_size` beside it.

    Raises:
        ConfigError: The file cannot be read, names a recipe or an arch that there is not, or breaks a law.
    """
    content = read_toml(path)
    resolve_recipe(content, path)
    if isinstance(content.get("arch"), str):
        data = content.get("data")
        image_size = data.get("image_size") if isinstance(data, dict) else None
        content["arch"] = resolved_arch(content["arch"], f"arch in {path}", content.pop("patch_size", None), image_size)
    return from_builtins(content, Run, source=str(path))


class Score(Record, frozen=True, kw_only=True):
    """What the trained model makes of the test split."""

    loss: float
    top1: float
    top5: float
    images: int


class RunSummary(Record, frozen=True, kw_only=True):
    """What a run came to.

    Attributes:
        model: Path of model.keras.
        last, best: Metrics of the last epoch, and of the best by validation top-1.
        test: Of the test split; none where the data has none.
        notes: What a reader should know of how it went.
        input_pace: How fast images came; none where they were handed over whole.
        seconds: Wall time by activity.
        joules: Energy that the training's latest start took, "gpu" and "cpu", where they tell it.
    """

    name: str
    model: str
    last: EpochMetrics
    best: EpochMetrics
    test: Score | None
    notes: tuple[str, ...]
    measured: dict[str, float]
    input_pace: InputPace | None
    seconds: dict[str, float]
    backend: str
    device: str
    joules: dict[str, float] = msgspec.field(default_factory=dict)


def train_run(run: Run, folder: Path, on_epoch: OnEpoch | None = None, distribution: Distribution | None = None) -> RunSummary:
    """Train a run to its end: metrics.jsonl, model.keras, test.json. Interrupted, the same call goes on from the last epoch.

    The test split is read once, when the training is over and the model is written; once more where `run.keep` is changed afterwards,
    for then the model is another.

    Args:
        run: What to train.
        folder: Of the run; made if need be.
        on_epoch: Told of every epoch that this call trains.
        distribution: To run on several devices; none is one. It may be another each time that a run goes on.

    Raises:
        ConfigError: The data cannot be read, the start holds no model, the folder cannot be written or holds another training, or the run
            cannot be distributed so.
        LockedError: Another process trains in the folder.
        TrainingError: The loss is no longer finite, or something else in the training went wrong.
        RunError: The device's memory ran out, or a process of a distributed training was killed.
    """
    check_source(run.data)
    # Also where other processes train: this one scores.
    set_environment()
    if distribution:
        check_distribution(distribution, run.arch, run.recipe)
    start = resolve_start(run.start, folder) if run.start is not None else None
    with locked_folder(folder, PATIENCE):
        kept = RunFolder(run, folder)
        segment = Segment(
            arch=run.arch, data=run.data, recipe=run.recipe, seed=run.seed, start=start, to_epoch=run.recipe.epochs, folder=str(folder)
        )
        told = (kept.after_epoch(on_epoch), kept.begin)
        result = run_distributed(segment, distribution, *told) if distribution else run_locked(segment, *told)
        kept.draw()
        if result.status == "over_memory":
            raise RunError(f"{result.reason}; a smaller recipe.batch_size needs less")
        if result.status == "failed":
            raise TrainingError(f"{run.name}: {result.reason}")
        kept.write_run()
        from fvsearch.training.finish import finish, is_finished

        ended = [] if is_finished(folder, run.keep) else finish(segment, run.name, run.keep, result.epochs)
    return RunSummary(
        name=run.name,
        model=str(folder / MODEL_FILE),
        last=result.epochs[-1],
        best=best_epoch(result.epochs),
        test=from_json(folder / SCORE_FILE, Score | None),
        # What could not be read of all splits is told by each.
        notes=tuple(dict.fromkeys((*result.notes, *ended))),
        measured=result.measured,
        input_pace=result.input_pace,
        seconds=result.seconds,
        backend=result.backend,
        device=result.device,
        joules=result.joules,
    )
