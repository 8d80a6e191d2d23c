"""timm's ViTs, as PyTorch runs them, against what their state dicts become here; and back, bit for bit."""

import functools

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch
import vits

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.weights.card import ModelCard, read_model, write_model
from fvsearch.weights.exporting import export_model
from fvsearch.weights.foreign import Told
from fvsearch.weights.importing import import_model, read_source

timm = vits.import_timm()
SQUARE = vits.SIZES["square"]
SAID = {"square": Told(), "oblong": Told(image_size=(12, 20)), "odd heads": Told(num_heads=3)}


def save(model, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize(("name", "suffix"), list(zip(vits.SIZES, [".safetensors", ".pth", ".pt"], strict=True)))
def test_logits_are_timms(name, suffix, tmp_path):
    size = vits.SIZES[name]
    theirs = vits.timm_vit(size)
    found = import_model(save(theirs, tmp_path / f"vit{suffix}"), tmp_path / "ours", SAID[name])
    card, ours = read_model(tmp_path / "ours")
    stage = Stage(depth=size["depth"], width=size["width"], mlp_dim=size["mlp"], num_heads=size["heads"])
    assert card.arch == Arch(patch_size=size["patch"], stages=(stage,))
    assert card.image_shape == (*size["image"], size["channels"])
    assert card == found.card
    batch = vits.images(size)
    np.testing.assert_allclose(ours.predict_on_batch(batch), vits.timm_logits(theirs, batch), rtol=0, atol=1e-4)


def test_what_no_shape_tells_is_said(tmp_path):
    path = save(vits.timm_vit(SQUARE), tmp_path / "vit.pth")
    found = import_model(path, tmp_path / "ours")
    assert found.assumed == (
        "images of 32x32, a square (--image-size)",
        "the head reads the class token, for a state dict does not tell: with timm's global_pool='avg' the logits would be others",
        "images that were scaled to [-1, 1] (--normalization)",
        "num_heads 1, width / 64 (--num-heads)",
        "activation gelu, as timm's ViTs have it (--activation)",
        "norm_epsilon 1e-06, as timm's ViTs have it (--norm-epsilon)",
    )
    assert found.card.evidence["assumed"] == list(found.assumed)


def test_a_sources_normalisation_is_made_up_for(tmp_path):
    theirs = vits.timm_vit(SQUARE)
    found = import_model(save(theirs, tmp_path / "vit.pth"), tmp_path / "ours", Told(normalization="imagenet"))
    assert "the patches' weights make up for it" in found.notes[-1] and not any("--normalization" in line for line in found.assumed)
    pictures = np.random.default_rng(0).random((3, *SQUARE["image"], 3), np.float32)
    normalised = (pictures - np.float32(timm.data.IMAGENET_DEFAULT_MEAN)) / np.float32(timm.data.IMAGENET_DEFAULT_STD)
    ours = read_model(tmp_path / "ours")[1].predict_on_batch(2 * pictures - 1)
    np.testing.assert_allclose(ours, vits.timm_logits(theirs, normalised), rtol=0, atol=1e-4)
    grey = save(vits.timm_vit(vits.SIZES["oblong"]), tmp_path / "grey.pth")
    with pytest.raises(ConfigError, match="`normalization` is of images with 3 channels, but got 'clip' for 1"):
        import_model(grey, tmp_path / "grey", Told(image_size=(12, 20), normalization="clip"))


def test_activation_and_epsilon_may_be_said(tmp_path):
    theirs = vits.timm_vit(SQUARE, act_layer="gelu_tanh", norm_layer=lambda width, **where: timm.layers.LayerNorm(width, eps=1e-2, **where))
    import_model(save(theirs, tmp_path / "vit.pth"), tmp_path / "ours", Told(activation="gelu_tanh", norm_epsilon=1e-2))
    _, ours = read_model(tmp_path / "ours")
    batch = vits.images(SQUARE)
    np.testing.assert_allclose(ours.predict_on_batch(batch), vits.timm_logits(theirs, batch), rtol=0, atol=1e-4)


def test_what_is_zero_there_is_zero_here_and_said(tmp_path):
    theirs = vits.timm_vit(SQUARE, qkv_bias=False, no_embed_class=True)
    found = import_model(save(theirs, tmp_path / "vit.pth"), tmp_path / "ours")
    assert found.notes == (
        "the source has no blocks.*.attn.qkv.bias: zero here, and trained from there on",
        "the class token has no position there: zero here",
    )
    batch = vits.images(SQUARE)
    np.testing.assert_allclose(read_model(tmp_path / "ours")[1].predict_on_batch(batch), vits.timm_logits(theirs, batch), rtol=0, atol=1e-4)


@pytest.mark.once
@pytest.mark.parametrize("nest", ["state_dict", "model", "model_ema"])
def test_a_checkpoints_model_is_taken_from_its_nest(nest, tmp_path):
    state = vits.timm_vit(SQUARE).state_dict()
    others = {"state_dict": {"wrong": torch.zeros(1)}} if nest == "model_ema" else {}
    torch.save(others | {nest: {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, tmp_path / "vit.pth")
    found = read_source(tmp_path / "vit.pth", Told())
    assert found.notes == (f"of what the checkpoint holds, `{nest}` was taken",)
    np.testing.assert_array_equal(found.weights["head/kernel"], state["head.weight"].numpy().T)


@pytest.mark.once
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_halves_are_widened(suffix, tmp_path):
    model = vits.timm_vit(SQUARE).to(torch.bfloat16)
    found = read_source(save(model, tmp_path / f"vit{suffix}"), Told())
    np.testing.assert_array_equal(found.weights["head/kernel"], model.head.weight.detach().float().numpy().T)
    assert found.weights["head/kernel"].dtype == np.float32


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reg_tokens": 2}, "no register tokens, and .* holds `reg_token`"),
        ({"init_values": 1e-3}, "no layer scale, and .* holds `blocks.0.ls1.gamma`"),
        ({"qk_norm": True}, "no query-key norm, and .* holds `blocks.0.attn.q_norm.weight`"),
        ({"scale_mlp_norm": True}, "no norm inside of attention or MLP"),
        ({"global_pool": "avg"}, "no global average pooling, and .* holds `fc_norm.weight`"),
        ({"global_pool": "map"}, "no attention pooling"),
        ({"pre_norm": True}, "no norm before the blocks, and .* holds `norm_pre.weight`"),
        ({"class_token": False, "global_pool": "avg", "fc_norm": False}, "must hold `cls_token`"),
        ({"pos_embed": "none"}, "must hold `pos_embed`"),
        ({"mlp_layer": timm.layers.SwiGLU}, "no gated MLP, and .* holds `blocks.0.mlp.fc1_g.weight`"),
        ({"mlp_layer": timm.layers.GluMlp}, "`blocks.0.mlp.fc2.weight` must have shape"),
        ({"final_norm": False}, "must hold `norm.weight`"),
        ({"norm_layer": timm.layers.RmsNorm}, "without a bias may be another kind of norm, but .* has no `blocks.0.norm1.bias`"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_our_archs_cannot_carry_is_refused_by_name(changes, sentence, tmp_path):
    path = save(vits.timm_vit(SQUARE, **changes), tmp_path / "vit.pth")
    with pytest.raises(ConfigError, match=sentence):
        read_source(path, Told())


@pytest.mark.once
def test_a_distilled_model_is_refused(tmp_path):
    model = timm.models.deit.VisionTransformerDistilled(img_size=32, patch_size=8, embed_dim=64, depth=1, num_heads=1)
    with pytest.raises(ConfigError, match=r"no distillation token, and .* holds `dist_token`"):
        read_source(save(model, tmp_path / "vit.pth"), Told())


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda state: state.pop("blocks.1.norm2.weight"), "must hold `blocks.1.norm2.weight`"),
        (
            lambda state: state.update({"blocks.0.mlp.fc2.weight": torch.zeros(64, 96)}),
            r"must have shape \(64, 128\).* but it is \(64, 96\)",
        ),
        (lambda state: state.update({"blocks.0.norm1.bias": torch.zeros(64, dtype=torch.int32)}), "must hold floats, but it holds int32"),
        (lambda state: state.update({"mask_token": torch.zeros(1)}), "nothing for `mask_token`"),
        (lambda state: state.update({"pos_embed": torch.zeros(1, 7, 64)}), "must come with --image-size HxW, but .* has 7 of them"),
        (lambda state: state.pop("patch_embed.proj.weight"), "must hold `patch_embed.proj.weight`"),
        (lambda state: [state.pop(key) for key in list(state) if key.startswith("blocks.")], "must hold `blocks.0.mlp.fc1.weight`"),
    ],
)
def test_a_state_dict_that_is_not_whole_is_refused(change, sentence, tmp_path):
    state = vits.timm_vit(SQUARE).state_dict()
    change(state)
    torch.save(state, tmp_path / "vit.pth")
    with pytest.raises(ConfigError, match=sentence):
        read_source(tmp_path / "vit.pth", Told())


class Harmful:
    def __reduce__(self):
        return print, ("an import must run no code",)


@pytest.mark.once
@pytest.mark.parametrize("content", [Harmful(), {"state_dict": {"weight": Harmful()}}, [1, 2], {}])
def test_only_tensors_are_unpickled(content, tmp_path, capsys):
    torch.save(content, tmp_path / "vit.pth")
    with pytest.raises(ConfigError, match=r"vit\.pth"):
        read_source(tmp_path / "vit.pth", Told())
    assert capsys.readouterr().out == ""


@pytest.mark.once
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_one_sentence(suffix, tmp_path):
    path = save(vits.timm_vit(SQUARE), tmp_path / f"vit{suffix}")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ConfigError, match=rf"vit\{suffix} does not (read|load)") as caught:
        read_source(path, Told())
    assert "\n" not in str(caught.value)


def test_a_source_without_a_head_gets_a_fresh_one_only_when_asked(tmp_path):
    path = save(vits.timm_vit(SQUARE, num_classes=0), tmp_path / "vit.pth")
    with pytest.raises(ConfigError, match="has none; --classes N gives it a fresh one"):
        import_model(path, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    found = import_model(path, tmp_path / "ours", classes=4)
    assert found.notes == ("the head is fresh, 4 classes, untrained: the source has none",)
    assert read_model(tmp_path / "ours")[1].output_shape == (None, 4)


def plain_model(folder, stages, **changes):
    """A folder of a plain ViT of ours, shaken."""
    stage = Stage(depth=1, width=96, mlp_dim=100, num_heads=3)
    arch = Arch(patch_size=4, stages=tuple(msgspec.structs.replace(stage, depth=depth) for depth in stages), **changes)
    card = ModelCard(arch=arch, image_size=(8, 12), channels=2, num_classes=5)
    model = vits.shaken(build_model(arch, image_shape=card.image_shape, num_classes=5, seed=3))
    write_model(folder, model, card)
    return card, model


def test_ours_loads_strictly_in_timm_and_comes_back_bit_for_bit(tmp_path):
    card, model = plain_model(tmp_path, (2, 1), activation="gelu_tanh", norm_epsilon=1e-3)
    made = export_model(tmp_path, "timm")
    theirs = timm.models.VisionTransformer(
        img_size=(8, 12),
        patch_size=4,
        in_chans=2,
        num_classes=5,
        embed_dim=96,
        depth=3,
        num_heads=3,
        mlp_ratio=100 / 96 + 1e-9,
        act_layer="gelu_tanh",
        norm_layer=lambda width, **where: timm.layers.LayerNorm(width, eps=1e-3, **where),
    ).eval()
    theirs.load_state_dict(safetensors.torch.load_file(made.path), strict=True)
    batch = vits.images({"image": (8, 12), "channels": 2})
    np.testing.assert_allclose(vits.timm_logits(theirs, batch), model.predict_on_batch(batch), rtol=0, atol=1e-4)
    again = import_model(made.path, tmp_path / "again")
    assert again.card.arch.stages == (msgspec.structs.replace(card.arch.stages[0], depth=3),)
    assert (again.card.arch.activation, again.card.arch.norm_epsilon, again.card.image_size) == ("gelu_tanh", 1e-3, (8, 12))
    assert again.assumed == ()
    for ours, back in zip(model.get_weights(), read_model(tmp_path / "again")[1].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, back)


def test_the_python_it_names_builds_the_model(tmp_path):
    plain_model(tmp_path, (1,), activation="relu", norm_epsilon=1e-4)
    usage = export_model(tmp_path, "timm").usage
    assert str(eval(usage, {"timm": timm, "functools": functools, "safetensors": safetensors})) == "<All keys matched successfully>"
