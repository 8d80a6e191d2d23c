"""keras-hub's ViT: a preset's folder or a `.keras` file of a ViTImageClassifier or a ViTBackbone, read and built."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.files import require_modest_zip
from fvsearch.weights.archive import require_filled, said_by
from fvsearch.weights.foreign import Foreign, Told
from fvsearch.weights.plain import Floats, Sizes, by_head, weight_shapes
from fvsearch.weights.source import Source

LAYERS = {
    "attention/norm": "ln_1",
    **{f"attention/{part}": f"mha/{part}" for part in ("query", "key", "value")},
    "attention/projection": "mha/attention_output",
    "mlp/norm": "ln_2",
    "mlp/expand": "mlp/dense_1",
    "mlp/contract": "mlp/dense_2",
}
PATCHING = "vit_patching_and_embedding"
OTHERS = {
    "class_token/token": f"{PATCHING}/class_token",
    "positions/positions": f"{PATCHING}/position_embedding/embeddings",
    "patches/kernel": f"{PATCHING}/patch_embedding/kernel",
    "patches/bias": f"{PATCHING}/patch_embedding/bias",
    "norm/gamma": "vit_encoder/ln/gamma",
    "norm/beta": "vit_encoder/ln/beta",
    "head/kernel": "predictions/kernel",
    "head/bias": "predictions/bias",
}

CLASSIFIER, BACKBONE = "keras_hub>ViTImageClassifier", "keras_hub>ViTBackbone"


def load_keras_hub(path: Path) -> Any:
    """The model that a preset's folder or a `.keras` file holds, loaded by keras-hub in Keras's safe mode.

    Raises:
        ConfigError: It is no ViT of keras-hub, or does not load.
        MissingBackendError: keras-hub is not installed.
    """
    kind = _kind(path)
    require_filled(path)
    keras_hub = _library()
    import keras

    try:
        if path.is_file():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        models = keras_hub.models
        # An absolute path, for keras-hub takes a name to be one of those it downloads.
        return (models.ViTImageClassifier if kind == CLASSIFIER else models.ViTBackbone).from_preset(str(path.resolve()))
    except Exception as error:
        raise ConfigError(f"{path} does not load as a ViT of keras-hub: {type(error).__name__}: {said_by(error)}") from error


def read_keras_hub(name: str, model: Any) -> Foreign:
    """A classifier or a backbone as a ViT of ours.

    Args:
        name: Of the file.
        model: As keras-hub has it.

    Raises:
        ConfigError: It has what our archs have nothing for.
    """
    classifier = model if hasattr(model, "backbone") else None
    backbone = model.backbone if classifier else model
    notes = _require_plain(name, backbone, classifier)
    weights_of = {weight.path: np.asarray(_numpy(weight)) for weight in model.weights}
    source = Source(name, weights_of, {"_scale$": "quantised weights"})
    height, width, channels = backbone.image_shape
    patch_size = backbone.patch_size[0]
    sizes = Sizes(
        width=backbone.hidden_dim,
        depth=backbone.num_layers,
        mlp_dim=backbone.mlp_dim,
        patch_size=patch_size,
        channels=channels,
        patches=(height // patch_size) * (width // patch_size),
        num_classes=classifier.num_classes if classifier else 0,
    )
    weights: dict[str, Floats] = {}
    for path, shape in weight_shapes(sizes).items():
        weights[path] = source.take(key_of(path), _their_shape(path, shape, backbone.num_heads)).reshape(shape)
    told = Told(num_heads=backbone.num_heads, image_size=(height, width), activation="gelu", norm_epsilon=backbone.layer_norm_epsilon)
    return Foreign("keras-hub", sizes, (height, width), weights, told, Told(), notes=(*notes, *source.finish()))


def build_keras_hub(arch: Arch, image_shape: tuple[int, int, int], num_classes: int, weights: Mapping[str, Floats]) -> Any:
    """keras-hub's classifier of a plain ViT's arch, with its weights by the paths of `plain.weight_shapes`.

    Raises:
        ConfigError: The activation is not the exact gelu, which keras-hub's ViTs have.
        MissingBackendError: keras-hub is not installed.
    """
    if arch.activation != "gelu":
        raise ConfigError(f"keras-hub's ViTs have the exact gelu, but got activation={arch.activation!r}; timm takes it")
    models = _library().models
    (stage,) = arch.stages
    backbone = models.ViTBackbone(
        image_shape=image_shape,
        patch_size=arch.patch_size,
        num_layers=stage.depth,
        num_heads=stage.num_heads,
        hidden_dim=stage.width,
        mlp_dim=stage.mlp_dim,
        layer_norm_epsilon=arch.norm_epsilon,
        dtype="float32",
    )
    classifier = models.ViTImageClassifier(backbone, num_classes)
    theirs = {weight.path: weight for weight in classifier.weights}
    for path, value in weights.items():
        variable = theirs.pop(key_of(path))
        variable.assign(value.reshape(variable.shape))
    assert not theirs, f"weights of keras-hub's that were not set: {list(theirs)}"
    return classifier


def key_of(path: str) -> str:
    """`stage0_block0_mlp/expand/kernel` to `vit_encoder/transformer_block_1/mlp/dense_1/kernel`, as Keras calls the weight."""
    if path in OTHERS:
        return OTHERS[path]
    layer, _, leaf = path.rpartition("/")
    match = re.fullmatch(r"stage0_block(\d+)_(.*)", layer)
    assert match, path
    return f"vit_encoder/transformer_block_{int(match[1]) + 1}/{LAYERS[match[2]]}/{leaf}"


def _their_shape(path: str, shape: tuple[int, ...], num_heads: int) -> tuple[int, ...]:
    return shape[1:] if path == "positions/positions" else by_head(path, shape, num_heads)


def _require_plain(name: str, backbone: Any, classifier: Any | None) -> tuple[str, ...]:
    """Refuse what our archs have nothing for; what a user should know of the rest."""
    rows, columns = backbone.patch_size
    laws = [
        (backbone.use_class_token, "a class token", "use_class_token=False"),
        (rows == columns, "square patches", f"patch_size={rows}x{columns}"),
    ]
    notes: list[str] = []
    if classifier:
        activation = classifier.activation
        laws += [
            (classifier.pooling == "token", "the class token's state at the head", f"pooling={classifier.pooling!r}"),
            (classifier.intermediate_dim is None, "nothing between norm and head", f"intermediate_dim={classifier.intermediate_dim}"),
            (
                activation in (None, "linear", "softmax"),
                "logits or a softmax at the end",
                f"activation={activation!r}",
            ),
        ]
        if activation == "softmax":
            notes.append("the softmax at its end is left out: the model answers with logits")
        if classifier.preprocessor is not None:
            notes.append("its preprocessor is left out: give the images as that hands them on")
    for holds, law, value in laws:
        if not holds:
            raise ConfigError(f"our archs have {law}, but {name} has {value}")
    return tuple(notes)


def _kind(path: Path) -> str:
    """The registered name of what a path holds, read without loading it."""
    require_modest_zip(path)
    try:
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
        else:
            task = path / "task.json"
            config = json.loads((task if task.exists() else path / "config.json").read_text(encoding="utf-8"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"a preset's folder or a .keras file must hold a readable config.json, but {path} does not: {error}") from None
    kind = str(config.get("registered_name") or config.get("class_name")) if isinstance(config, dict) else "something else"
    if kind not in (CLASSIFIER, BACKBONE):
        raise ConfigError(f"what is imported from Keras must be keras-hub's ViTImageClassifier or ViTBackbone, but {path} holds {kind!r}")
    return kind


def _library() -> Any:
    try:
        import keras_hub
    except ModuleNotFoundError as error:
        raise MissingBackendError(f'keras-hub\'s models need keras-hub ({error}); `pip install "fvsearch[import]"` installs it') from None
    return keras_hub


def _numpy(weight: Any) -> Any:
    from keras import ops

    return ops.convert_to_numpy(weight)
