"""keras-hub's ViTs against what their presets and files become here; and back, bit for bit."""

import json
import zipfile

import keras
import keras_hub
import numpy as np
import pytest
import vits

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.weights.card import ModelCard, read_model, write_model
from fvsearch.weights.exporting import export_model
from fvsearch.weights.foreign import Told
from fvsearch.weights.importing import import_model, read_source

SQUARE = vits.SIZES["square"]


def save(model, folder, name):
    """As a `.keras` file, or as a preset where the name has no suffix."""
    path = folder / name
    if path.suffix:
        model.save(path)
    else:
        model.save_to_preset(str(path))
    return path


@pytest.mark.parametrize(("name", "file"), [("square", "vit.keras"), ("oblong", "preset"), ("odd heads", "preset")])
def test_logits_are_keras_hubs(name, file, tmp_path):
    size = vits.SIZES[name]
    theirs = vits.keras_hub_classifier(size, vits.keras_hub_vit(size, layer_norm_epsilon=1e-3))
    found = import_model(save(theirs, tmp_path, file), tmp_path / "ours")
    stage = Stage(depth=size["depth"], width=size["width"], mlp_dim=size["mlp"], num_heads=size["heads"])
    assert found.card.arch == Arch(patch_size=size["patch"], stages=(stage,), norm_epsilon=1e-3)
    assert found.card.image_shape == (*size["image"], size["channels"])
    assert found.assumed == ()
    batch = vits.images(size)
    ours = read_model(tmp_path / "ours")[1].predict_on_batch(batch)
    # In float32 sums in another order move logits beyond 1 by as much relative to them.
    np.testing.assert_allclose(ours, theirs.predict_on_batch(batch), rtol=1e-4, atol=1e-4)


def test_a_backbone_is_taken_with_a_fresh_head(tmp_path):
    backbone = vits.keras_hub_vit(SQUARE, use_mha_bias=False, use_patch_bias=False)
    for file in ("vit.keras", "preset"):
        path = save(backbone, tmp_path, file)
        with pytest.raises(ConfigError, match="has none; --classes N gives it a fresh one"):
            import_model(path, tmp_path / "ours", overwrite=True)
        found = import_model(path, tmp_path / "ours", classes=4, overwrite=True)
        assert "the head is fresh, 4 classes, untrained: the source has none" in found.notes
        assert "vit_encoder/transformer_block_*/mha/query/bias" in found.notes[0]
        _, ours = read_model(tmp_path / "ours")
        states = keras.Model(ours.input, ours.get_layer("class_state").output)
        batch = vits.images(SQUARE)
        np.testing.assert_allclose(states.predict_on_batch(batch), backbone.predict_on_batch(batch)[:, 0], rtol=0, atol=1e-4)


def test_a_softmax_is_left_out_and_a_preprocessor_too_and_both_are_said(tmp_path):
    theirs = vits.keras_hub_classifier(
        SQUARE,
        activation="softmax",
        preprocessor=keras_hub.models.ViTImageClassifierPreprocessor(
            keras_hub.layers.ViTImageConverter(image_size=(32, 32), scale=1 / 255)
        ),
    )
    found = import_model(save(theirs, tmp_path, "preset"), tmp_path / "ours")
    assert found.notes == (
        "the softmax at its end is left out: the model answers with logits",
        "its preprocessor is left out: give the images as that hands them on",
    )
    batch = vits.images(SQUARE)
    logits = read_model(tmp_path / "ours")[1].predict_on_batch(batch)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(shares, keras.ops.convert_to_numpy(theirs(batch)), rtol=0, atol=1e-4)  # without the preprocessor


@pytest.mark.once
@pytest.mark.parametrize(
    ("of_backbone", "of_classifier", "sentence"),
    [
        ({"use_class_token": False}, {"pooling": "gap"}, "our archs have a class token, but .* has use_class_token=False"),
        ({"patch_size": (8, 16)}, {}, "our archs have square patches, but .* has patch_size=8x16"),
        ({}, {"pooling": "gap"}, "has pooling='gap'"),
        ({}, {"intermediate_dim": 5}, "has intermediate_dim=5"),
        ({}, {"activation": "sigmoid"}, "has activation='sigmoid'"),
    ],
)
def test_what_our_archs_cannot_carry_is_refused_by_name(of_backbone, of_classifier, sentence, tmp_path):
    theirs = vits.keras_hub_classifier(SQUARE, vits.keras_hub_vit(SQUARE, **of_backbone), **of_classifier)
    with pytest.raises(ConfigError, match=sentence):
        read_source(save(theirs, tmp_path, "vit.keras"), Told())


@pytest.mark.once
def test_the_user_is_not_to_contradict_the_file(tmp_path):
    path = save(vits.keras_hub_classifier(SQUARE), tmp_path, "vit.keras")
    for said, sentence in (
        (Told(num_heads=2), "`num_heads` must be what the file says or be left out, but got 2 where it says 1"),
        (Told(image_size=(64, 64)), "`image_size` must be what the file says or be left out, but got .64, 64. where it says .32, 32."),
        (Told(activation="relu"), "`activation` must be what the file says"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            import_model(path, tmp_path / "ours", said)
    with pytest.raises(ConfigError, match=r"`classes` must be left out where the source has a head, but got 3, and .* has 10"):
        import_model(path, tmp_path / "ours", classes=3)
    assert not (tmp_path / "ours").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path), "must be keras-hub's .* holds 'Sequential'"),
        (lambda path: path.write_bytes(b"no zip"), "must hold a readable config.json"),
        (lambda path: path.write_bytes(b""), "must hold a readable config.json"),
        (lambda path: zipfile.ZipFile(path, "w").writestr("config.json", "[]"), "holds 'something else'"),
        (
            lambda path: zipfile.ZipFile(path, "w").writestr("config.json", '{"registered_name": "keras_hub>ViTBackbone"}'),
            "does not load as",
        ),
    ],
)
def test_a_file_that_is_something_else_is_one_sentence(make, sentence, tmp_path):
    make(tmp_path / "vit.keras")
    with pytest.raises(ConfigError, match=sentence) as caught:
        read_source(tmp_path / "vit.keras", Told())
    assert "\n" not in str(caught.value)


@pytest.mark.once
def test_a_folder_that_is_no_preset_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"must hold a readable config.json"):
        read_source(tmp_path, Told())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ConfigError, match=r"must be keras-hub's ViTImageClassifier or ViTBackbone, but .* holds 'None'"):
        read_source(tmp_path, Told())


@pytest.mark.parametrize("file", ["back.keras", "preset"])
def test_ours_comes_back_bit_for_bit(file, tmp_path):
    stage = Stage(depth=1, width=48, mlp_dim=80, num_heads=3)
    card = ModelCard(arch=Arch(patch_size=4, stages=(stage, stage), norm_epsilon=1e-3), image_size=(8, 12), channels=2, num_classes=5)
    model = vits.shaken(build_model(card.arch, image_shape=card.image_shape, num_classes=5, seed=3))
    write_model(tmp_path, model, card)
    made = export_model(tmp_path, "keras-hub", tmp_path / file)
    assert made.difference < 1e-4
    again = import_model(made.path, tmp_path / "again")
    assert again.card.arch == Arch(patch_size=4, stages=(Stage(depth=2, width=48, mlp_dim=80, num_heads=3),), norm_epsilon=1e-3)
    for ours, back in zip(model.get_weights(), read_model(tmp_path / "again")[1].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, back)


def test_another_activation_than_theirs_is_refused(tmp_path):
    arch = Arch(patch_size=4, stages=(Stage(depth=1, width=8, mlp_dim=8, num_heads=1),), activation="gelu_tanh")
    card = ModelCard(arch=arch, image_size=(8, 8), channels=1, num_classes=3)
    write_model(tmp_path, build_model(arch, image_shape=card.image_shape, num_classes=3), card)
    with pytest.raises(ConfigError, match="keras-hub's ViTs have the exact gelu, but got activation='gelu_tanh'"):
        export_model(tmp_path, "keras-hub")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "model.toml"]
