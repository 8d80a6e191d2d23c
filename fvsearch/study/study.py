"""Study and its parts: what is searched, on which data, by which recipe, under which budget, for which objectives.

A Study is resolved: its space and its archs are records. A study file may name them instead; `library.load_study` resolves names.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Space
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_at_most, require_fraction, require_name
from fvsearch.study.budgets import Budget
from fvsearch.study.recipe import Recipe

Direction = Literal["maximize", "minimize"]
EngineName = Literal["front", "optuna", "keras_tuner", "listed"]
Sampler = Literal["nsga2", "nsga3", "tpe", "gp", "random"]
Oracle = Literal["random", "bayesian", "hyperband", "grid"]
ObjectiveName = Literal["top1", "top5", "loss", "memory", "throughput", "macs", "num_params"]

MOST_SEEDS = 1000
"""Trainings of one arch: each is planned before the first begins."""

LEARNED = ("top1", "top5", "loss")
"""Objectives that only a training tells; the others are costs, known before it."""


CHANCE: dict[str, Callable[[int], float]] = {
    "top1": lambda classes: 1 / classes,
    "top5": lambda classes: min(5, classes) / classes,
    "loss": math.log,
}
"""What a model that has learned nothing reaches, by the number of classes."""


class Data(Record, frozen=True, kw_only=True):
    """Where images come from, their shape, and how they are split.

    Attributes:
        source: "digits", "shapes", "folder:PATH" of class folders, "tfds:NAME[/CONFIG][:VERSION]", "tfrecord:PATH" (a folder or a pattern),
            or a user's own "package.module:function". What has no splits of its own is split by the shares below.
        image_size: Pixels: one edge of a square, or (height, width).
        channels: Of an image.
        num_classes: Of the labels.
        validation: Share of the images that the search scores on; where the source has a test split of its own, of what else it has,
            unless that is split too.
        test: Share that nothing but the end of `fvsearch train` reads; a test split of the source's own is taken as it is.
        seed: Of the split.
        train_share: Share of the training split that is trained on; a smaller share is part of a larger one.
        options: Of the source: keyword arguments for a user's function; samples, difficulty, mislabelled and seed for "shapes"; for all
            whose images are read from files central, for "tfds:" data_dir, manual_dir and download, for "tfrecord:" image, label and
            first_label.
    """

    source: str
    image_size: int | tuple[int, int]
    channels: int
    num_classes: int
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    train_share: float = 1.0
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        require_at_least(1, self, "channels")
        require_at_least(2, self, "num_classes")
        require_fraction(self, "validation", "test")
        if min(self.image_shape) < 1:
            raise ConfigError(f"`image_size` must be at least 1, but got {self.image_size}")
        if not self.validation > 0:
            raise ConfigError("`validation` must be above 0, but got 0: the search needs images to score on")
        if not 0 < self.train_share <= 1:
            raise ConfigError(f"`train_share` must be above 0 and at most 1, but got {self.train_share}")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"`validation` and `test` must leave images to train on, but together they are {self.validation + self.test:g}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        height, width = (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size
        return height, width, self.channels


class Objective(Record, frozen=True, kw_only=True):
    """A number to turn up or down.

    Attributes:
        name: top1, top5 and loss are of the validation split; memory in bytes, throughput in images/s, macs per image.
        direction: "maximize" or "minimize".
    """

    name: ObjectiveName
    direction: Direction


class Proposer(Record, frozen=True, kw_only=True):
    """Which engine proposes archs, and its settings.

    Attributes:
        name: "front", which learns accuracy alone, for costs are known; "optuna"; "keras_tuner"; or "listed" for a fixed list in its order.
        sampler: Optuna's: "nsga2", "nsga3", "tpe", "gp" (which wants PyTorch) or "random".
        oracle: KerasTuner's: "random", "bayesian", "hyperband" or "grid"; of no other engine, as `scalar`.
        scalar: The one objective that KerasTuner's oracles see; "bayesian" and "hyperband" need it where a study has several.
        population: Archs in a generation of NSGA-II and NSGA-III; keep it well under the number of trials.
        starts: Archs spread over predicted memory that are evaluated before the engine proposes; unless said 4 with "front", which
            spreads them over its first cost and counts what else was evaluated, and none with others.
        candidates: Of "front": a space of so many archs at most is looked at whole for each proposal; of a larger one a draw is, which is
            renewed as the search goes on.
        warm_start: Archs that are evaluated first, or the folder of another study, of which what fits is taken over.
        archs: The list, for "listed"; "front" takes one instead of a space.
    """

    name: EngineName = "optuna"
    sampler: Sampler = "nsga2"
    oracle: Oracle = "random"
    scalar: ObjectiveName | None = None
    population: int = 12
    starts: int | None = None
    candidates: int = 1_000_000
    warm_start: tuple[Arch, ...] | str = ()
    archs: tuple[Arch, ...] = ()

    def __post_init__(self) -> None:
        require_at_least(2, self, "population")
        require_at_least(0, self, "starts")
        require_at_least(1, self, "candidates")
        if self.name != "front" and (self.name == "listed") != bool(self.archs):
            raise ConfigError(
                f'`archs` belongs to the engines "listed" and "front" and to no other, but got name={self.name!r} with '
                f"{len(self.archs)} archs"
            )
        if self.name != "keras_tuner":
            for name, unset in (("oracle", "random"), ("scalar", None)):
                if getattr(self, name) != unset:
                    raise ConfigError(
                        f'`{name}` is for the engine "keras_tuner", but got {name}={getattr(self, name)!r}, name={self.name!r}'
                    )

    @property
    def num_starts(self) -> int:
        """Archs that are spread over cost before the engine proposes."""
        return self.starts if self.starts is not None else 4 if self.name == "front" else 0


class EarlyStopping(Record, frozen=True, kw_only=True):
    """Rungs, at which a trial that is far from the front of those that reached them ends.

    Attributes:
        rungs: Where: shares of the recipe's epochs, ascending.
        keep: At a rung a trial goes on if it is on the front of (accuracy there, costs), or among this share of the nearest to it.
        min_trials: So many must have reached a rung before one is stopped there.
    """

    rungs: tuple[float, ...] = (0.25, 0.5)
    keep: float = 0.5
    min_trials: int = 4

    def __post_init__(self) -> None:
        require_at_least(1, self, "min_trials")
        require_fraction(self, "keep")
        if not self.rungs or list(self.rungs) != sorted(set(self.rungs)) or not 0 < self.rungs[0] <= self.rungs[-1] < 1:
            raise ConfigError(f"`rungs` must be ascending shares of the epochs, each above 0 and below 1, but got {list(self.rungs)}")

    def epochs(self, total: int) -> tuple[int, ...]:
        """After how many epochs of `total` the rungs are: at least one, below the total, each once."""
        return tuple(dict.fromkeys(rung for share in self.rungs if (rung := max(1, round(share * total))) < total))


class Confirm(Record, frozen=True, kw_only=True):
    """What is trained again after a search, with other seeds: the front and the baseline, always.

    Attributes:
        seeds: Trainings of each, beyond those of the search.
        archs: Further ones.
        train_shares: The baseline and `archs` are also trained on these shares of the training split.
    """

    seeds: int = 3
    archs: tuple[Arch, ...] = ()
    train_shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_at_least(1, self, "seeds")
        require_at_most(MOST_SEEDS, self, "seeds")
        for share in self.train_shares:
            if not 0 < share < 1:
                raise ConfigError(f"`train_shares` must each be above 0 and below 1, but got {share}")


class Study(Record, frozen=True, kw_only=True):
    """A search's whole definition.

    Attributes:
        name: Also of the folder, unless another is given.
        description: One line for `fvsearch list`.
        space: What is searched; none where the engine has a list.
        baseline: The arch that budgets are relative to, and trial 0.
        early_stopping: Where trials far from the front end early; none trains each to the end.
        confirm: What is trained again after the search; none is nothing.
        trials: Distinct archs evaluated to an end, the baseline counted in.
        repeats: Trainings of each arch, with different seeds; a trial's value is their mean.
        seed: Every other seed comes from it.
        resources: What each worker has of a Ray cluster, by Ray's names: GPU, TPU, CPU, memory in bytes, and custom ones. Unless said, a
            GPU where the cluster has any, and a CPU. Of no meaning elsewhere, and no part of what the study finds.
    """

    name: str
    description: str = ""
    space: Space | None = None
    baseline: Arch
    data: Data
    recipe: Recipe
    budget: Budget = Budget()
    objectives: tuple[Objective, ...]
    engine: Proposer = Proposer()
    early_stopping: EarlyStopping | None = None
    confirm: Confirm | None = None
    trials: int
    repeats: int = 1
    seed: int = 0
    resources: dict[str, float] = {}

    def __post_init__(self) -> None:
        require_at_least(1, self, "trials", "repeats")
        require_at_most(MOST_SEEDS, self, "repeats")
        require_resources(self.resources)
        require_at_least(0, self, "seed")
        require_name(self.name)
        if (self.space is None) != bool(self.engine.archs):
            raise ConfigError("`space` must be given, except where the engine has a list of `archs` instead")
        names = [objective.name for objective in self.objectives]
        if not any(name in LEARNED for name in names):
            raise ConfigError(
                f"`objectives` must name one that training tells ({', '.join(LEARNED)}), but got {names}: costs alone need no search"
            )
        if len(set(names)) < len(names):
            raise ConfigError(f"`objectives` must differ, but got {names}")
        if self.early_stopping and (self.engine.name, self.engine.oracle) == ("keras_tuner", "hyperband"):
            raise ConfigError('`early_stopping` must be left out with the oracle "hyperband", which says itself how far an arch is trained')
        scalar = self.engine.scalar
        if scalar is not None and scalar not in names:
            raise ConfigError(f"`scalar` must be one of the objectives {names}, but got {scalar!r} at engine")
        for arch in (self.baseline, *self.engine.archs, *self.listed_starts, *(self.confirm.archs if self.confirm else ())):
            require_patches(arch.patch_size, self.data)
        if self.space is not None:
            for patch_size in self.space.patch_sizes:
                require_patches(patch_size, self.data)
            self._require_image_size(self.space)
        self.recipe.augmentation.require_colors(self.data.channels)
        self._require_starts()

    def _require_image_size(self, space: Space) -> None:
        """The law that a space's rules count tokens of the study's images."""
        rules = space.rules
        if rules is not None and rules.image_size is not None and rules.edges != self.data.image_shape[:2]:
            raise ConfigError(
                f"`image_size` of the space's rules must be the data's, {self.data.image_size}, but got {rules.image_size} at space.rules; "
                "leave it out"
            )

    def _require_starts(self) -> None:
        """The law that listed starts are of what is searched."""
        listed = {arch.arch_hash for arch in self.engine.archs}
        for index, arch in enumerate(self.listed_starts):
            try:
                if self.space is not None:
                    self.space.params(arch)
                elif arch.arch_hash not in listed:
                    raise ConfigError("`warm_start` must be of the engine's `archs`, but one is not")
            except ConfigError as error:
                raise ConfigError(f"{error} at engine.warm_start[{index}]") from None

    @property
    def listed_starts(self) -> tuple[Arch, ...]:
        """The archs that the study names to be evaluated first; none where it names another study's folder."""
        return () if isinstance(self.engine.warm_start, str) else self.engine.warm_start

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        """Epochs after which a trial may be stopped; empty without early stopping."""
        return self.early_stopping.epochs(self.recipe.epochs) if self.early_stopping else ()

    @property
    def cost_batch_size(self) -> int:
        """Images per step of the device that costs are said of."""
        return self.budget.batch_size or self.recipe.step_batch_size

    def with_settings(self, **changes: Any) -> "Study":
        """A copy with other fields."""
        return msgspec.structs.replace(self, **changes)


def require_resources(resources: Mapping[str, float]) -> None:
    """The laws of what a worker is to have of a cluster.

    Raises:
        ConfigError: It is less than nothing, or more GPUs than a training has use for.
    """
    for name, amount in resources.items():
        if not 0 <= amount < math.inf:
            raise ConfigError(f"resources must be at least 0, but got {name}={amount:g} at resources")
    if resources.get("GPU", 0.0) > 1:
        raise ConfigError(
            f"a worker trains on one GPU, or on a share of one, but got GPU={resources['GPU']:g} at resources; --workers says how many "
            "train side by side"
        )


def require_patches(patch_size: int, data: Data) -> None:
    """The law that patches tile the image.

    Raises:
        ConfigError: They do not.
    """
    height, width, _ = data.image_shape
    if height % patch_size or width % patch_size:
        raise ConfigError(f"`image_size` must divide by `patch_size`, but got image_size={height}x{width}, patch_size={patch_size}")
