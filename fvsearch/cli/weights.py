"""Commands about a model's folder: made of weights from outside, and handed to other libraries."""

import re
from pathlib import Path
from typing import Any

import click

from fvsearch.cli.common import backend_option, set_backend


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the model. [default: runs/NAME]")
@click.option("--classes", type=click.IntRange(1), help="Give a source without a head a fresh one.")
@click.option("--num-heads", type=click.IntRange(1), help="Of the attention. [default: the file's, else width / 64]")
@click.option("--image-size", metavar="N|HxW", help="Pixels of the images. [default: the file's, else a square]")
@click.option("--activation", type=click.Choice(["gelu", "gelu_tanh", "relu"]), help="[default: the file's, else the library's]")
@click.option("--norm-epsilon", type=float, help="Of the layer norms. [default: the file's, else the library's]")
@click.option(
    "--normalization",
    type=click.Choice(["inception", "imagenet", "clip"]),
    help="Of the source's images: inception is to [-1, 1]; DeiT's and DINO's are by imagenet's mean and deviation. [default: inception]",
)
@click.option("--force", is_flag=True, help="Overwrite a model that is in the folder.")
@backend_option
def import_(
    source: Path, out: Path | None, classes: int | None, image_size: str | None, force: bool, backend: str | None, **known: Any
) -> None:
    """Turn a pre-trained ViT into a model's folder: model.keras and model.toml.

    SOURCE is a preset's folder or .keras file of keras-hub, a timm state dict (.safetensors, .pt, .pth, .bin), or the .npz of the
    original ViTs (AugReg, big_vision). What the weights' shapes do not tell is assumed, and said.
    """
    from fvsearch.weights.foreign import Told

    said = Told(image_size=_height_and_width(image_size) if image_size else None, **known)
    set_backend(backend)
    from fvsearch.weights.importing import import_model

    found = import_model(source, out or Path("runs") / source.stem, said, classes=classes, overwrite=force)
    card, (stage,) = found.card, found.card.arch.stages
    click.echo(
        f"imported {card.source}: depth {stage.depth}, width {stage.width}, mlp_dim {stage.mlp_dim}, num_heads {stage.num_heads}, "
        f"patch_size {card.arch.patch_size}, images of {'x'.join(map(str, card.image_shape))}, {card.num_classes} classes"
    )
    for name, lines in (("assumed: ", found.assumed), ("note:    ", found.notes)):
        for line in lines:
            click.echo(f"{name} {line}")
    click.echo(f"model:    {found.model}")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, metavar="LIBRARY", help="timm, keras-hub, onnx or saved-model.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File, or folder, to write. [default: in DIR]")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@backend_option
def convert(folder: Path, target: str, output: Path | None, force: bool, backend: str | None) -> None:
    """Write the model in DIR for another library.

    To timm (.safetensors) and keras-hub (.keras, or a preset's folder) where the arch is a plain ViT; any arch to ONNX, from PyTorch and
    TensorFlow, and to TensorFlow's SavedModel, from TensorFlow. What is written is run, where this process can, and must answer as the
    model does.
    """
    from fvsearch.weights.card import read_card

    read_card(folder)
    set_backend(backend)
    from fvsearch.weights.exporting import export_model

    made = export_model(folder, target, output, overwrite=force)
    checked = "" if made.difference is None else f" (logits differ by {made.difference:.1e} at most)"
    click.echo(f"written: {made.path}{checked}\nload:    {made.usage}")


def _height_and_width(text: str) -> tuple[int, int]:
    """`224` to (224, 224), `224x192` to (224, 192)."""
    from fvsearch.errors import ConfigError

    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise ConfigError(f"`image_size` must read as N or HxW, such as 224 or 224x192, but got {text!r}")
    return int(match[1]), int(match[2] or match[1])
