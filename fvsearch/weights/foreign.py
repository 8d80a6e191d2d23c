"""Weights from outside, as a reader of a format hands them on, and what the user says of them that no shape tells."""

import math
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from fvsearch.archs.arch import FAMILY, Activation, Arch, Stage
from fvsearch.archs.layout import DEFAULT_HEAD_DIM
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least
from fvsearch.weights.plain import Floats, Sizes

Normalization = Literal["inception", "imagenet", "clip"]

NORMALIZATIONS: dict[Normalization, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and standard deviation of red, green and blue in [0, 1], as timm has them; inception's are images in [-1, 1], which ours are."""


class Told(Record, frozen=True, kw_only=True):
    """What the shapes of weights do not tell, each as far as it is known: by the user, by the file, or by the habit of a library.

    Attributes:
        num_heads: Of every block.
        image_size: (height, width) of the images, in pixels.
        activation, norm_epsilon: As an arch has them.
        normalization: By what the images were normalised, a key of NORMALIZATIONS.
    """

    num_heads: int | None = None
    image_size: tuple[int, int] | None = None
    activation: Activation | None = None
    norm_epsilon: float | None = None
    normalization: Normalization | None = None

    def __post_init__(self) -> None:
        require_at_least(1, self, "num_heads")


class Foreign(NamedTuple):
    """A ViT from outside.

    Attributes:
        library: Whose, for readers: "timm".
        sizes: What the shapes tell.
        image_size: (height, width) of the images, in pixels.
        weights: By the paths of `plain.weight_shapes`, in those shapes.
        told: What the file tells beside.
        usual: What the library's ViTs have where neither file nor user tells.
        assumed, notes: What was taken for granted of the positions, and what else a user should know.
    """

    library: str
    sizes: Sizes
    image_size: tuple[int, int]
    weights: dict[str, Floats]
    told: Told
    usual: Told
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def settle_grid(rows: int, patch_size: int, image_size: tuple[int, int] | None, name: str) -> tuple[tuple[int, int], bool]:
    """The image's size that learned positions are of, and whether the class token has one of them.

    Args:
        rows: Of the positions.
        patch_size: Pixels per patch edge.
        image_size: (height, width) where it is known; else the grid counts as a square.
        name: Of the file, for errors.

    Raises:
        ConfigError: The rows are not that image's, or no square's.
    """
    if image_size is None:
        for of_class in (True, False):
            patches = rows - of_class
            if patches and math.isqrt(patches) ** 2 == patches:
                edge = math.isqrt(patches) * patch_size
                return (edge, edge), of_class
        raise ConfigError(f"positions of a grid that is no square must come with --image-size HxW, but {name} has {rows} of them")
    height, width = image_size
    if min(image_size) < 1 or height % patch_size or width % patch_size:
        raise ConfigError(
            f"`image_size` must divide by `patch_size`, but got {height}x{width} for {name}, whose patches are of {patch_size}"
        )
    patches = (height // patch_size) * (width // patch_size)
    if rows not in (patches, patches + 1):
        raise ConfigError(
            f"an image of {height}x{width} has {patches} patches of {patch_size} pixels, but {name} has {rows} positions; "
            "--image-size says which images they are of"
        )
    return image_size, rows == patches + 1


def settle_arch(found: Foreign, said: Told) -> tuple[Arch, tuple[str, ...]]:
    """The arch of a ViT from outside, and what was assumed for it, each with the option that says otherwise.

    Args:
        found: Of which file and library.
        said: By the user.

    Raises:
        ConfigError: The user contradicts the file, or the heads must be said and are not.
    """
    for name in Told.__struct_fields__:
        by_user, by_file = getattr(said, name), getattr(found.told, name)
        if None not in (by_user, by_file) and by_user != by_file:
            raise ConfigError(f"`{name}` must be what the file says or be left out, but got {by_user} where it says {by_file}")
    sizes, assumed, known = found.sizes, list(found.assumed), {}
    for name in ("num_heads", "activation", "norm_epsilon"):
        by_user, by_file = getattr(said, name), getattr(found.told, name)
        known[name] = by_file if by_user is None else by_user
        if known[name] is None:
            known[name], why = _usual_heads(sizes) if name == "num_heads" else _usual(name, found)
            assumed.append(f"{name} {known[name]}, {why} (--{name.replace('_', '-')})")
    stage = Stage(depth=sizes.depth, width=sizes.width, mlp_dim=sizes.mlp_dim, num_heads=known.pop("num_heads"))
    return Arch(patch_size=sizes.patch_size, stages=(stage,), **known), tuple(assumed)


def on_our_images(found: Foreign, said: Told) -> Foreign:
    """A ViT that takes images in [-1, 1] as ours are: by what else the source's are normalised, the patches' weights make up for.

    Raises:
        ConfigError: The images have no three colours to be normalised each by itself.
    """
    name = said.normalization or found.told.normalization
    if name is None and found.usual.normalization is not None and found.sizes.channels == 3:
        return found._replace(assumed=(*found.assumed, "images that were scaled to [-1, 1] (--normalization)"))
    if name in (None, "inception"):
        return found
    if found.sizes.channels != 3:
        raise ConfigError(f"`normalization` is of images with 3 channels, but got {name!r} for {found.sizes.channels}; leave it out")
    mean, std = (np.array(values, np.float64) for values in NORMALIZATIONS[name])
    kernel, bias = found.weights["patches/kernel"].astype(np.float64), found.weights["patches/bias"]  # (patch, patch, 3, width), (width,)
    # Ours is 2 x - 1 where theirs is (x - mean) / std.
    shift = np.einsum("hwcd,c->d", kernel, (0.5 - mean) / std)
    made_up = {"patches/kernel": (kernel / (2 * std)[:, None]).astype(np.float32), "patches/bias": (bias + shift).astype(np.float32)}
    note = f"the source's images are normalised ({name}), and ours are in [-1, 1]: the patches' weights make up for it"
    return found._replace(weights={**found.weights, **made_up}, notes=(*found.notes, note))


def _usual(name: str, found: Foreign) -> tuple[Any, str]:
    """A value that nobody tells, and whose habit it is."""
    return getattr(found.usual, name), f"as {found.library}'s ViTs have it"


def _usual_heads(sizes: Sizes) -> tuple[int, str]:
    """ViT-H's width of 1280 has 16 heads, so the family goes before the rule."""
    for name, (*others, num_heads) in FAMILY.items():
        if others == [sizes.depth, sizes.width, sizes.mlp_dim]:
            return num_heads, f"ViT-{name}'s"
    if sizes.width % DEFAULT_HEAD_DIM:
        raise ConfigError(f"`num_heads` must be said where {DEFAULT_HEAD_DIM} does not divide the width {sizes.width}: give --num-heads")
    return sizes.width // DEFAULT_HEAD_DIM, f"width / {DEFAULT_HEAD_DIM}"


def read_told(text: str, name: str) -> Told:
    """What `told_text` wrote.

    Raises:
        ConfigError: The text is something else.
    """
    try:
        return msgspec.json.decode(text, type=Told)
    except ValueError as error:
        raise ConfigError(f"the metadata `fvsearch` of {name} does not read: {error}") from None


def told_text(told: Told) -> str:
    """As text, for a file's metadata."""
    return msgspec.json.encode(told).decode()
