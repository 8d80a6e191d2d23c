"""What a Recipe record means in Keras: its optimizer with decoupled decay on kernels only, and its learning rate by optimizer step."""

from collections.abc import Callable, Iterable
from typing import Any

import keras

from fvsearch.study.recipe import Optimizer, Recipe, Schedule
from fvsearch.training.adamw import adamw
from fvsearch.training.steps import by_optimizer_step


def _adamw(recipe: Recipe, **settings: Any) -> keras.optimizers.Optimizer:
    return adamw(beta_1=recipe.beta_1, beta_2=recipe.beta_2, **settings)


def _sgd(recipe: Recipe, **settings: Any) -> keras.optimizers.Optimizer:
    return by_optimizer_step(keras.optimizers.SGD)(momentum=recipe.momentum, **settings)


OPTIMIZERS: dict[Optimizer, Callable[..., keras.optimizers.Optimizer]] = {"adamw": _adamw, "sgd": _sgd}
"""By the name that `Recipe.optimizer` has."""

ENDS: dict[Schedule, float] = {"cosine": 0.0, "constant": 1.0}
"""By the name that `Recipe.schedule` has: the share of the rate that the cosine ends at."""


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by optimizer step: linear from 0 through the warm-up, then a cosine to 0 at the last step, or constant."""
    total = recipe.epochs * steps_per_epoch
    warmup = recipe.warmup(steps_per_epoch)
    end = ENDS[recipe.schedule]
    # Keras's schedule refuses a cosine of no steps, which a recipe that is all warm-up has.
    cosine = max(1, total - warmup)
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(recipe.learning_rate, cosine, end)
    return keras.optimizers.schedules.CosineDecay(0.0, cosine, end, warmup_target=recipe.learning_rate, warmup_steps=warmup)


def make_optimizer(recipe: Recipe, steps_per_epoch: int, variables: Iterable[keras.Variable]) -> keras.optimizers.Optimizer:
    """The recipe's optimizer over a model's trainable variables, its own variables made.

    Args:
        recipe: Which optimizer, its rates, decay, clipping, accumulation and average.
        steps_per_epoch: Optimizer steps in an epoch.
        variables: To train.
    """
    trained = list(variables)
    optimizer = OPTIMIZERS[recipe.optimizer](
        recipe,
        learning_rate=make_schedule(recipe, steps_per_epoch),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema is not None,
        ema_momentum=recipe.ema or 0.0,
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in trained if not is_kernel(variable)])
    optimizer.build(trained)
    return optimizer


def is_kernel(variable: keras.Variable) -> bool:
    """Whether weight decay applies: to matrices that multiply, not to biases, norms, positions and the class token."""
    return variable.name == "kernel"
