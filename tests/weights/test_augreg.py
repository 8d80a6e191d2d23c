"""The original ViTs' .npz, against a forward pass written from Flax's definitions, and against timm's own loader of such files."""

import io
import math

import ml_dtypes
import numpy as np
import pytest
import twins
import vits

from fvsearch.errors import ConfigError
from fvsearch.weights.card import read_model
from fvsearch.weights.foreign import Told
from fvsearch.weights.importing import import_model, read_source

SQUARE = vits.SIZES["square"]


def flax_logits(arrays, image, old):
    """Logits of one image in float64: heads kept apart, the approximate gelu, epsilon 1e-6; it knows nothing of our paths."""
    tree = {name: value.astype(np.float64) for name, value in arrays.items()}
    attention, dense, norm = (1, 3, 2) if old else (0, 0, 1)

    def normed(x, name):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * tree[f"{name}/scale"] + tree[f"{name}/bias"]

    size = tree["embedding/kernel"].shape[0]
    patches = [
        np.einsum("hwc,hwcd->d", image[top : top + size, left : left + size], tree["embedding/kernel"]) + tree["embedding/bias"]
        for top in range(0, image.shape[0], size)
        for left in range(0, image.shape[1], size)
    ]
    if old:
        x = np.concatenate([tree["cls"][0], patches]) + tree["Transformer/posembed_input/pos_embedding"][0]
    else:
        x = np.concatenate([tree["cls"][0], patches + tree["pos_embedding"][0]])
    block = 0
    while f"Transformer/encoderblock_{block}/LayerNorm_0/scale" in tree:
        name = f"Transformer/encoderblock_{block}"
        attends, h = f"{name}/MultiHeadDotProductAttention_{attention}", normed(x, f"{name}/LayerNorm_0")
        q, k, v = (np.einsum("nd,dhe->hne", h, tree[f"{attends}/{p}/kernel"]) + tree[f"{attends}/{p}/bias"][:, None] for p in vits.QKV)
        weights = twins.softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        x = x + np.einsum("hne,hed->nd", weights @ v, tree[f"{attends}/out/kernel"]) + tree[f"{attends}/out/bias"]
        hidden = normed(x, f"{name}/LayerNorm_{norm}") @ tree[f"{name}/MlpBlock_{dense}/Dense_0/kernel"]
        hidden = hidden + tree[f"{name}/MlpBlock_{dense}/Dense_0/bias"]
        hidden = 0.5 * hidden * (1 + np.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
        x = x + hidden @ tree[f"{name}/MlpBlock_{dense}/Dense_1/kernel"] + tree[f"{name}/MlpBlock_{dense}/Dense_1/bias"]
        block += 1
    return normed(x[0], "Transformer/encoder_norm") @ tree["head/kernel"] + tree["head/bias"]


@pytest.mark.parametrize(("name", "old"), [("square", True), ("oblong", False), ("odd heads", True)])
def test_logits_are_flaxs(name, old, tmp_path):
    size = vits.SIZES[name]
    arrays = vits.augreg_arrays(size, old, class_position=old)
    np.savez(tmp_path / "vit.npz", **{("" if old else "params/") + key: value for key, value in arrays.items()})
    found = import_model(tmp_path / "vit.npz", tmp_path / "ours", Told(image_size=size["image"]))
    (stage,) = found.card.arch.stages
    assert (stage.depth, stage.width, stage.mlp_dim, stage.num_heads) == (size["depth"], size["width"], size["mlp"], size["heads"])
    assert (found.card.arch.activation, found.card.arch.norm_epsilon) == ("gelu_tanh", 1e-6)
    batch = vits.images(size, 2)
    expected = [flax_logits(arrays, image.astype(np.float64), old) for image in batch]
    np.testing.assert_allclose(read_model(tmp_path / "ours")[1].predict_on_batch(batch), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("old", [True, False])
def test_logits_are_those_of_timms_loader(old, tmp_path):
    """timm gives such weights the exact gelu, so here that is said."""
    np.savez(tmp_path / "vit.npz", **vits.augreg_arrays(SQUARE, old, class_position=old))
    theirs = vits.timm_vit(SQUARE, no_embed_class=not old)
    theirs.load_pretrained(str(tmp_path / "vit.npz"))
    import_model(tmp_path / "vit.npz", tmp_path / "ours", Told(activation="gelu"))
    batch = vits.images(SQUARE)
    ours = read_model(tmp_path / "ours")[1].predict_on_batch(batch)
    np.testing.assert_allclose(ours, vits.timm_logits(theirs, batch), rtol=0, atol=1e-4)


@pytest.mark.once
def test_what_no_shape_tells_is_said_and_heads_are_told(tmp_path):
    np.savez(tmp_path / "vit.npz", **vits.augreg_arrays(SQUARE, old=False, class_position=False))
    found = read_source(tmp_path / "vit.npz", Told())
    assert found.assumed == ("images of 32x32, a square (--image-size)",)
    assert found.notes == ("the class token has no position there: zero here",)
    assert found.told == Told(num_heads=1)
    assert not found.weights["positions/positions"][0, 0].any() and found.weights["positions/positions"][0, 1:].all()


@pytest.mark.once
@pytest.mark.parametrize("root", ["params/", "opt/target/", ""])
def test_the_model_is_found_below_its_root_and_blocks_may_be_stacked(root, tmp_path):
    arrays = vits.augreg_arrays(SQUARE)
    rest = [key.removeprefix("Transformer/encoderblock_0/") for key in arrays if key.startswith("Transformer/encoderblock_0/")]
    stacked = {key: value for key, value in arrays.items() if "encoderblock" not in key}
    for key in rest:
        stacked[f"Transformer/encoderblock/{key}"] = np.stack([arrays[f"Transformer/encoderblock_{block}/{key}"] for block in range(2)])
    others = {"opt/state/step": np.zeros(())} if root else {}
    np.savez(tmp_path / "stacked.npz", **others, **{root + key: value for key, value in stacked.items()})
    np.savez(tmp_path / "vit.npz", **arrays)
    found, wanted = (read_source(tmp_path / name, Told()).weights for name in ("stacked.npz", "vit.npz"))
    assert found.keys() == wanted.keys()
    for path, value in found.items():
        np.testing.assert_array_equal(value, wanted[path], err_msg=path)


@pytest.mark.once
def test_bfloat16_is_read_as_such(tmp_path):
    arrays = {key: value.astype(ml_dtypes.bfloat16) for key, value in vits.augreg_arrays(SQUARE).items()}
    np.savez(tmp_path / "vit.npz", **{key: value.view("V2") for key, value in arrays.items()})
    found = read_source(tmp_path / "vit.npz", Told())
    np.testing.assert_array_equal(found.weights["head/kernel"], arrays["head/kernel"].astype(np.float32))


def _pickled(arrays):
    arrays["head/bias"] = np.array([{"an": "object"}], dtype=object)


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda arrays: arrays.update({"pre_logits/kernel": np.zeros((64, 64))}),
            "no layer between norm and head, and .* `pre_logits/kernel`",
        ),
        (lambda arrays: arrays.update({"MAPHead_0/probe": np.zeros((1, 1, 64))}), "no attention pooling, and .* holds `MAPHead_0/probe`"),
        (lambda arrays: arrays.update({"conv_root/kernel": np.zeros((7, 7, 3, 64))}), "no CNN in front of the patches"),
        (lambda arrays: arrays.pop("cls"), "must hold `cls`"),
        (lambda arrays: arrays.pop("Transformer/posembed_input/pos_embedding"), "must hold `Transformer/posembed_input/pos_embedding`"),
        (lambda arrays: arrays.pop("embedding/kernel"), "must hold `embedding/kernel`"),
        (lambda arrays: arrays.update({"cls": np.zeros((1, 2, 64))}), r"`cls` must have shape \(1, 1, 64\).* but it is \(1, 2, 64\)"),
        (lambda arrays: arrays.update({"embedding/kernel": np.zeros((8, 4, 3, 64))}), r"must have shape \(8, 8, 3, 64\)"),
        (_pickled, "does not read as an .npz of arrays: Object arrays cannot be loaded"),
    ],
)
def test_what_our_archs_cannot_carry_is_refused_by_name(change, sentence, tmp_path):
    arrays = vits.augreg_arrays(SQUARE)
    change(arrays)
    np.savez(tmp_path / "vit.npz", **arrays)
    with pytest.raises(ConfigError, match=sentence):
        read_source(tmp_path / "vit.npz", Told())


@pytest.mark.once
@pytest.mark.parametrize("content", [b"", b"no zip", "truncated", "damaged", "one array"])
def test_a_file_that_is_no_npz_is_one_sentence(content, tmp_path):
    whole = io.BytesIO()
    if content == "one array":
        np.save(whole, np.zeros(3))
        content = whole.getvalue()
    elif content == "truncated":
        np.savez(whole, **vits.augreg_arrays(SQUARE))
        content = whole.getvalue()[:5000]
    elif content == "damaged":
        np.savez_compressed(whole, **vits.augreg_arrays(SQUARE))
        content = whole.getvalue()[:200] + b"\xff" * 50 + whole.getvalue()[250:]
    (tmp_path / "vit.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"vit\.npz does not read as an \.npz of arrays") as caught:
        read_source(tmp_path / "vit.npz", Told())
    assert "\n" not in str(caught.value)


@pytest.mark.once
def test_heads_that_the_file_tells_are_not_to_be_contradicted(tmp_path):
    np.savez(tmp_path / "vit.npz", **vits.augreg_arrays(SQUARE))
    with pytest.raises(ConfigError, match="`num_heads` must be what the file says or be left out, but got 2 where it says 1"):
        import_model(tmp_path / "vit.npz", tmp_path / "ours", Told(num_heads=2))
