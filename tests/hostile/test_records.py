"""TFRecords that were damaged, or that somebody sent: what can be read of them is, what cannot is named, and no length is believed."""

import io
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hostility import answered_or_refused, damaged, fuzzed, require_sentence, sentences
from PIL import Image

from fvsearch.data import check_source, load_search_splits, problem_notes
from fvsearch.data.framing import masked_crc32c
from fvsearch.data.indexes import kept_index
from fvsearch.data.tfrecord import read_tfrecord
from fvsearch.errors import FvsearchError
from fvsearch.study import Data

COUNT = 12
IMAGE, LABEL = "image/encoded", "image/class/label"
LONGEST_NOTE = 2500
"""Characters: of five records, each with a reason."""


@pytest.fixture(autouse=True)
def indexes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept."""
    folder = tmp_path_factory.mktemp("kept") / "indexes"
    monkeypatch.setenv("FVSEARCH_INDEXES", str(folder))
    return folder


def varint(value: int) -> bytes:
    left, written = value % 2**64, b""
    while left >= 128:
        written += bytes([left % 128 + 128])
        left //= 128
    return written + bytes([left])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def of_bytes(*values: bytes) -> bytes:
    return field(1, b"".join(field(1, value) for value in values))


def of_integers(*values: int) -> bytes:
    return field(3, field(1, b"".join(map(varint, values))))


def example(features: dict[str, bytes]) -> bytes:
    return field(1, b"".join(field(1, field(1, name.encode()) + field(2, feature)) for name, feature in features.items()))


def framed(record: bytes, length: int | None = None) -> bytes:
    """A record as a file has it; of another length, if it is to lie, with the checksum of that."""
    head = struct.pack("<Q", len(record) if length is None else length)
    return head + struct.pack("<I", masked_crc32c(head)) + record + bytes(4)


def encoded(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8), level).save(content, "png")
    return content.getvalue()


def labelled(label: bytes, image: bytes | None = None) -> bytes:
    return framed(example({IMAGE: image or of_bytes(encoded(7)), LABEL: label}))


GOOD = [labelled(of_integers(number % 2), of_bytes(encoded(number))) for number in range(COUNT)]


def source(path: Path, **changes: Any) -> Data:
    return Data(**{"source": f"tfrecord:{path}", "image_size": 8, "channels": 1, "num_classes": 2, **changes})


def read(path: Path, **changes: Any) -> tuple[list[int], list[str]]:
    """The levels of all images that a search sees, and its notes."""
    data = source(path, **changes)
    check_source(data)
    splits = load_search_splits(data)
    found = [split.read(np.arange(len(split)))[:, 0, 0, 0] for split in (splits.train, splits.validation)]
    notes = problem_notes(splits)
    assert all(0 < len(note) <= LONGEST_NOTE and note.isprintable() for note in notes), notes
    return sorted(np.round((np.concatenate(found) + 1) * 127.5).astype(int).tolist()), notes


def test_what_was_not_damaged_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"".join(GOOD))
    levels, notes = read(tmp_path)
    assert not notes and set(levels) < set(range(COUNT)) and len(levels) == 9


def test_a_file_that_ends_anywhere_gives_the_records_before(tmp_path: Path) -> None:
    path, content = tmp_path / "x.tfrecord", b"".join(GOOD)
    ends = np.cumsum([len(frame) for frame in GOOD]).tolist()
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends)
        with sentences():
            images = read_tfrecord(source(path))
            assert not isinstance(images, dict)
            assert len(images) == whole > 0
            if length not in ends:
                (note,) = images.problems.notes()
                assert note.endswith(f"x.tfrecord, record {whole} (the file is truncated, and all that follow are lost with it)")


def test_damaged_files_are_read_or_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"

    @hypothesis.settings(fuzzed, max_examples=150)
    @hypothesis.given(damaged(b"".join(GOOD)))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        with sentences():
            read(path)

    holds()


LEFT_OUT: dict[str, tuple[bytes, str]] = {
    "gigabytes": (framed(b"x", length=2**33), "the file is truncated"),
    "all that 64 bits hold": (framed(b"x", length=2**64 - 1), "the file is truncated"),
    "a length that wraps around": (framed(b"x", length=2**64 - 12), "the file is truncated"),
    "a wrong checksum": (struct.pack("<QI", 1, 0) + b"x" + bytes(4), "a record's length is broken"),
    "zeros": (bytes(4096), "a record's length is broken"),
    "a feature of gigabytes": (framed(field(1, varint(10) + varint(2**40))), "a field is longer than its message"),
    "no number's end": (framed(b"\xff" * 40), "a number does not end"),
    "a name that is no text": (framed(field(1, field(1, field(1, b"\xff\xfe")))), "can't decode"),
    "no features": (framed(b""), f"no feature {IMAGE} and no {LABEL}, but none"),
    "other features": (framed(example({"a\x1b[31m\n": b"", "b": b""})), r"but a\x1b[31m\n, b"),
    "thousands of features": (framed(example({f"f{number}": of_integers(1) for number in range(3000)})), "2988 more"),
    "a feature with a long name": (framed(example({"f" * 10**6: b""})), "..."),
    "no label": (framed(example({IMAGE: of_bytes(encoded(1))})), f"no feature {LABEL}, but {IMAGE}"),
    "a label of bytes": (labelled(of_bytes(b"1")), "0 integers where one was expected"),
    "a label of none": (labelled(of_integers()), "0 integers where one was expected"),
    "a million labels": (labelled(of_integers(*[1] * 10**5)), "100000 integers where one was expected"),
    "two images": (labelled(of_integers(1), of_bytes(b"a", b"b")), "2 values of bytes where one was expected"),
    "an image of integers": (labelled(of_integers(1), of_integers(1)), "0 values of bytes where one was expected"),
    "a program for an image": (labelled(of_integers(1), of_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")), "not an image of a format that is read"),
    "an empty image": (labelled(of_integers(1), of_bytes(b"")), "not an image of a format that is read"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_record_that_lies_is_named_and_the_others_are_read(kind: str, tmp_path: Path) -> None:
    content, reason = LEFT_OUT[kind]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(GOOD) + content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = read_tfrecord(source(tmp_path))
    assert not isinstance(images, dict)
    images.read(np.arange(len(images)))
    (note,) = images.problems.notes()
    assert f"x.tfrecord, record {COUNT} (" in note and reason in note, note
    assert len(note) < LONGEST_NOTE and note.isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18, "KiB"


@pytest.mark.parametrize("label", [-1, 2, 2**31, 2**63 - 1, -(2**63)])
def test_a_label_of_no_class_is_a_sentence_that_names_the_record(label: int, tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"".join([*GOOD, labelled(of_integers(label))]))
    with pytest.raises(FvsearchError, match=rf"labels must lie in 0 to 1 .* but got {label} from x.tfrecord, record {COUNT}") as caught:
        read(tmp_path)
    require_sentence(caught.value)


@pytest.mark.parametrize("first_label", [2**63 - 1, -(2**63), 10**30, "1", None, 0.5])
def test_a_first_label_beyond_all_labels_is_a_sentence(first_label: Any, tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"".join(GOOD))
    with pytest.raises(FvsearchError) as caught:
        read(tmp_path, options={"first_label": first_label})
    require_sentence(caught.value)


BESIDE: dict[str, Callable[[Path], object]] = {
    "an empty shard": lambda path: path.touch(),
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("gone")),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_what_lies_beside_the_records_is_passed_over(kind: str, tmp_path: Path) -> None:
    (tmp_path / "b.tfrecord").write_bytes(b"".join(GOOD))
    BESIDE[kind](tmp_path / "a.tfrecord")
    assert read(tmp_path)[1] == []


@pytest.mark.parametrize("shards", [("train-0", "validation-0", "test-0"), ("x",)])
def test_shards_with_nothing_in_them_are_a_sentence(shards: tuple[str, ...], tmp_path: Path) -> None:
    for name in shards:
        (tmp_path / f"{name}.tfrecord").touch()
    with pytest.raises(FvsearchError, match=f"{shards[0]}.tfrecord: it is empty") as caught:
        read(tmp_path)
    require_sentence(caught.value)


@pytest.mark.parametrize("name", ["caf\udce9", "a\nb", "\x1b[31mred", "x" * 240])
def test_a_files_name_need_be_no_text(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.tfrecord").write_bytes(b"".join([*GOOD, framed(b"")]))
    for _ in ("indexed", "read from the index"):
        (note,) = read(tmp_path)[1]
        assert f".tfrecord, record {COUNT} (" in note


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "x" * 300, "a\0b", "", "[", "caf\udce9"])
def test_a_path_that_is_none_is_a_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("tfrecord", "folder"):
        with pytest.raises(FvsearchError) as caught:
            check_source(Data(source=f"{kind}:{name}", image_size=8, channels=1, num_classes=2))
        require_sentence(caught.value)


def test_a_shard_that_has_gone_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.tfrecord"
    path.write_bytes(b"".join(GOOD))
    (tmp_path / "a.tfrecord").write_bytes(b"".join(GOOD))
    monkeypatch.setattr("fvsearch.data.tfrecord.check_tfrecord", lambda data: path.unlink(missing_ok=True))
    monkeypatch.setattr("fvsearch.data.tfrecord._files", lambda data: {"": [tmp_path / "a.tfrecord", path]})
    with pytest.raises(FvsearchError, match=r"every file of records must be readable, but .*/b.tfrecord is not: No such file") as caught:
        read_tfrecord(source(tmp_path))
    require_sentence(caught.value)


def test_an_index_that_a_disk_has_changed_is_made_anew(indexes: Path, tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"".join(GOOD))
    before = read(tmp_path)
    (kept,) = indexes.glob("*.msgpack")
    content = kept.read_bytes()

    @hypothesis.settings(fuzzed, max_examples=40)
    @hypothesis.given(damaged(content))
    def holds(changed: bytes) -> None:
        kept.write_bytes(changed)
        assert read(tmp_path) == before

    holds()
    assert kept.read_bytes() == content


def test_an_index_of_something_else_is_none(indexes: Path) -> None:
    kept_index("of one kind", dict[str, int], lambda known: {"a": 1})
    found = kept_index("of one kind", dict[str, str], lambda known: {"a": "b"} if known is None else known)
    assert found == {"a": "b"}


def test_a_command_says_it_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"".join([*GOOD, labelled(of_integers(9))]))
    study = ("run", "quickstart", "--backend", "jax", "--trials", "1", "--out", tmp_path / "out")
    settings = {"source": f"tfrecord:{tmp_path}", "num_classes": 2, "channels": 1, "image_size": 8}
    ran = answered_or_refused(*study, *(part for key, value in settings.items() for part in ("--set", f"data.{key}={value}")))
    assert ran.code == 2 and "labels must lie in 0 to 1" in ran.err, ran
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".db", ".toml")]
