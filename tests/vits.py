"""ViTs of other libraries for the tests, tiny and with every weight shaken, and the images they are asked about."""

import functools
import itertools
from importlib.metadata import version

import numpy as np

SIZES = {
    "square": {"image": (32, 32), "patch": 8, "channels": 3, "classes": 10, "width": 64, "depth": 2, "mlp": 128, "heads": 1},
    "oblong": {"image": (12, 20), "patch": 4, "channels": 1, "classes": 3, "width": 128, "depth": 3, "mlp": 200, "heads": 2},
    "odd heads": {"image": (32, 32), "patch": 16, "channels": 3, "classes": 7, "width": 72, "depth": 2, "mlp": 100, "heads": 3},
}


def noise(shape, seed, scale=0.2):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def images(size, count=3):
    return noise((count, *size["image"], size["channels"]), seed=99, scale=1.0)


@functools.cache
def import_timm():
    """timm, also where torchvision is built for CUDA and PyTorch is not: its import wants two operations declared, and no ViT uses them."""
    import torch

    if "+cpu" in version("torch") and "+cpu" not in version("torchvision"):
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    return timm


def timm_vit(size, **changes):
    """timm's VisionTransformer, in evaluation; changes are its constructor's."""
    import torch

    timm = import_timm()

    arguments = {
        "img_size": size["image"],
        "patch_size": size["patch"],
        "in_chans": size["channels"],
        "num_classes": size["classes"],
        "embed_dim": size["width"],
        "depth": size["depth"],
        "num_heads": size["heads"],
        "mlp_ratio": size["mlp"] / size["width"] + 1e-9,  # cut down to an integer there
    }
    model = timm.models.VisionTransformer(**arguments | changes).eval()
    with torch.no_grad():
        for seed, parameter in enumerate(model.parameters()):
            parameter.add_(torch.from_numpy(noise(tuple(parameter.shape), seed)))
    return model


def timm_logits(model, batch):
    """(batch, height, width, channels) to (batch, classes)."""
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())).numpy()


def keras_hub_vit(size, **changes):
    """keras-hub's backbone; changes are its constructor's."""
    import keras_hub

    arguments = {
        "image_shape": (*size["image"], size["channels"]),
        "patch_size": size["patch"],
        "num_layers": size["depth"],
        "num_heads": size["heads"],
        "hidden_dim": size["width"],
        "mlp_dim": size["mlp"],
    }
    return shaken(keras_hub.models.ViTBackbone(**arguments | changes))


def keras_hub_classifier(size, backbone=None, **changes):
    """keras-hub's classifier of such a backbone; changes are its constructor's."""
    import keras_hub

    return shaken(keras_hub.models.ViTImageClassifier(backbone or keras_hub_vit(size), **{"num_classes": size["classes"]} | changes))


def shaken(model, scale=0.2):
    """A Keras model, each of its weights moved."""
    model.set_weights([value + noise(value.shape, seed, scale) for seed, value in enumerate(model.get_weights())])
    return model


def augreg_arrays(size, old=True, class_position=True):
    """An original ViT's arrays: the names that AugReg's files have, or those of newer ones."""
    width, heads, mlp = size["width"], size["heads"], size["mlp"]
    attention, dense, norm = (1, 3, 2) if old else (0, 0, 1)
    patches = (size["image"][0] // size["patch"]) * (size["image"][1] // size["patch"])
    head_dim = width // heads
    shapes = {
        "cls": (1, 1, width),
        "embedding/kernel": (size["patch"], size["patch"], size["channels"], width),
        "embedding/bias": (width,),
        "Transformer/encoder_norm/scale": (width,),
        "Transformer/encoder_norm/bias": (width,),
        "head/kernel": (width, size["classes"]),
        "head/bias": (size["classes"],),
        "Transformer/posembed_input/pos_embedding" if old else "pos_embedding": (1, patches + class_position, width),
    }
    for block, (layer, kernel, bias) in itertools.product(
        range(size["depth"]),
        [
            *((f"MultiHeadDotProductAttention_{attention}/{part}", (width, heads, head_dim), (heads, head_dim)) for part in QKV),
            (f"MultiHeadDotProductAttention_{attention}/out", (heads, head_dim, width), (width,)),
            (f"MlpBlock_{dense}/Dense_0", (width, mlp), (mlp,)),
            (f"MlpBlock_{dense}/Dense_1", (mlp, width), (width,)),
            *((f"LayerNorm_{index}", None, (width,)) for index in (0, norm)),
        ],
    ):
        name = f"Transformer/encoderblock_{block}/{layer}"
        shapes |= {f"{name}/bias": bias, f"{name}/{'kernel' if kernel else 'scale'}": kernel or bias}
    return {name: noise(shape, seed) + name.endswith("scale") for seed, (name, shape) in enumerate(shapes.items())}


QKV = ("query", "key", "value")
