"""Study: what is searched, on which data, by which recipe, under which budget, for which objectives. Each of its parts has a module.

A Study is resolved: its space and its archs are records. A study file may name them instead; `library.load_study` resolves names.
"""

from typing import Any

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Space
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_at_most, require_name
from fvsearch.study.budgets import Budget
from fvsearch.study.confirm import MOST_SEEDS, Confirm
from fvsearch.study.data import Data, require_patches
from fvsearch.study.early_stopping import EarlyStopping
from fvsearch.study.objectives import LEARNED, Objective
from fvsearch.study.proposer import Proposer
from fvsearch.study.recipe import Recipe
from fvsearch.study.resources import require_resources


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
    engine: Proposer = Proposer(name="front")
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
