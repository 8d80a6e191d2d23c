"""A model's folder: model.keras, and model.toml, which says what it is. `fvsearch train` and `fvsearch import` leave one each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.files import removed_on_error, replace_durably, write_atomically
from fvsearch.records import Record, from_toml, require_at_least, to_toml
from fvsearch.weights.archive import require_filled, require_finite, said_by

if TYPE_CHECKING:
    import keras

MODEL_FILE, CARD_FILE = "model.keras", "model.toml"


class ModelCard(Record, frozen=True, kw_only=True):
    """What a model is, so that it can be built again, fine-tuned, evaluated or exported.

    Attributes:
        arch: Of the model.
        image_size: (height, width) of its images, in pixels.
        channels: Of an image.
        num_classes: Of its head.
        source: Where its weights come from, for readers: a run's name, or the file or library that was imported.
        evidence: What else is known of it, in plain values.
    """

    arch: Arch
    image_size: tuple[int, int]
    channels: int
    num_classes: int
    source: str = ""
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        require_at_least(1, self, "channels", "num_classes")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        return *self.image_size, self.channels


def write_model(folder: Path, model: "keras.Model", card: ModelCard) -> Path:
    """Write a model and its card; a kill leaves no card beside a model that is not its own. The path of model.keras."""
    draft = folder / ".draft.keras"
    with removed_on_error(draft):
        model.save(draft)
        (folder / CARD_FILE).unlink(missing_ok=True)
        replace_durably(draft, folder / MODEL_FILE)
    write_atomically(folder / CARD_FILE, to_toml(card).encode())
    return folder / MODEL_FILE


def read_card(folder: Path) -> ModelCard:
    """The card of a model's folder.

    Raises:
        ConfigError: The folder holds no model, or its card breaks a law.
    """
    for name in (MODEL_FILE, CARD_FILE):
        if not (folder / name).is_file():
            raise ConfigError(
                f"a model's folder must hold {MODEL_FILE} and {CARD_FILE}, but {folder} has no {name}; "
                "`fvsearch train` and `fvsearch import` leave such a folder"
            )
    return from_toml(folder / CARD_FILE, ModelCard)


def read_model(folder: Path) -> "tuple[ModelCard, keras.Model]":
    """The card and the model of a folder; not compiled, and loaded in Keras's safe mode.

    Raises:
        ConfigError: The folder holds no model, or the file does not load, or says more than it holds.
    """
    import keras

    import fvsearch.models  # noqa: F401 - registers the layers

    card = read_card(folder)
    require_filled(folder / MODEL_FILE)
    try:
        model = keras.saving.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
    except Exception as error:
        raise ConfigError(f"{folder / MODEL_FILE} does not load: {type(error).__name__}: {said_by(error)}") from error
    require_finite(((weight.path, keras.ops.convert_to_numpy(weight)) for weight in model.weights), folder / MODEL_FILE)
    return card, model
