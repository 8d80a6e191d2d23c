"""FunnelHyperModel: a space for KerasTuner's own tuners. The models, their training and the budget are a study's."""

import contextlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import keras

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.archs.space import Param, Params, Space
from fvsearch.costs.feasibility import require_feasible, spread_over_memory
from fvsearch.costs.predictor import Predictor
from fvsearch.data import ArrayPair, load_search_splits
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.export import write_run
from fvsearch.study import LEARNED, Proposer, Study
from fvsearch.study.budgets import is_met
from fvsearch.training.batches import evaluation_batch_size
from fvsearch.training.device import set_up_device
from fvsearch.training.fit import compile_model, judging, recipe_model
from fvsearch.training.recipe import make_schedule
from fvsearch.training.run import Run
from fvsearch.training.segment import derive_seed

try:
    import keras_tuner
except ModuleNotFoundError as error:
    raise MissingBackendError(f'FunnelHyperModel needs KerasTuner ({error}); `pip install "fvsearch[keras-tuner]"` installs it') from None

Chosen: TypeAlias = keras_tuner.HyperParameters | Mapping[str, Any]
"""A trial's hyperparameters, or their values by name."""


class FunnelHyperModel(keras_tuner.HyperModel):
    """The Funnel-ViTs of a space, for a `keras_tuner.Tuner` of your own.

    The hyperparameters are the space's searched params under their dotted paths ("stages.0.depth"); what an arch does not use (a stage
    after its end, the pooling where nothing is pooled) is inactive. An arch that is over the study's budget as predicted is refused as a
    failed trial before it is built; give the tuner a large `max_consecutive_failed_trials`, for KerasTuner stops after three in a row, and
    counts them among its `max_trials`. The default values, which tuners build first, are those of an arch within budget.

    Args:
        space: What is searched; `study.space`, or another for the same images.
        study: Whose data, recipe, budget, baseline and seed.
        predictor: Of costs; without one, the formula, by which budgets relative to the baseline mean the same on every device. Images/s
            it does not know, so that an absolute throughput budget refuses nothing.

    Raises:
        ConfigError: The space does not fit the study, or the study's recipe augments images.
        EmptySpaceError: Nothing in the space meets the budget.
        MissingBackendError: On TensorFlow, TensorBoard is not installed.
    """

    def __init__(self, space: Space, study: Study, predictor: Predictor | None = None) -> None:
        super().__init__(name=study.name)
        if keras.backend.backend() == "tensorflow" and importlib.util.find_spec("tensorboard") is None:
            raise MissingBackendError(
                'on TensorFlow KerasTuner\'s tuners need TensorBoard; `pip install "fvsearch[tensorboard]"` installs it'
            )
        if study.recipe.augmentation.alters:
            raise ConfigError(
                "`recipe.augmentation` must be left out for FunnelHyperModel, which hands whole arrays to Keras's fit; "
                "`fvsearch run` augments"
            )
        self.space, self.study = space, study.with_settings(space=space, engine=Proposer(name="optuna"))
        self.predictor = predictor or Predictor.unmeasured(self.study)
        require_feasible(self.study, self.predictor)

    @property
    def objective(self) -> keras_tuner.Objective:
        """The study's first objective that training tells, of the validation split: "val_top1", to be maximised."""
        learned = next(objective for objective in self.study.objectives if objective.name in LEARNED)
        return keras_tuner.Objective(f"val_{learned.name}", learned.direction[:3])

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register every searched param that is not there yet; KerasTuner calls this before it builds anything."""
        for path, choices in self.space.domains().items():
            with self._conditions(path, hp):
                if isinstance(choices[0], bool):
                    hp.Boolean(path, default=self._defaults[path])
                else:
                    hp.Choice(path, list(choices), default=self._defaults[path])
        # Every param is registered, active or not, so a tuner need not build a model for each condition to find more.
        hp.active_scopes.clear()
        hp.inactive_scopes.clear()

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The arch's model, compiled as a search trains it.

        Raises:
            keras_tuner.errors.FailedTrialError: It is over budget as predicted.
        """
        self.declare_hyperparameters(hp)
        arch = self.arch(hp)
        broken = self.predictor.violations(self.predictor.costs(arch))
        if not is_met(broken):
            kind = max(broken, key=lambda name: broken[name])
            raise keras_tuner.errors.FailedTrialError(
                f"{self.layout(hp)} breaks `budget.{kind}` = {getattr(self.study.budget, kind)!r} by {broken[kind]:.1%} as predicted"
            )
        set_up_device()
        model = recipe_model(arch, self.study.data, self.study.recipe, derive_seed(self.study.seed, arch.arch_hash, 0))
        compile_model(model, self.study.recipe, self._steps)
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as Keras's `fit`, on the study's training split and scored on its validation split unless images are given.

        Batch size and epochs are the recipe's unless given. A training that goes on from another's weights (Hyperband) goes on with its
        learning rate: the schedule spans the recipe's epochs, so Hyperband's `max_epochs` should be those. Where the recipe keeps an
        average of the weights, that is what is scored.

        Args:
            hp: Of the trial.
            model: As `build` made it.
            args, kwargs: As `keras.Model.fit`; what `Tuner.search` was given.
        """
        recipe, (train, validation) = self.study.recipe, self._splits
        if not args and "x" not in kwargs:
            kwargs |= {"x": train.images, "y": train.labels}
            kwargs.setdefault("validation_data", tuple(validation))
            kwargs.setdefault("validation_batch_size", evaluation_batch_size(len(validation.labels), recipe.step_batch_size))
        if hasattr(args[0] if args else kwargs["x"], "shape"):
            kwargs.setdefault("batch_size", recipe.step_batch_size)
        kwargs.setdefault("epochs", recipe.epochs)
        if average := judging(recipe):
            kwargs["callbacks"] = [*average, *(kwargs.get("callbacks") or ())]
        if done := kwargs.get("initial_epoch", 0):
            model.optimizer.learning_rate = Later(make_schedule(recipe, self._steps), done * self._steps)
        return model.fit(*args, **kwargs)

    def arch(self, hp: Chosen) -> Arch:
        """The arch that hyperparameters name, such as `tuner.get_best_hyperparameters()[0]`."""
        return self.space.arch(self._params(hp))

    def layout(self, hp: Chosen) -> str:
        """The arch in the paper's notation."""
        return format_layout(self.arch(hp), self.study.data.image_shape[:2])

    def run(self, hp: Chosen) -> Run:
        """The run that trains the arch, as `fvsearch train` takes it: the study's data, recipe and first seed."""
        arch = self.arch(hp)
        return Run(
            name=f"{self.study.name}-{arch.arch_hash[:8]}",
            arch=arch,
            data=self.study.data,
            recipe=self.study.recipe,
            seed=derive_seed(self.study.seed, arch.arch_hash, 0),
            evidence={
                "study": self.study.name,
                "layout": self.layout(hp),
                "arch_hash": arch.arch_hash,
                "proposed_by": f"keras-tuner {importlib.metadata.version('keras-tuner')}",
                "predicted": self.predictor.costs(arch),
            },
        )

    def export(self, hp: Chosen, path: Path, *, overwrite: bool = False) -> None:
        """Write the run, for `fvsearch train`.

        Raises:
            ConfigError: The file is there and is not to be overwritten, or cannot be written.
        """
        write_run(self.run(hp), path, overwrite=overwrite)

    def _params(self, hp: Chosen) -> Params:
        values = hp if isinstance(hp, Mapping) else hp.values
        return {path: values[path] for path in self.space.domains() if path in values}

    @contextlib.contextmanager
    def _conditions(self, path: str, hp: keras_tuner.HyperParameters) -> Iterator[None]:
        """Under which a param is active: no stage up to its own has depth 0, and a pooling's stride shrinks something."""
        domains = self.space.domains()
        stage, _, name = path.removeprefix("stages.").partition(".")
        wanted: dict[str, Param] = {}
        if name:
            wanted = {f"stages.{index}.depth": 0 for index in range(1, int(stage) + (name != "depth"))}
        if name == "pooling":
            wanted[f"stages.{stage}.pool_stride"] = 1
        with contextlib.ExitStack() as scopes:
            for parent, idle in wanted.items():
                if idle in domains.get(parent, ()):
                    scopes.enter_context(hp.conditional_scope(parent, [choice for choice in domains[parent] if choice != idle]))
            yield

    @cached_property
    def _defaults(self) -> Params:
        """The params of the baseline where it is in the space and within budget, else of the smallest arch that is."""
        baseline = self.study.baseline
        if self.space.contains(baseline) and self.predictor.meets(baseline):
            return self.space.params(baseline)
        return self.space.params(spread_over_memory(self.study, self.predictor, 1)[0])

    @cached_property
    def _splits(self) -> tuple[ArrayPair, ArrayPair]:
        """To train on, and to validate on."""
        train, validation = load_search_splits(self.study.data)
        if not (isinstance(train, ArrayPair) and isinstance(validation, ArrayPair)):
            raise ConfigError(
                f"FunnelHyperModel trains on images that are held as arrays, and those of {self.study.data.source!r} are read as they are "
                "wanted; `fvsearch run` trains on them"
            )
        return train, validation

    @property
    def _steps(self) -> int:
        """Optimizer steps in an epoch of Keras's `fit`, which trains on the last, smaller batch too, one begun at its end counted in."""
        return math.ceil(len(self._splits[0].labels) / self.study.recipe.batch_size)


class Later(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from a later step on.

    Args:
        schedule: Of the whole training.
        steps: That were trained before.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        super().__init__()
        self.schedule, self.steps = schedule, steps

    def __call__(self, step: Any) -> Any:
        """The learning rate `steps` after it."""
        return self.schedule(step + self.steps)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}
