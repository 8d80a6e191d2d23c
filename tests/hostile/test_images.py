"""Images that were damaged, or that somebody sent: pixels, or a reason in one line; the others of a folder are read all the same."""

import io
import os
import resource
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hostility import damaged, fuzzed, require_sentence
from hypothesis import strategies as st
from PIL import Image

from fvsearch.data import check_source, load_search_splits, problem_notes
from fvsearch.data.decoding import UnreadableError, decode, evaluation_box, open_image
from fvsearch.data.folder import read_folder
from fvsearch.errors import FvsearchError
from fvsearch.study import Data

SHAPE = (8, 8, 3)
MOST_REASON = 150
"""Characters."""

PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\nshowpage\n%%EOF\n"
"""What Pillow knows as an image, and has Ghostscript run."""


@pytest.fixture(autouse=True)
def indexes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where indexes are kept."""
    monkeypatch.setenv("FVSEARCH_INDEXES", str(tmp_path_factory.mktemp("kept")))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return exif


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8))
OTHER = NOISE.transpose(Image.Transpose.ROTATE_180)
DEEP = Image.fromarray(np.random.default_rng(0).integers(0, 65535, (20, 24)).astype(np.uint16))
KINDS = {
    "JPEG": encoded(NOISE, "jpeg", exif=turned()),
    "progressive JPEG": encoded(NOISE, "jpeg", progressive=True),
    "CMYK": encoded(NOISE.convert("CMYK"), "jpeg"),
    "two JPEGs in one": encoded(NOISE, "mpo", save_all=True, append_images=[OTHER]),
    "PNG": encoded(NOISE, "png", exif=turned()),
    "16 bits": encoded(DEEP, "png"),
    "palette": encoded(NOISE.quantize(8), "png", transparency=0),
    "transparent": encoded(NOISE.convert("RGBA"), "png"),
    "animated PNG": encoded(NOISE, "png", save_all=True, append_images=[OTHER]),
    "animated GIF": encoded(NOISE.quantize(8), "gif", save_all=True, append_images=[OTHER.quantize(8)]),
    "WebP": encoded(NOISE, "webp", exif=turned()),
    "TIFF": encoded(NOISE, "tiff", exif=turned()),
    "packed TIFF": encoded(NOISE, "tiff", compression="tiff_adobe_deflate"),
    "BMP": encoded(NOISE, "bmp"),
    "PPM": encoded(NOISE, "ppm"),
}


def whole(height: int, width: int) -> tuple[int, int, int, int]:
    return evaluation_box(height, width, SHAPE[:2])


def pixels_or_reason(content: bytes) -> str | None:
    """None where there are pixels, else why not; a warning would be an error."""
    try:
        pixels = decode(io.BytesIO(content), SHAPE, whole)
    except UnreadableError as error:
        reason = str(error)
        assert 0 < len(reason) <= MOST_REASON and "\n" not in reason, reason
        return reason
    assert pixels.shape == SHAPE and pixels.dtype == np.uint8
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_damaged_is_read(kind: str) -> None:
    assert pixels_or_reason(KINDS[kind]) is None


def test_an_image_that_ends_anywhere_is_pixels_or_a_reason() -> None:
    for content in KINDS.values():
        for length in range(0, len(content), max(1, len(content) // 60)):
            pixels_or_reason(content[:length])


@pytest.mark.filterwarnings("error")
def test_damaged_bytes_are_pixels_or_a_reason() -> None:
    @hypothesis.settings(fuzzed, max_examples=600)
    @hypothesis.given(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: damaged(KINDS[kind])))
    def holds(content: bytes) -> None:
        pixels_or_reason(content)

    holds()


@pytest.mark.filterwarnings("error")
def test_damaged_heads_are_pixels_or_a_reason() -> None:
    """Where sizes, depths and offsets are."""

    @hypothesis.settings(fuzzed, max_examples=600)
    @hypothesis.given(
        st.sampled_from(sorted(KINDS)),
        st.lists(st.tuples(st.integers(0, 120), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])), min_size=1, max_size=4),
    )
    def holds(kind: str, changes: list[tuple[int, int]]) -> None:
        content = bytearray(KINDS[kind])
        for place, byte in changes:
            content[place % len(content)] = byte
        pixels_or_reason(bytes(content))

    holds()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, body: bytes, *before: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(before) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BOMBS = {
    "a size beyond 32 bits": png(2**32 - 1, 2**32 - 1, b""),
    "gigapixels": png(2**31 - 1, 2**31 - 1, b""),
    "gigapixels in a line": png(2**31 - 1, 1, b""),
    "more pixels than Pillow takes": png(40_000, 40_000, zlib.compress(bytes(10**6), 9)),
    "a text that expands": png(8, 8, b"", chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8), 9))),
    "a profile that expands": png(8, 8, b"", chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**8), 9))),
    "no pixels": png(0, 0, b""),
    "a BMP": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 100, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
    "a PPM": b"P6 99999999 99999999 255\n",
    "a PPM with long numbers": b"P6 " + b"9" * 10_000 + b" 1 255\n",
    "a GIF": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_expands_beyond_measure_is_a_reason(kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pixels_or_reason(BOMBS[kind])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18, "KiB"


def test_sixteen_bits_take_little_more_memory_than_they_are() -> None:
    side = 4000
    content = encoded(Image.fromarray(np.full((side, side), 257 * 90, np.uint16)), "png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (decode(io.BytesIO(content), SHAPE, whole) == 90).all()
    # Of each pixel two bytes as Pillow has it, as many as NumPy's, and one scaled, which is copied; wide integers would be 24.
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 10 * side**2


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_no_program_is_run_for_an_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Image.open(io.BytesIO(PROGRAM)).format == "EPS", "Pillow would take it"
    mark, ghostscript = tmp_path / "pwned", tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {mark}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / name).write_bytes(PROGRAM)
    with pytest.raises(UnreadableError, match="not an image of a format that is read"):
        decode(tmp_path / name, SHAPE, whole)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [b"\0" * 1000, b"P5", b"GIF89a", b"BM", b"\xff\xd8", b"II*\0", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n\x1a\n"]
)
def test_what_only_begins_as_an_image_is_a_reason(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        open_image(io.BytesIO(content))


# Folders


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of eight images each."""
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (9, 9), 10 * number).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def source(path: Path) -> Data:
    return Data(source=f"folder:{path}", image_size=8, channels=3, num_classes=2)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no bytes": (lambda path: path.touch(), "not an image of a format that is read"),
    "a program": (lambda path: path.write_bytes(PROGRAM), "not an image of a format that is read"),
    "a pipe": (os.mkfifo, "no file of bytes that end"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "no file of bytes that end"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere.png"), "No such file"),
    "a bomb": (lambda path: path.write_bytes(BOMBS["gigapixels"]), "that Pillow takes"),
    "half": (lambda path: path.write_bytes(KINDS["PNG"][:900]), "image file is truncated"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_and_the_others_are_read(kind: str, photos: Path) -> None:
    make, reason = BAD[kind]
    make(photos / "cats" / "bad.png")
    images = read_folder(source(photos))
    assert not isinstance(images, dict)
    assert images.read(np.arange(len(images))).shape == (len(images), 8, 8, 3)
    assert len(images) >= 16
    (note,) = images.problems.notes()
    assert "1 image could not be read" in note and "cats/bad.png (" in note and reason in note, note


@pytest.mark.parametrize(
    "make",
    [
        lambda photos: (photos / "cats" / "x.png").mkdir(),
        lambda photos: (photos / "cats" / "up").symlink_to(photos),
        lambda photos: (photos / "round").symlink_to(photos / "round"),
        lambda photos: (photos / "cats" / "0.png").rename(photos / "cats" / "really-a.jpg"),
        lambda photos: (photos / "cats" / "0.png").rename(photos / "cats" / "caf\udce9.png"),
        lambda photos: (photos / "cats" / "notes.txt").write_text("x"),
    ],
    ids=["a folder called x.png", "a link to the folder above", "a link to itself", "another suffix", "a name that is no text", "a text"],
)
def test_what_is_only_odd_is_no_problem(make: Callable[[Path], object], photos: Path) -> None:
    make(photos)
    for _ in ("checked", "read from the index"):
        splits = load_search_splits(source(photos))
        assert (len(splits.train) + len(splits.validation), problem_notes(splits)) == (12, [])


@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[31mred.png", "caf\udce9.png", "x" * 250 + ".png"])
def test_what_a_note_names_is_one_line_of_text(name: str, photos: Path) -> None:
    (photos / "cats" / name).write_bytes(b"no image")
    (note,) = problem_notes(load_search_splits(source(photos)))
    assert note.isprintable() and len(note) < 400 and note.encode()


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "caf\udce9"])
def test_a_class_has_a_name_of_text(name: str, photos: Path) -> None:
    (photos / "cats").rename(photos / name)
    with pytest.raises(
        FvsearchError, match=r"must have a name of printable text, for a class is called so, but got '.*'; rename it"
    ) as caught:
        check_source(source(photos))
    require_sentence(caught.value)


def test_broken_exif_data_are_no_warning() -> None:
    content = KINDS["JPEG"].replace(b"a description", b"\xff" * 13).replace(b"\x01\x12\x00\x03", b"\x01\x12\xff\xff")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pixels_or_reason(content)
    assert not told
