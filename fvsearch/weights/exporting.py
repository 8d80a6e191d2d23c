"""A model's folder as a file for other libraries, checked before it is kept: timm, keras-hub, ONNX, TensorFlow's SavedModel."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError, MissingBackendError, RunError
from fvsearch.records import suggest
from fvsearch.weights._timm import timm_state
from fvsearch.weights.card import ModelCard, read_model
from fvsearch.weights.foreign import Told, told_text
from fvsearch.weights.importing import model_of
from fvsearch.weights.plain import Floats, as_one_stage, in_one_stage

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""How far logits may be apart, of the largest of them or of one."""


class Exported(NamedTuple):
    """A file or folder for another library.

    Attributes:
        path: Of it.
        difference: The largest between its logits and the model's on two images of noise; none where nothing here runs it.
        usage: Python that loads it.
    """

    path: Path
    difference: float | None
    usage: str


class Made(NamedTuple):
    """What an exporter wrote: what makes logits of images (batch, height, width, channels) by it, if anything here can; how to load it."""

    run: Callable[[Floats], Floats] | None
    usage: str


def export_model(folder: Path, target: str, path: Path | None = None, *, overwrite: bool = False) -> Exported:
    """Write the model of a folder for another library, whole or not at all.

    Args:
        folder: With model.keras and model.toml.
        target: A key of `TARGETS`.
        path: Where to; beside the model, under the target's usual name, unless said.
        overwrite: Whether what is at the path may go.

    Raises:
        ConfigError: The target is unknown or cannot hold the arch, or the path is taken or cannot be written.
        MissingBackendError: A package is missing, or this backend cannot export so and another can.
        RunError: What was written answers with other logits than the model; it is not kept.
    """
    if target not in TARGETS:
        raise ConfigError(f"`to` must be one of {', '.join(TARGETS)}, but got {target!r}{suggest(target, TARGETS)}")
    usual_name, write = TARGETS[target]
    path = path or folder / usual_name
    if not overwrite and path.exists():
        raise ConfigError(f"{path} must be new, but it exists; --force overwrites it, -o names another")
    card, trained = read_model(folder)
    weights = {weight.path: _numpy(weight) for weight in trained.weights}
    model = model_of(card, weights)
    with _draft_of(path) as draft:
        made = write(card, model, draft, path)
        difference = _require_same(model, made.run, card, target) if made.run else None
    return Exported(path, difference, made.usage)


def _to_timm(card: ModelCard, model: "keras.Model", draft: Path, path: Path) -> Made:
    arch, weights = _plain(card, model, "timm")
    try:
        from safetensors.numpy import save_file
    except ModuleNotFoundError as error:
        raise MissingBackendError(f'.safetensors need safetensors ({error}); `pip install "fvsearch[import]"` installs it') from None
    (stage,) = arch.stages
    told = Told(
        num_heads=stage.num_heads,
        image_size=card.image_size,
        activation=arch.activation,
        norm_epsilon=arch.norm_epsilon,
        normalization="inception",
    )
    save_file(timm_state(weights), draft, metadata={"format": "pt", "fvsearch": told_text(told)})
    ratio = stage.mlp_dim / stage.width
    arguments: dict[str, Any] = {
        "img_size": card.image_size,
        "patch_size": arch.patch_size,
        "in_chans": card.channels,
        "num_classes": card.num_classes,
        "embed_dim": stage.width,
        "depth": stage.depth,
        "num_heads": stage.num_heads,
        # timm cuts width * ratio down to an integer.
        "mlp_ratio": ratio if int(stage.width * ratio) == stage.mlp_dim else float(np.nextafter(ratio, np.inf)),
    }
    said = [f"{name}={value!r}" for name, value in arguments.items()]
    if arch.activation != "gelu":
        said.append(f"act_layer={arch.activation!r}")
    if arch.norm_epsilon != 1e-6:
        said.append(f"norm_layer=functools.partial(timm.layers.LayerNorm, eps={arch.norm_epsilon!r})")
    usage = f"timm.models.VisionTransformer({', '.join(said)}).load_state_dict(safetensors.torch.load_file({str(path)!r}))"
    return Made(None, usage)


def _to_keras_hub(card: ModelCard, model: "keras.Model", draft: Path, path: Path) -> Made:
    arch, weights = _plain(card, model, "keras-hub")
    from fvsearch.weights._keras_hub import build_keras_hub

    classifier = build_keras_hub(arch, card.image_shape, card.num_classes, weights)
    if path.suffix == ".keras":
        classifier.save(draft)
        usage = f"import keras_hub; keras.saving.load_model({str(path)!r})"
    else:
        classifier.save_to_preset(str(draft))
        usage = f"keras_hub.models.ViTImageClassifier.from_preset({str(path)!r})"
    return Made(classifier.predict_on_batch, usage)


def _to_onnx(card: ModelCard, model: "keras.Model", draft: Path, path: Path) -> Made:
    from fvsearch.weights._onnx import export_onnx

    return Made(export_onnx(model, draft), f"onnxruntime.InferenceSession({str(path)!r}).run(None, {{'images': images}})")


def _to_saved_model(card: ModelCard, model: "keras.Model", draft: Path, path: Path) -> Made:
    from fvsearch.weights._saved_model import export_saved_model

    return Made(export_saved_model(model, draft), f"model = tf.saved_model.load({str(path)!r}); model.serve(images)")


TARGETS: dict[str, tuple[str, Callable[[ModelCard, "keras.Model", Path, Path], Made]]] = {
    "timm": ("timm.safetensors", _to_timm),
    "keras-hub": ("keras_hub.keras", _to_keras_hub),
    "onnx": ("model.onnx", _to_onnx),
    "saved-model": ("saved_model", _to_saved_model),
}
"""By its name: what the file is called beside the model, and who writes it."""


def _plain(card: ModelCard, model: "keras.Model", library: str) -> tuple[Arch, dict[str, Floats]]:
    """The arch in one stage, and the weights under the paths that they have there."""
    arch = as_one_stage(card.arch, library)
    return arch, in_one_stage(card.arch, {weight.path: _numpy(weight) for weight in model.weights})


def _require_same(model: "keras.Model", run: Callable[[Floats], Floats], card: ModelCard, target: str) -> float:
    images = np.random.default_rng(0).standard_normal((2, *card.image_shape), dtype=np.float32)
    wanted, found = model.predict_on_batch(images), run(images)
    difference = float(np.abs(found - wanted).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise RunError(f"a model must answer alike as {target}, but its logits are up to {difference:.2g} apart; nothing is kept")
    return difference


@contextlib.contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A path beside it to write to, of the same suffix; what is there in the end takes the path's place."""
    draft = path.with_name(f".draft-{path.name}")
    try:
        _remove(draft)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        if path.is_dir() or draft.is_dir():
            _remove(path)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}; give another with -o") from None
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _numpy(tensor: Any) -> Floats:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))
