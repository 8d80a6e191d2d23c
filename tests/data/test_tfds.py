"""Sets that TensorFlow Datasets prepared, in both of its formats; and those that are not there."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fvsearch.data import ArrayPair, check_source, load, load_search_splits, load_test, prepare_source, problem_notes, tfds, tfds_prepare
from fvsearch.data.stored import StoredImages
from fvsearch.errors import ConfigError, MissingBackendError, RunError
from fvsearch.study import Data

FORMATS = {"tfrecord": "sets", "array_record": "arrays"}


def source(name: str, folder: Path, **changes: Any) -> Data:
    options = {"data_dir": str(folder), **changes.pop("options", {})}
    return Data(**{"source": f"tfds:{name}", "image_size": 8, "channels": 1, "num_classes": 3, "options": options, **changes})


def levels(split: Any) -> list[int]:
    images = split.images if isinstance(split, ArrayPair) else split.read(np.arange(len(split)))
    return np.round((images[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


@pytest.mark.parametrize("form", FORMATS)
def test_a_sets_own_splits_are_taken_and_read_when_they_are_wanted(form: str, made: Path) -> None:
    data = source("tiny_pictures/mixed", made / FORMATS[form])
    check_source(data)
    splits = load(data)
    assert all(isinstance(split, StoredImages) for split in splits)
    assert [sorted(levels(split)) for split in splits] == [[*range(30)], [*range(100, 109)], [*range(200, 206)]]
    for split in splits:
        assert split.labels.tolist() == [level % 3 for level in levels(split)]
    assert splits.train.read([3, 5], lambda position, height, width: (0, 0, 4 + position, width)).shape == (2, 8, 8, 1)
    assert splits.test.names([2])[0].endswith(f"test.{form}-00000-of-00001, record 2")
    assert not problem_notes(splits)


@pytest.mark.parametrize("form", FORMATS)
def test_a_small_set_of_the_wanted_size_is_held_as_arrays(form: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = source("tiny_pictures/small", made / FORMATS[form])
    splits = load_search_splits(data)
    assert isinstance(splits.train, ArrayPair)
    assert isinstance(splits.validation, ArrayPair)
    assert splits.train.images.shape == (30, 8, 8, 1)
    assert (splits.train.images.dtype, splits.train.labels.dtype) == (np.float32, np.int32)
    (place,) = np.flatnonzero(np.array(levels(splits.train)) == 7)
    np.testing.assert_array_equal(splits.train.images[place], np.full((8, 8, 1), np.float32(7) / np.float32(127.5) - np.float32(1)))
    assert splits.train.labels[place] == 1
    assert sorted(levels(load_test(data))) == [*range(200, 206)]
    assert isinstance(load_test(source("tiny_pictures/small", made / FORMATS[form], image_size=16)), StoredImages)
    monkeypatch.setattr("fvsearch.data.stored.LARGEST_HELD", 4 * 6 * 64)
    assert isinstance(load_search_splits(data).train, StoredImages)
    assert isinstance(load_test(data), ArrayPair)


def test_without_labels_of_its_own_test_images_validation_is_the_test_split(made: Path) -> None:
    data = source("tiny_pictures/secret", made / "sets")
    train, validation, test = load(data)
    assert (len(train), len(validation)) == (24, 6)
    assert sorted(levels(train) + levels(validation)) == [*range(30)]
    assert sorted(levels(test)) == sorted(levels(load_test(data))) == [*range(100, 109)]


def test_the_highest_version_is_read_unless_one_is_named(made: Path) -> None:
    def version(name: str) -> str:
        return tfds._prepared(tfds._named(source(name, made / "sets"), tfds.TFDSOptions(data_dir=str(made / "sets")))).name

    assert version("tiny_pictures/secret") == "1.10.0"
    assert version("tiny_pictures/secret:1.2.0") == "1.2.0"


def test_reading_a_set_imports_no_tensorflow(made: Path) -> None:
    imports = "import sys; from fvsearch.data import load; from fvsearch.study import Data"
    code = f"{imports}; load({source('tiny_pictures/small', made / 'arrays')!r}); load({source('tiny_pictures/mixed', made / 'sets')!r})"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "tensorflow_datasets" in loaded
    assert not {"tensorflow", "jax", "torch", "keras"} & set(loaded)


def test_a_set_that_tfds_cannot_read_is_to_be_prepared_again(made: Path, tmp_path: Path) -> None:
    broken = tmp_path / "tiny_pictures" / "1.0.0"
    broken.mkdir(parents=True)
    (broken / "dataset_info.json").write_text("{")
    with pytest.raises(ConfigError, match=r"must be able to read /.*/tiny_pictures/1.0.0, but: .*; prepare the set again"):
        check_source(source("tiny_pictures", tmp_path))


def test_an_array_record_file_that_is_broken_is_left_out_and_named(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "arrays", tmp_path, dirs_exist_ok=True)
    (broken,) = tmp_path.glob("tiny_pictures/mixed/*/*-test.*")
    broken.write_bytes(broken.read_bytes()[:100])
    splits = load(source("tiny_pictures/mixed", tmp_path))
    assert [sorted(levels(split)) for split in splits[:2]] == [[*range(30)], [*range(100, 109)]]
    assert splits.test is None
    (note,) = problem_notes(splits)
    assert note.startswith(f"1 image could not be read and was left out: {broken.name}, record 0 (")
    assert note.endswith(", and all that follow are lost with it)")
    (broken,) = tmp_path.glob("tiny_pictures/mixed/*/*-validation.*")
    broken.write_bytes(b"")
    with pytest.raises(
        ConfigError, match=r"the validation split of 'tfds:tiny_pictures/mixed' must hold an image, but holds none: 2 images"
    ):
        load(source("tiny_pictures/mixed", tmp_path))


def test_array_records_that_are_gone_are_an_error_that_names_one(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "arrays", tmp_path, dirs_exist_ok=True)
    test = load_test(source("tiny_pictures/mixed", tmp_path))
    for path in tmp_path.rglob("*array_record*"):
        path.unlink()
    with pytest.raises(RunError, match=r"none of class \d can be read, among them tiny_pictures-test.array_record.*, record 0 \("):
        test.read([0])


def test_the_folder_is_what_the_environment_says(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(made / "sets"))
    check_source(Data(source="tfds:tiny_pictures/mixed", image_size=8, channels=1, num_classes=3))


NOT_PREPARED = r"must be prepared in /.* \(data.options.data_dir\), but is not"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("cifar10", {}, NOT_PREPARED + "; set data.options.download = true to have TensorFlow Datasets download and prepare it there"),
        ("cifer10", {}, NOT_PREPARED + r" \(did you mean 'cifar10'\?\); set"),
        ("tiny_picture", {}, NOT_PREPARED + r" \(did you mean 'tiny_pictures'\?\); set"),
        ("tiny_pictures/mixed:3.0.0", {}, "'tfds:tiny_pictures/mixed:3.0.0' " + NOT_PREPARED + "; set"),
        (
            "imagenet2012",
            {"options": {"download": True}},
            r"that only you can download, at https://image-net.org/download-images, and ILSVRC2012_img_train.tar and "
            r"ILSVRC2012_img_val.tar must lie in /.*/sets/downloads/manual \(data.options.manual_dir\), but are not "
            r"there; then set data.options.download = true",
        ),
        (
            "tiny_pictures",
            {},
            r"one config of 'tfds:tiny_pictures' must be named, but .* has mixed, secret, small; give .*_pictures/mixed'",
        ),
        ("tiny_pictures/mixed", {"num_classes": 4}, "data.num_classes must be 3 as 'tfds:tiny_pictures/mixed' has it, but got 4"),
        ("tiny_pictures/mixed", {"channels": 2}, r"are read with 1 channel \(grey\) or 3 \(colour\), but got channels=2 at data"),
        (
            "paired",
            {},
            r"must have one image and one class label, but its features are first \(ClassLabel\), left \(Image\), right .*; a func",
        ),
        ("", {}, r"must be named tfds:NAME\[/CONFIG\]\[:VERSION\], but got 'tfds:' at data.source"),
        ("cifar10:3", {}, r"must be named tfds:NAME\[/CONFIG\]\[:VERSION\], but got 'tfds:cifar10:3' at data.source"),
        ("cifar10", {"options": {"dowload": True}}, r"unknown key `dowload` \(did you mean 'download'\?\) in data.options"),
    ],
)
def test_what_breaks_a_law_is_refused_before_anything_is_downloaded(
    name: str, changes: Any, message: str, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "prepare_apart", lambda *arguments: pytest.fail("downloaded"))
    data = source(name, made / "sets", **changes)
    with pytest.raises(ConfigError, match=message):
        check_source(data)
    with pytest.raises(ConfigError, match=message):
        load_search_splits(data)


def test_what_was_downloaded_by_hand_is_prepared_when_that_is_allowed(tmp_path: Path) -> None:
    data = source("imagenet2012", tmp_path, options={"manual_dir": str(tmp_path)})
    train, validation = tfds.MANUAL["imagenet2012"]
    for missing, is_or_are, then in ((f"{train} and {validation}", "are", train), (validation, "is", validation)):
        with pytest.raises(ConfigError, match=rf", and {missing} must lie in {tmp_path} .*, but {is_or_are} not there"):
            check_source(data)
        (tmp_path / then).touch()
    with pytest.raises(ConfigError, match=r"set data.options.download = true to have TensorFlow Datasets prepare it there"):
        check_source(data)
    check_source(source("imagenet2012", tmp_path, options={"manual_dir": str(tmp_path), "download": True}))


def test_a_missing_extra_is_one_sentence_with_the_pip_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingBackendError, match=r'\'tfds:cifar10\' needs TensorFlow Datasets, .*; `pip install "fvsearch\[tfds\]"`'):
        check_source(source("cifar10", tmp_path))


def test_a_set_is_prepared_by_another_process_that_says_what_went_wrong(tmp_path: Path) -> None:
    told: list[str] = []
    data = source("no_such_set", tmp_path, options={"download": True})
    check_source(data)
    with pytest.raises(
        RunError, match=r"'tfds:no_such_set' could not be downloaded and prepared in .*: DatasetNotFoundError: .*; the same"
    ):
        prepare_source(data, told.append)
    assert told == [f"downloading and preparing tfds:no_such_set in {tmp_path}"]


def test_what_was_just_prepared_is_read(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As made_by_tensorflow.py prepared it, by the same function."""

    def prepared(asked: str, folder: Path, manual: Path) -> None:
        assert (asked, folder, manual) == ("tiny_pictures/secret:1.2.0", tmp_path, tmp_path / "downloads" / "manual")
        (tmp_path / "tiny_pictures").symlink_to(made / "sets" / "tiny_pictures")

    monkeypatch.setattr(tfds, "prepare_apart", prepared)
    data = source("tiny_pictures/secret:1.2.0", tmp_path, options={"download": True})
    assert len(load_search_splits(data).train) == 24


def test_the_process_that_prepares_answers_for_a_killed_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = subprocess.CompletedProcess([], -9, stdout="")
    monkeypatch.setattr(tfds_prepare.subprocess, "run", lambda *arguments, **options: killed)
    with pytest.raises(RunError, match="its process ended with code -9; the same command tries again"):
        tfds_prepare.prepare_apart("cifar10", tmp_path, tmp_path)
