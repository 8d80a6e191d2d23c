"""Recipe: how a model is trained, as a frozen record; training/recipe.py says what it means in Keras."""

from typing import Literal

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_fraction
from fvsearch.study.augmentation import Augmentation

DType = Literal["float32", "mixed_bfloat16"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "constant"]

WARMUPS = ("warmup_epochs", "warmup_steps")
"""Two ways to say one thing: where one is laid on top of the other, it takes its place."""


class Recipe(Record, frozen=True, kw_only=True):
    """How a model is trained: decoupled weight decay on kernels only, linear warm-up, then cosine to zero.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images per optimizer step.
        accumulate: Parts that a batch is cut into, each a step of the device; their gradients' mean makes one optimizer step.
        optimizer: "adamw", or "sgd" with momentum (not Nesterov's).
        learning_rate: At the end of the warm-up.
        schedule: After the warm-up: "cosine" to zero at the last step, or "constant".
        weight_decay: Decoupled, on kernels only.
        beta_1: AdamW's first-moment decay; SGD has `momentum`.
        beta_2: AdamW's second-moment decay; SGD has none.
        momentum: Of SGD; AdamW has `beta_1`.
        warmup_epochs: Epochs of linear warm-up from zero; 1 where neither this nor `warmup_steps` is given.
        warmup_steps: The same in optimizer steps; one of the two is given.
        clip_norm: Largest global norm of the gradient; none is not clipped.
        label_smoothing: Share of each label that goes to all classes alike, in the loss that is minimised and nowhere else.
        ema: Momentum, by optimizer step, of an average of the weights, by which the model is judged and which model.keras holds; none
            takes the weights themselves.
        dropout: Rate after each attention and MLP, and on the embedded patches.
        stochastic_depth: Rate at the last block; it rises linearly from zero at the first.
        dtype: Keras's dtype policy.
        augmentation: What chance does to the images of training.
    """

    epochs: int
    batch_size: int = 64
    accumulate: int = 1
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    beta_1: float = 0.9
    beta_2: float = 0.999
    momentum: float = 0.9
    warmup_epochs: float | None = None
    warmup_steps: int | None = None
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    ema: float | None = None
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: DType = "float32"
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        if self.warmup_epochs is None and self.warmup_steps is None:
            msgspec.structs.force_setattr(self, "warmup_epochs", 1.0)
        require_at_least(1, self, "epochs", "batch_size", "accumulate")
        require_at_least(0, self, "weight_decay", *WARMUPS)
        require_fraction(self, "dropout", "stochastic_depth", "beta_1", "beta_2", "momentum", "label_smoothing", "ema")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{name}` must be above 0, but got {value}")
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"`batch_size` must divide by `accumulate`, but got batch_size={self.batch_size}, accumulate={self.accumulate}"
            )
        if self.warmup_epochs is not None and self.warmup_steps is not None:
            raise ConfigError(
                "`warmup_epochs` and `warmup_steps` say the same thing, so one must be left out, "
                f"but got warmup_epochs={self.warmup_epochs:g}, warmup_steps={self.warmup_steps}"
            )
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise ConfigError(
                f"`warmup_epochs` must not exceed `epochs`, but got warmup_epochs={self.warmup_epochs:g}, epochs={self.epochs}"
            )

    @property
    def step_batch_size(self) -> int:
        """Images that a step of the device takes: what its memory and throughput are said of."""
        return self.batch_size // self.accumulate

    def warmup(self, steps_per_epoch: int) -> int:
        """Optimizer steps of the warm-up.

        Args:
            steps_per_epoch: Optimizer steps in an epoch.
        """
        if self.warmup_steps is not None:
            return self.warmup_steps
        return round((self.warmup_epochs or 0.0) * steps_per_epoch)
