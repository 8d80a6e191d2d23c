"""TFRecords that TensorFlow wrote, read without it; and what is broken in them."""

import gzip
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvsearch.data import check_source, load, load_search_splits, load_test, prepare_source, record_formats
from fvsearch.data.examples import Span, bytes_of, find_features, integer_of
from fvsearch.data.framing import masked_crc32c
from fvsearch.data.stored import StoredImages
from fvsearch.data.tfrecord import read_tfrecord
from fvsearch.errors import ConfigError, RunError
from fvsearch.study import Data


def source(path: Path | str, **changes: Any) -> Data:
    return Data(**{"source": f"tfrecord:{path}", "image_size": 8, "channels": 1, "num_classes": 3, **changes})


@pytest.fixture
def records(made: Path, tmp_path: Path) -> Path:
    """A folder of train-* and validation-*, of 30 and 9 images."""
    for path in [*made.glob("records/train-*"), *made.glob("records/validation-*")]:
        shutil.copy(path, tmp_path)
    return tmp_path


def levels(images: Any) -> list[int]:
    return np.round((images.read(np.arange(len(images)))[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def frames(path: Path) -> list[Span]:
    """Where the records of a file lie, told from their lengths alone."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        found.append(Span(at + 12, at + 12 + length))
        at += 16 + length
    return found


def test_an_example_is_read_as_tensorflow_wrote_it(made: Path) -> None:
    path = made / "records" / "train-00000-of-00002"
    content = path.read_bytes()
    example = frames(path)[7]
    found = find_features(content, example)
    assert sorted(found) == [
        "image/class/label",
        "image/class/text",
        "image/encoded",
        "image/format",
        "image/height",
        "image/object/bbox/label",
        "image/object/bbox/xmin",
    ]
    text, kind = (bytes_of(content, found[name]) for name in ("image/class/text", "image/format"))
    assert content[text.start : text.end].decode() == "class 1, ä"
    assert content[kind.start : kind.end] == b"PNG"
    assert (integer_of(content, found["image/class/label"]), integer_of(content, found["image/height"])) == (1, 16)
    with pytest.raises(ValueError, match="3 integers where one was expected"):
        integer_of(content, found["image/object/bbox/label"])
    with pytest.raises(ValueError, match="0 integers where one was expected"):
        integer_of(content, found["image/object/bbox/xmin"])
    with pytest.raises(ValueError, match="0 values of bytes where one was expected"):
        bytes_of(content, found["image/height"])


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**40, 2**63 - 1, -1, -(2**63)])
@pytest.mark.parametrize("packed", [True, False])
def test_integers_have_seven_bits_a_byte_and_two_complements(value: int, packed: bool) -> None:
    left, written = value % 2**64, bytearray()
    while left >= 128:
        written.append(left % 128 + 128)
        left //= 128
    written.append(left)
    integers = bytes([0x0A, len(written), *written]) if packed else bytes([0x08, *written])
    feature = bytes([0x1A, len(integers), *integers])
    assert integer_of(feature, Span(0, len(feature))) == value


def test_of_an_integer_of_more_than_64_bits_the_lowest_count() -> None:
    written = b"\xff" * 9 + b"\x7f"
    assert integer_of(b"\x1a\x0b\x08" + written, Span(0, 13)) == -1


@given(st.binary(max_size=80))
def test_no_bytes_do_more_harm_than_a_value_error(content: bytes) -> None:
    try:
        for span in find_features(content, Span(0, len(content))).values():
            integer_of(content, span)
    except ValueError:
        pass


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_record_is_read_within_its_bounds(place: int, byte: int) -> None:
    image = b"\x89PNG" * 20
    features = b"".join(
        entry(name, value) for name, value in ((b"image", b"\x0a\x52\x0a\x50" + image), (b"label", b"\x1a\x03\x0a\x01\x02"))
    )
    good = b"\x0a" + bytes([0x80 | len(features) % 128, len(features) // 128]) + features
    damaged = bytearray(good)
    damaged[place % len(good)] = byte
    try:
        found = find_features(bytes(damaged), Span(0, len(damaged)))
        spans = [bytes_of(bytes(damaged), span) for span in found.values()]
    except ValueError:
        return
    assert all(0 <= span.start <= span.end <= len(damaged) for span in spans)


def entry(name: bytes, feature: bytes) -> bytes:
    inside = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(feature)]) + feature
    return b"\x0a" + bytes([len(inside)]) + inside


def test_checksums_are_castagnolis() -> None:
    # RFC 3720, B.4: 32 bytes of zeros give 0x8a9136aa.
    crc = (masked_crc32c(bytes(32)) - 0xA282EAD8) % 2**32
    assert (crc >> 17 | crc << 15) % 2**32 == 0x8A9136AA


def test_files_named_by_split_are_the_splits(records: Path) -> None:
    check_source(source(records))
    train, validation, test = load(source(records))
    assert (len(train), len(validation), len(test)) == (24, 6, 9)
    assert sorted(levels(train) + levels(validation)) == list(range(30))
    assert [level % 3 for level in levels(train)] == train.labels.tolist()
    assert levels(test) == list(range(100, 109))
    assert test.names([3]) == ["validation-00000-of-00001, record 3"]
    assert not {name.split("-")[0] for name in train.names(range(24))} - {"train"}


def test_files_without_a_split_in_their_names_are_split_by_shares(made: Path) -> None:
    data = source(made / "records" / "from-*.tfrecord", options={"first_label": 1})
    splits = load(data)
    assert [len(split) for split in splits] == [18, 6, 6]
    assert sorted(level for split in splits for level in levels(split)) == list(range(30))
    for split in splits:
        assert [level % 3 for level in levels(split)] == split.labels.tolist()
    searched = load_search_splits(data)
    assert levels(searched.train) == levels(splits.train)
    assert levels(load_test(data)) == levels(splits.test)


def test_reading_needs_neither_tensorflow_nor_another_walk(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.data.indexes.TELL_EVERY", 0.0)
    told: list[str] = []
    prepare_source(source(records), told.append)
    assert f"indexing tfrecord:{records}: 1 of 2 files" in told
    code = f"import sys; from fvsearch.data import load; from fvsearch.study import Data; load({source(records)!r}).train.read([0, 1])"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"tensorflow", "tensorflow_datasets", "keras", "google.protobuf"} & set(loaded)
    rows: list[int] = []
    row = record_formats._row
    monkeypatch.setattr(record_formats, "_row", lambda *arguments: rows.append(arguments[-1]) or row(*arguments))
    load_search_splits(source(records))
    assert len(rows) == 1  # the check's look at the first
    (records / "train-00001-of-00002").unlink()
    shutil.copy(records / "validation-00000-of-00001", records / "train-00001-of-00002")
    assert len(read_tfrecord(source(records))["train"]) == 29


def damage(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_a_record_that_is_none_is_left_out_counted_and_named(records: Path) -> None:
    path = records / "train-00000-of-00002"
    damage(path, frames(path)[0].start, b"\xff" * 20)
    damage(path, frames(path)[4].start, b"\x0b")
    train = read_tfrecord(source(records))["train"]
    assert levels(train) == [level for level in range(30) if level not in (0, 4)]
    (note,) = train.problems.notes()
    assert note.startswith("2 images could not be read and were left out: train-00000-of-00002, record 0 (no tf.train.Example of one image")
    assert "train-00000-of-00002, record 4 (no tf.train.Example of one image and one label: no field has wire type 3)" in note


@pytest.mark.parametrize("kind", ["length", "truncated", "truncated in a length"])
def test_behind_a_broken_frame_nothing_can_be_read(kind: str, records: Path) -> None:
    path = records / "train-00000-of-00002"
    place = frames(path)[15]
    if kind == "length":
        damage(path, place.start - 12, b"\x05")
    else:
        path.write_bytes(path.read_bytes()[: place.start + 5 if kind == "truncated" else place.start - 5])
    train = read_tfrecord(source(records))["train"]
    assert levels(train) == [*range(15), *range(20, 30)]
    reason = "a record's length is broken" if kind == "length" else "the file is truncated"
    (note,) = train.problems.notes()
    assert note.endswith(f"was left out: train-00000-of-00002, record 15 ({reason}, and all that follow are lost with it)")


def test_an_image_that_is_none_is_replaced_by_the_next_of_its_class(records: Path) -> None:
    path = records / "train-00000-of-00002"
    content = path.read_bytes()
    damage(path, content.index(b"PNG\r\n", frames(path)[4].start), b"PMG")
    train = read_tfrecord(source(records))["train"]
    assert isinstance(train, StoredImages)
    assert levels(train)[:8] == [0, 1, 2, 3, 7, 5, 6, 7]
    assert train.problems.notes() == [
        "1 image could not be read and was replaced by another of the same class: train-00000-of-00002, record 4 (not an image of a "
        "format that is read; by train-00000-of-00002, record 7)"
    ]


def test_a_file_that_goes_while_it_is_read_is_an_error_that_names_it(records: Path) -> None:
    train = load_search_splits(source(records)).train
    for path in records.iterdir():
        path.unlink()
    with pytest.raises(RunError, match=r"none of class \d can be read, among them train-0000\d-of-00002, record \d+ \(No such file"):
        train.read([0])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "nowhere",
            {},
            r"there must be TFRecord files, but none fits /.*/nowhere; mend data.source='tfrecord:.*nowhere', which names a folder",
        ),
        ("", {}, r"the folder must hold TFRecord files \(.*\), but .* holds none; mend data.source"),
        (
            "records/train-*",
            {"options": {"image": "image"}},
            r"must have an image 'image' and a label 'image/class/label', as data.options.image and data.options.label say, but of "
            r"train-00000-of-00002, record 0: it has no feature image, but image/class/label, image/class/text, image/encoded",
        ),
        ("records/train-*", {"options": {"label": "image/format"}}, r"no tf.train.Example of one image and one label: 0 integers"),
        ("records/train-*", {"options": {"lable": "image"}}, r"unknown key `lable` \(did you mean 'label'\?\) in data.options"),
        ("records/packed.tfrecord", {}, r"must not be compressed as a whole, but .*/packed.tfrecord is; unpack it with gunzip"),
        ("records/*-*", {}, r"either every file of .* must name its split .* or none, but from-one.tfrecord does not, and train-.* does"),
    ],
)
def test_what_breaks_a_law_is_refused_before_files_are_walked_through(name: str, changes: Any, message: str, made: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        check_source(source(made / name, **changes))
    with pytest.raises(ConfigError, match=message):
        load_search_splits(source(made / name, **changes))


def test_an_empty_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "train.tfrecord").touch()
    with pytest.raises(ConfigError, match=r"but of .*/train.tfrecord: it is empty"):
        check_source(source(tmp_path))


def test_labels_outside_the_classes_are_named_with_what_would_fit(made: Path) -> None:
    one = source(made / "records" / "from-one.tfrecord")
    with pytest.raises(
        ConfigError, match=r"labels must lie in 0 to 2 .*, but got 3 from from-one.tfrecord, record 2; .*first_label = 1 would fit"
    ):
        load_search_splits(one)
    with pytest.raises(ConfigError, match=r"labels must lie in 0 to 1 as data.num_classes=2 says, but got 2 from train-.*, record 2$"):
        load_search_splits(source(made / "records" / "train-*", num_classes=2))


def test_what_gzip_wrote_is_what_is_refused(made: Path) -> None:
    assert gzip.decompress((made / "records" / "packed.tfrecord").read_bytes())[12:]
