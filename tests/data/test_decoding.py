"""Encoded images of every kind become pixels of the wanted shape, or say why not."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fvsearch.data.decoding import UnreadableError, decode, evaluation_box, open_image
from fvsearch.data.images import Box

COLOUR = (200, 100, 50)
GREY = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def whole(height: int, width: int) -> Box:
    return 0, 0, height, width


def encoded(image: Image.Image, kind: str, **options: Any) -> io.BytesIO:
    content = io.BytesIO()
    image.save(content, kind, **options)
    content.seek(0)
    return content


def flat(mode: str, value: Any) -> Image.Image:
    return Image.new(mode, (12, 10), value)


def deep(levels: int) -> Image.Image:
    return Image.fromarray(np.full((10, 12), levels, np.uint16))


@pytest.mark.parametrize(
    ("image", "kind", "coloured", "grey"),
    [
        (flat("RGB", COLOUR), "png", COLOUR, GREY),
        (flat("RGB", COLOUR), "bmp", COLOUR, GREY),
        (flat("RGB", COLOUR), "webp", COLOUR, GREY),
        (flat("RGB", COLOUR), "jpeg", COLOUR, GREY),
        (flat("L", 90), "jpeg", (90, 90, 90), 90),
        (flat("1", 1), "png", (255, 255, 255), 255),
        (flat("RGB", COLOUR).quantize(4), "gif", COLOUR, GREY),
        (flat("RGBA", (*COLOUR, 255)), "png", COLOUR, GREY),
        (flat("RGBA", (*COLOUR, 0)), "png", (255, 255, 255), 255),
        (flat("RGBA", (*COLOUR, 51)), "png", (244, 224, 214), 228),
        (flat("LA", (90, 0)), "png", (255, 255, 255), 255),
        (flat("CMYK", (55, 155, 205, 0)), "tiff", COLOUR, GREY),
        (flat("CMYK", (55, 155, 205, 0)), "jpeg", COLOUR, GREY),
        (deep(257 * 90), "png", (90, 90, 90), 90),
        (deep(257 * 90), "tiff", (90, 90, 90), 90),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_any_mode_becomes_what_channels_say(image: Image.Image, kind: str, coloured: tuple[int, int, int], grey: int) -> None:
    tolerance = 3 if kind in ("jpeg", "webp", "gif") else 1
    in_colour = decode(encoded(image, kind), (5, 6, 3), whole)
    in_grey = decode(encoded(image, kind), (5, 6, 1), whole)
    assert (in_colour.shape, in_grey.shape) == ((5, 6, 3), (5, 6, 1))
    assert in_colour.dtype == in_grey.dtype == np.uint8
    assert np.abs(in_colour.astype(int) - coloured).max() <= tolerance
    assert np.abs(in_grey.astype(int) - grey).max() <= tolerance


def test_a_palettes_transparent_colour_shows_white() -> None:
    image = flat("P", 0)
    image.putpalette([0, 0, 0])
    assert decode(encoded(image, "png", transparency=0), (5, 6, 3), whole).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "mode"), [("jpeg", "RGB"), ("png", "RGB"), ("png", "I;16"), ("webp", "RGB"), ("tiff", "RGB")])
def test_an_image_is_turned_as_its_exif_data_say_and_boxes_are_of_the_turned_one(kind: str, orientation: int, mode: str) -> None:
    upright = Image.new("RGB", (48, 32), "black")
    ImageDraw.Draw(upright).rectangle((8, 16, 23, 31), "white")  # left 8, top 16, 16x16 pixels
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # to lay it as a camera would that is held so
    stored = upright if inverse is None else upright.transpose(Image.Transpose(inverse))
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(stored.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = []

    def crop(height: int, width: int) -> Box:
        seen.append((height, width))
        return 16, 8, 16, 16

    pixels = decode(encoded(stored, kind, exif=exif), (16, 16, 3), crop)
    assert seen == [(32, 48)]
    assert pixels.min() > 240
    assert decode(encoded(stored, kind, exif=exif), (32, 48, 3), whole)[:16].max() < 15


@pytest.mark.parametrize("orientation", [0, 9, 300])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_orientation_that_is_none_turns_nothing(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (48, 32), "black")
    ImageDraw.Draw(image).rectangle((0, 0, 47, 15), "white")
    pixels = decode(encoded(image, kind, exif=exif), (32, 48, 3), whole)
    assert pixels[:15].min() > 240 and pixels[17:].max() < 15


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage of 20 bytes", b"Exif\0\0II", b""])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_broken_exif_data_break_no_image(kind: str, exif: bytes) -> None:
    image = Image.new("RGB", (48, 32), "black")
    ImageDraw.Draw(image).rectangle((0, 0, 47, 15), "white")
    pixels = decode(encoded(image, kind, exif=exif), (32, 48, 3), whole)
    assert pixels[:15].min() > 240 and pixels[17:].max() < 15


def test_a_box_is_resized_as_pillow_resizes_what_is_cut_out() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8))
    ours = decode(encoded(image, "png"), (8, 9, 3), lambda height, width: (3, 5, 24, 27))
    # A box knows what lies around it: only its edges may differ.
    theirs = np.asarray(image.crop((5, 3, 32, 27)).resize((9, 8), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(ours[1:-1, 1:-1], theirs[1:-1, 1:-1])


def test_an_image_of_the_wanted_size_is_taken_bit_for_bit() -> None:
    levels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    pixels = decode(encoded(Image.fromarray(levels), "png"), (8, 8, 3), lambda *size: evaluation_box(*size, (8, 8)))
    np.testing.assert_array_equal(pixels, levels)


def test_a_huge_jpeg_is_decoded_small_and_a_small_box_of_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.linspace(0, 255, 6000).astype(np.uint8)
    content = encoded(Image.fromarray(np.broadcast_to(ramp, (4000, 6000)).copy()), "jpeg")
    resize, sizes = Image.Image.resize, []

    def spy(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        sizes.append(image.size)
        return resize(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", spy)
    pixels = decode(content, (32, 48, 1), whole)
    assert sizes.pop(0) == (750, 500)
    assert np.abs(pixels[..., 0] - ramp.reshape(48, -1).mean(axis=1)).max() < 2
    box = decode(content, (32, 48, 1), lambda height, width: (0, 3000, 32, 48))
    assert (6000, 4000) in sizes
    assert np.abs(box[..., 0].astype(int) - ramp[3000:3048]).max() <= 2


def test_more_pixels_than_pillow_takes_are_an_error_for_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 59)
    with pytest.raises(UnreadableError, match="more than the 118 pixels that Pillow takes"):
        open_image(encoded(flat("L", 0), "png"))


def test_an_image_of_which_pillow_only_warns_is_read_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 119)
    assert (decode(encoded(flat("L", 7), "png"), (5, 6, 1), whole) == 7).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image of a format that is read"),
        (b"no image at all", "not an image of a format that is read"),
        (encoded(flat("F", 0.5), "tiff").getvalue(), "floating-point pixels"),
        (encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)), "jpeg").getvalue()[:900], "truncated"),
        (encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)), "png").getvalue()[:900], "truncated"),
    ],
    ids=["empty", "text", "float", "jpeg", "png"],
)
def test_what_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        decode(io.BytesIO(content), (8, 8, 3), whole)


def test_a_file_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        decode(tmp_path / "gone.png", (8, 8, 3), whole)


@pytest.mark.parametrize(
    ("size", "target", "box"),
    [
        ((375, 500), (224, 224), (23, 86, 328, 328)),  # 87.5% of 375
        ((240, 320), (224, 224), (8, 48, 224, 224)),  # no fewer pixels than wanted
        ((32, 32), (32, 32), (0, 0, 32, 32)),
        ((20, 40), (32, 32), (0, 10, 20, 20)),  # all there is
        ((100, 100), (10, 40), (39, 6, 22, 88)),  # the target's proportions
        ((1, 1), (2, 2), (0, 0, 1, 1)),
    ],
)
def test_evaluation_takes_a_box_in_the_middle(size: tuple[int, int], target: tuple[int, int], box: Box) -> None:
    assert evaluation_box(*size, target) == box


def test_evaluation_takes_as_much_as_it_is_told() -> None:
    assert evaluation_box(100, 100, (10, 10), central=1) == (0, 0, 100, 100)


def test_a_croppers_box_must_lie_in_the_image() -> None:
    with pytest.raises(ValueError, match="a box must lie in its image, but got"):
        decode(encoded(flat("L", 0), "png"), (4, 4, 1), lambda height, width: (0, 0, height + 1, width))
