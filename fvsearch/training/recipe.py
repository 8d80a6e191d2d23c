"""What a Recipe record means in Keras: AdamW with decoupled decay on kernels only, linear warm-up, then cosine to zero."""

from collections.abc import Iterable

import keras

from fvsearch.study import Recipe


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
    """AdamW over a model's trainable variables, its own variables made.

    Args:
        recipe: Rates, decay and clipping.
        steps_per_epoch: Optimizer steps in an epoch.
        variables: To train.
    """
    trained = list(variables)
    optimizer = keras.optimizers.AdamW(
        make_schedule(recipe, steps_per_epoch),
        weight_decay=recipe.weight_decay,
        beta_2=recipe.beta_2,
        global_clipnorm=recipe.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in trained if not is_kernel(variable)])
    optimizer.build(trained)
    return optimizer


def is_kernel(variable: keras.Variable) -> bool:
    """Whether weight decay applies: to matrices that multiply, not to biases, norms, positions and the class token."""
    return variable.name == "kernel"
