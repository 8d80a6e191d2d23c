"""Class folders through the real loader, the odd files that real folders have among them."""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fvsearch.data import ArrayPair, check_source, folder, load, load_search_splits, load_test, prepare_source, problem_notes
from fvsearch.data.folder import read_folder
from fvsearch.data.images import Box
from fvsearch.data.indexes import Stamp
from fvsearch.data.problems import Problems
from fvsearch.data.stored import StoredImages
from fvsearch.errors import ConfigError, RunError
from fvsearch.study import Data

CLASSES = ("birds", "cats", "dogs")
LEVELS = {"birds": 20, "cats": 120, "dogs": 220}


def source(path: Path, **changes: Any) -> Data:
    return Data(**{"source": f"folder:{path}", "image_size": 8, "channels": 3, "num_classes": 3, **changes})


def fill(root: Path, count: int = 10, classes: tuple[str, ...] = CLASSES) -> Path:
    """Class folders of flat grey images, a level of its own each; levels of a class are near each other."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (20, 16), LEVELS[name] + number).save(root / name / f"{number:02}.png")
    return root


def levels(images: Any) -> list[int]:
    """The level of each image of a split."""
    return np.round((images.read(np.arange(len(images)))[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos")


def test_class_folders_are_split_and_labelled_by_the_folders_names(photos: Path) -> None:
    data = source(photos)
    check_source(data)
    train, validation, test = splits = load(data)
    assert [len(split) for split in splits] == [18, 6, 6]
    seen = [level for split in splits for level in levels(split)]
    assert sorted(seen) == sorted(LEVELS[name] + number for name in CLASSES for number in range(10))
    for split in splits:
        assert [CLASSES[label] for label in split.labels] == [name.split("/")[0] for name in split.names(range(len(split)))]
        assert [
            LEVELS[CLASSES[label]] + int(name[-6:-4]) for label, name in zip(split.labels, split.names(range(len(split))), strict=True)
        ] == levels(split)
        assert np.bincount(split.labels).tolist() == [len(split) // 3] * 3
    assert train.read([0, 2]).shape == (2, 8, 8, 3)
    assert (train.read([0]).dtype, train.labels.dtype) == (np.float32, np.int32)
    assert validation.names([0]) != test.names([0])


def test_a_search_gets_no_test_image_and_a_share_of_train_is_part_of_a_larger_one(photos: Path) -> None:
    whole, searched, test = load(source(photos)), load_search_splits(source(photos)), load_test(source(photos))
    names = {name: set(split.names(range(len(split)))) for name, split in {**whole._asdict(), "searched": searched.train}.items()}
    assert names["train"] == names["searched"]
    assert not names["test"] & (names["train"] | names["validation"])
    assert set(test.names(range(len(test)))) == names["test"]
    half = load_search_splits(source(photos, train_share=0.5)).train
    third = load_search_splits(source(photos, train_share=1 / 3)).train
    assert set(third.names(range(len(third)))) < set(half.names(range(len(half)))) < names["train"]


def test_files_of_many_kinds_become_what_channels_say(photos: Path) -> None:
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8))
    (photos / "cats" / "deeper").mkdir()
    colours.save(photos / "cats" / "deeper" / "COLOURS.JPG", "jpeg")
    colours.convert("RGBA").save(photos / "cats" / "alpha.png")
    colours.convert("L").save(photos / "cats" / "grey.jpeg")
    colours.convert("CMYK").save(photos / "dogs" / "print.tif")
    Image.new("RGB", (6000, 4000), (10, 20, 30)).save(photos / "dogs" / "huge.jpg")
    (photos / "dogs" / "notes.txt").write_text("no image")
    (photos / "dogs" / "._01.png").write_text("what some systems leave")
    for channels in (1, 3):
        images = read_folder(source(photos, channels=channels))
        assert isinstance(images, StoredImages)
        assert len(images) == 35 and not images.problems
        assert images.read(np.arange(35)).shape == (35, 8, 8, channels)
        assert set(images.names(range(35))) > {
            "cats/deeper/COLOURS.JPG",
            "cats/alpha.png",
            "cats/grey.jpeg",
            "dogs/huge.jpg",
            "dogs/print.tif",
        }


def test_what_is_no_image_is_left_out_counted_and_named(photos: Path) -> None:
    (photos / "cats" / "empty.jpg").touch()
    (photos / "cats" / "text.png").write_text("no image")
    (photos / "dogs" / "gone.png").symlink_to(photos / "nowhere.png")
    splits = load_search_splits(source(photos))
    assert len(splits.train) + len(splits.validation) == 24
    assert problem_notes(splits) == [
        "3 images could not be read and were left out: cats/empty.jpg (not an image of a format that is read), cats/text.png (not an image "
        "of a format that is read), dogs/gone.png (No such file or directory)"
    ]


def break_body(path: Path) -> None:
    """Its header is good, and half of its pixels are not there."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    noise.save(path)
    path.write_bytes(path.read_bytes()[:2000])


def test_a_broken_body_is_replaced_by_the_next_of_its_class_and_noted(photos: Path) -> None:
    for name in ("cats/03.png", "cats/04.png", "cats/09.png"):
        break_body(photos / name)
    images = read_folder(source(photos))
    assert isinstance(images, StoredImages)
    assert not images.problems
    seen = levels(images)
    assert seen[10:20] == [120, 121, 122, 125, 125, 125, 126, 127, 128, 120]
    assert images.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert seen == levels(images)
    reason = "image file is truncated"
    (note,) = images.problems.notes()
    assert note.startswith(f"3 images could not be read and were replaced by another of the same class: cats/03.png ({reason}")
    assert all(said in note for said in ("; by cats/05.png), cats/04.png (", "; by cats/05.png), cats/09.png (", "; by cats/00.png)"))


def test_a_stand_in_is_of_the_same_split(photos: Path) -> None:
    break_body(photos / "cats" / "03.png")
    whole = read_folder(source(photos))
    assert isinstance(whole, StoredImages)
    part = whole.take(np.array([0, 11, 13, 14, 19]))
    others = part.take(np.array([2, 1]))
    assert levels(part) == [20, 121, 124, 124, 129]
    assert levels(others) == [121, 121]
    assert problem_notes([part, others, whole]) == whole.problems.notes()


def test_where_no_image_of_a_class_can_be_read_there_is_no_stand_in(photos: Path) -> None:
    for path in (photos / "cats").iterdir():
        break_body(path)
    images = load_search_splits(source(photos)).train
    with pytest.raises(RunError, match=r"none of class 1 can be read, among them cats/\d\d.png \(image file is truncated.*\); mend these"):
        images.read(np.arange(len(images)))


def test_reading_is_pure_and_safe_from_threads(photos: Path) -> None:
    for number in range(10):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)).save(photos / "cats" / f"{number:02}.png")
    break_body(photos / "cats" / "05.png")
    images = read_folder(source(photos))
    assert isinstance(images, StoredImages)

    def cropper(position: int, height: int, width: int) -> Box:
        return position % 3, position % 5, height // 2, width // 2

    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 30, 12) for _ in range(24)]
    alone = [images.read(batch, cropper) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda batch: images.read(batch, cropper), batches))
    np.testing.assert_array_equal(alone, together)
    assert not np.array_equal(images.read(batches[0]), alone[0])


def test_only_what_is_new_or_changed_is_opened_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    lock, verdict = threading.Lock(), folder._verdict

    def spy(path: Path, stamp: Stamp) -> folder.Verdict:
        with lock:
            opened.append(path.name)
        return verdict(path, stamp)

    monkeypatch.setattr(folder, "_verdict", spy)
    load_search_splits(source(photos))
    assert len(opened) == 30
    opened.clear()
    load_test(source(photos))
    assert not opened
    Image.new("L", (9, 9)).save(photos / "cats" / "new.png")
    (photos / "dogs" / "00.png").write_text("no image any more")
    (photos / "dogs" / "01.png").unlink()
    images = read_folder(source(photos))
    assert isinstance(images, StoredImages)
    assert sorted(opened) == ["00.png", "new.png"]
    assert len(images) == 29 and len(images.problems) == 1


def test_what_the_system_has_against_a_file_is_no_lasting_verdict(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Image.open

    def busy(path: Path, **options: Any) -> Image.Image:
        if path.name == "03.png":
            raise OSError(errno.EMFILE, "Too many open files")
        return look(path, **options)

    monkeypatch.setattr(Image, "open", busy)
    (photos / "dogs" / "text.png").write_text("no image")
    images = read_folder(source(photos))
    assert isinstance(images, StoredImages)
    assert len(images) == 27 and len(images.problems) == 4, "one of each class"
    monkeypatch.setattr(Image, "open", look)
    images = read_folder(source(photos))
    assert isinstance(images, StoredImages)
    assert len(images) == 30 and len(images.problems) == 1


def test_a_folder_for_indexes_that_cannot_be_written_costs_time_alone(photos: Path, indexes: Path) -> None:
    indexes.write_text("a file")
    assert len(load_search_splits(source(photos)).train) == 18


def test_what_was_kept_is_no_index_any_more(photos: Path, indexes: Path) -> None:
    load_search_splits(source(photos))
    (kept,) = indexes.glob("*.msgpack")
    kept.write_bytes(b"\xc1 torn")
    assert len(load_search_splits(source(photos)).train) == 18


def test_preparing_tells_how_far_it_is(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.data.indexes.TELL_EVERY", 0.0)
    told: list[str] = []
    prepare_source(source(photos), told.append)
    assert told[3] == f"checking folder:{photos}: 3 of 30 images"
    told.clear()
    prepare_source(source(photos), told.append)
    assert not told


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_a_folders_own_splits_are_taken(validation: str, tmp_path: Path) -> None:
    fill(tmp_path / "train", 10)
    fill(tmp_path / validation, 3)
    fill(tmp_path / "test", 2, CLASSES[1:])
    splits = load(source(tmp_path))
    assert [len(split) for split in splits] == [30, 9, 4]
    assert splits.validation.names([0]) == [f"{validation}/birds/00.png"]
    assert levels(splits.test) == [120, 121, 220, 221]
    assert np.bincount(splits.test.labels, minlength=3).tolist() == [0, 2, 2]
    assert load_search_splits(source(tmp_path, train_share=0.5)).train.names([0])[0].startswith("train/birds/")


def test_without_a_test_split_validation_is_it_and_a_search_validates_on_train(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10)
    fill(tmp_path / "val", 3)
    train, validation, test = load(source(tmp_path))
    assert (len(train), len(validation), len(test)) == (24, 6, 9)
    assert {name.split("/")[0] for name in validation.names(range(6))} == {"train"}
    assert {name.split("/")[0] for name in test.names(range(9))} == {"val"}


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "dogs").rename(tmp_path / "train")
    (tmp_path / "train" / "deeper").mkdir()
    train = load_search_splits(source(tmp_path)).train
    assert train.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert train.names([17])[0].startswith("train/")


def test_beside_splits_other_folders_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test", 2)
    (tmp_path / "annotations").mkdir()
    assert len(load_test(source(tmp_path))) == 6
    fill(tmp_path / "val", 2)
    fill(tmp_path / "validation", 2)
    with pytest.raises(ConfigError, match=r"must have one validation split, but .* has validation and val; take one away"):
        check_source(source(tmp_path))


def empty(photos: Path) -> None:
    for path in (photos / "cats").iterdir():
        path.rename(path.with_suffix(".txt"))


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (lambda photos: photos.rename(photos.with_name("moved")), {}, r"must name a folder of class folders, but .*/photos is not there"),
        (empty, {}, r"every class folder of 'folder:.*photos' must hold an image \(.*\.jpg.*\), but none is in cats; take it away"),
        (
            lambda photos: None,
            {"num_classes": 4},
            r"num_classes must be the number of class folders, but got 4, and 'folder:.*' has 3: birds, cats, dogs$",
        ),
        (lambda photos: None, {"channels": 4}, r"are read with 1 channel \(grey\) or 3 \(colour\), but got channels=4 at data"),
        (lambda photos: None, {"options": {"centre": 1}}, r"unknown key `centre` \(did you mean 'central'\?\) in data.options"),
        (lambda photos: None, {"options": {"central": 0.0}}, "`central` must be above 0 and at most 1, but got 0"),
    ],
)
def test_a_folder_that_breaks_a_law_is_refused_before_an_image_is_opened(
    spoil: Callable[[Path], None], changes: dict[str, Any], message: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "open_image", lambda path: pytest.fail("opened"))
    spoil(photos)
    with pytest.raises(ConfigError, match=message):
        check_source(source(photos, **changes))
    with pytest.raises(ConfigError, match=message):
        load_search_splits(source(photos, **changes))


def test_a_split_has_no_class_of_its_own(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test", 2)
    (tmp_path / "test" / "cats").rename(tmp_path / "test" / "cat")
    with pytest.raises(ConfigError, match=r"must be among those of .*/train, but .*/test has cat; mend the folders' names"):
        check_source(source(tmp_path))


def test_many_folders_are_not_all_listed(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"class{number:02}").mkdir()
    with pytest.raises(ConfigError, match=r"has 20: class00, .*, class11, and 8 more$"):
        check_source(source(tmp_path))


def test_a_home_folder_is_written_as_usual(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    check_source(source(Path("~/photos")))
    monkeypatch.chdir(photos.parent)
    check_source(source(Path("photos")))


def test_notes_name_a_few_of_many_problems() -> None:
    problems = Problems({f"{number}.jpg": "truncated" for number in range(7)})
    problems.add_replaced("a.jpg", "truncated", "b.jpg")
    problems.add_replaced("a.jpg", "truncated", "b.jpg")
    assert len(problems) == 8
    assert problems.notes() == [
        "7 images could not be read and were left out: 0.jpg (truncated), 1.jpg (truncated), 2.jpg (truncated), 3.jpg (truncated), "
        "4.jpg (truncated), and 2 more",
        "1 image could not be read and was replaced by another of the same class: a.jpg (truncated; by b.jpg)",
    ]
    assert problem_notes([ArrayPair(np.zeros(1), np.zeros(1)), None]) == []
