"""Recipe: how a model is trained, as a frozen record; training/recipe.py says what it means in Keras."""

from typing import Literal

from fvsearch.augmentation import Augmentation
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_fraction

DType = Literal["float32", "mixed_bfloat16"]
Optimizer = Literal["adamw", "sgd"]


class Recipe(Record, frozen=True, kw_only=True):
    """How a model is trained: decoupled weight decay on kernels only, linear warm-up, then cosine to zero.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images per optimizer step.
        optimizer: "adamw", or "sgd" with momentum (not Nesterov's).
        learning_rate: At the end of the warm-up.
        weight_decay: Decoupled, on kernels only.
        beta_2: AdamW's second-moment decay; SGD has none.
        momentum: Of SGD; AdamW has its own, 0.9.
        warmup_epochs: Epochs of linear warm-up from zero.
        clip_norm: Largest global norm of the gradient; none is not clipped.
        dropout: Rate after each attention and MLP, and on the embedded patches.
        stochastic_depth: Rate at the last block; it rises linearly from zero at the first.
        dtype: Keras's dtype policy.
        augmentation: What chance does to the images of training.
    """

    epochs: int
    batch_size: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    beta_2: float = 0.999
    momentum: float = 0.9
    warmup_epochs: float = 1.0
    clip_norm: float | None = None
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: DType = "float32"
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        require_at_least(1, self, "epochs", "batch_size")
        require_at_least(0, self, "weight_decay", "warmup_epochs")
        require_fraction(self, "dropout", "stochastic_depth", "beta_2", "momentum")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{name}` must be above 0, but got {value}")
        if self.warmup_epochs > self.epochs:
            raise ConfigError(
                f"`warmup_epochs` must not exceed `epochs`, but got warmup_epochs={self.warmup_epochs:g}, epochs={self.epochs}"
            )
