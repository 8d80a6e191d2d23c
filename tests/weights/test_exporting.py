"""A Funnel-ViT as ONNX and as a SavedModel, run by their own runtimes; who cannot says who can."""

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
import vits

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError, MissingBackendError, RunError
from fvsearch.models import build_model
from fvsearch.weights import exporting
from fvsearch.weights.card import ModelCard, write_model
from fvsearch.weights.exporting import export_model

BACKEND = keras.backend.backend()


def stage(depth, width, num_heads, **pooling):
    return Stage(depth=depth, width=width, mlp_dim=2 * width, num_heads=num_heads, **pooling)


FUNNEL = Arch(patch_size=2, stages=(stage(1, 16, 2), stage(1, 24, 3, pool_stride=2), stage(1, 24, 3, pool_stride=2, pooling="max")))
NAIVE = Arch(patch_size=2, stages=(stage(1, 16, 2), stage(1, 16, 2, pool_stride=4)), pool_query_only=False, activation="gelu_tanh")
CARD = ModelCard(arch=FUNNEL, image_size=(6, 10), channels=3, num_classes=5)


def make(folder: Path, arch: Arch = FUNNEL, **arguments):
    """A model's folder: patches that leave a ragged window, every weight shaken."""
    card = ModelCard(arch=arch, image_size=CARD.image_size, channels=3, num_classes=5)
    model = vits.shaken(build_model(arch, image_shape=card.image_shape, num_classes=5, seed=1, **arguments))
    folder.mkdir(exist_ok=True)
    write_model(folder, model, card)
    return model


def run_onnx(path, batch):
    session = importlib.import_module("onnxruntime").InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def run_saved_model(path, batch):
    loaded = importlib.import_module("tensorflow").saved_model.load(str(path))
    return loaded.serve(batch).numpy()


@pytest.mark.parametrize(
    ("target", "run", "backends"),
    [("onnx", run_onnx, ["torch", "tensorflow"]), ("saved-model", run_saved_model, ["tensorflow"])],
    ids=["onnx", "saved-model"],
)
@pytest.mark.parametrize("arch", [FUNNEL, NAIVE], ids=["funnel", "naive"])
def test_its_runtime_answers_as_the_model(target, run, backends, arch, tmp_path):
    model = make(tmp_path, arch, dropout=0.1, stochastic_depth=0.1)
    if BACKEND not in backends:
        with pytest.raises(MissingBackendError, match=f"but the backend is {BACKEND}; give --backend {backends[0]}"):
            export_model(tmp_path, target)
        assert len(list(tmp_path.iterdir())) == 2, "nothing half-written"
        return
    made = export_model(tmp_path, target)
    assert made.difference < 1e-4
    for count in (1, 5):
        batch = vits.noise((count, *CARD.image_shape), seed=count, scale=1.0)
        np.testing.assert_allclose(run(made.path, batch), model.predict_on_batch(batch), rtol=0, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["model.keras", "model.toml", made.path.name])


def test_what_answers_otherwise_is_not_kept(tmp_path, monkeypatch):
    make(tmp_path)

    def wrong(card, model, draft, path):
        draft.write_text("wrong")
        return exporting.Made(lambda images: np.zeros((2, 5), np.float32), "")

    monkeypatch.setitem(exporting.TARGETS, "timm", ("timm.safetensors", wrong))
    with pytest.raises(RunError, match=r"must answer alike as timm, but its logits are up to .* apart; nothing is kept"):
        export_model(tmp_path, "timm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "model.toml"]


@pytest.mark.parametrize("target", ["timm", "keras-hub"])
@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ((stage(1, 16, 2), stage(1, 16, 2, pool_stride=2)), r"stages do not pool, but got pool_stride=2 at stages\[1\]"),
        ((stage(1, 16, 2), stage(1, 24, 2)), r"blocks are all alike, but got width=24 at stages\[1\] after 16"),
        ((stage(1, 16, 2), stage(1, 16, 4)), r"blocks are all alike, but got num_heads=4 at stages\[1\] after 2"),
    ],
    ids=["pools", "width", "heads"],
)
def test_what_is_no_plain_vit_is_refused(target, stages, sentence, tmp_path):
    make(tmp_path, Arch(patch_size=2, stages=stages))
    with pytest.raises(ConfigError, match=f"{target} has plain ViTs alone, whose {sentence}"):
        export_model(tmp_path, target)


def test_what_is_there_is_overwritten_only_when_told(tmp_path):
    make(tmp_path, Arch(patch_size=2, stages=(stage(1, 16, 2),)))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "old").touch()
    with pytest.raises(ConfigError, match="taken must be new, but it exists; --force overwrites it, -o names another"):
        export_model(tmp_path, "keras-hub", taken)
    export_model(tmp_path, "keras-hub", taken, overwrite=True)
    assert not (taken / "old").exists() and (taken / "task.json").exists()
    with pytest.raises(ConfigError, match="cannot write /proc/x/timm"):
        export_model(tmp_path, "timm", Path("/proc/x/timm.safetensors"))


def test_an_unknown_target_is_told_what_it_may_have_meant(tmp_path):
    with pytest.raises(ConfigError, match=r"`to` must be one of timm, keras-hub, onnx, saved-model, but got 'onx' \(did you mean 'onnx'"):
        export_model(tmp_path, "onx")
