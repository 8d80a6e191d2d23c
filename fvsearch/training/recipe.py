"""What a Recipe record means in Keras: its optimizer with decoupled decay on kernels only, linear warm-up, then cosine to zero."""

from collections.abc import Callable, Iterable
from typing import Any

import keras

from fvsearch.recipe import Optimizer, Recipe
from fvsearch.training.adamw import adamw


def _adamw(recipe: Recipe, **settings: Any) -> keras.optimizers.Optimizer:
    return adamw(beta_2=recipe.beta_2, **settings)


def _sgd(recipe: Recipe, **settings: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(momentum=recipe.momentum, **settings)


OPTIMIZERS: dict[Optimizer, Callable[..., keras.optimizers.Optimizer]] = {"adamw": _adamw, "sgd": _sgd}
"""By the name that `Recipe.optimizer` has."""


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by optimizer step: linear from 0 through the warm-up, then a cosine to 0 at the last step."""
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    # Keras's schedule refuses a cosine of no steps, which a recipe that is all warm-up has.
    cosine = max(1, total - warmup)
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(recipe.learning_rate, cosine)
    return keras.optimizers.schedules.CosineDecay(0.0, cosine, warmup_target=recipe.learning_rate, warmup_steps=warmup)


def make_optimizer(recipe: Recipe, steps_per_epoch: int, variables: Iterable[keras.Variable]) -> keras.optimizers.Optimizer:
    """The recipe's optimizer over a model's trainable variables, its own variables made.

    Args:
        recipe: Which optimizer, its rates, decay and clipping.
        steps_per_epoch: Optimizer steps in an epoch.
        variables: To train.
    """
    trained = list(variables)
    optimizer = OPTIMIZERS[recipe.optimizer](
        recipe,
        learning_rate=make_schedule(recipe, steps_per_epoch),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in trained if not is_kernel(variable)])
    optimizer.build(trained)
    return optimizer


def is_kernel(variable: keras.Variable) -> bool:
    """Whether weight decay applies: to matrices that multiply, not to biases, norms, positions and the class token."""
    return variable.name == "kernel"
