"""Sources and splits: disjoint, stratified, seeded; a user's own function, good and bad."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fvsearch.data import check_source, describe_source, load, load_search_splits, load_test
from fvsearch.errors import ConfigError
from fvsearch.study import Data

EXAMPLES = Path(__file__).parents[1] / "examples"
DIGITS = Data(source="digits", image_size=8, channels=1, num_classes=10)


def test_a_source_is_described_with_its_options_and_its_share() -> None:
    assert describe_source(DIGITS) == "digits"
    shapes = Data(source="shapes", image_size=8, channels=1, num_classes=10, options={"samples": 600, "difficulty": 0.5}, train_share=0.25)
    assert describe_source(shapes) == "shapes (synthetic; samples 600, difficulty 0.5; 25% of the training images)"
    photos = Data(source="folder:photos/cats", image_size=8, channels=1, num_classes=10, options={"central": 1}, train_share=0.25)
    assert describe_source(photos) == "images in photos/cats (central 1; 25% of the training images)"
    cifar = Data(source="tfds:cifar10", image_size=8, channels=1, num_classes=10, options={"download": True, "data_dir": "/data"})
    assert describe_source(cifar) == "cifar10 of TensorFlow Datasets"
    records = Data(source="tfrecord:/data/*.tfrecord", image_size=8, channels=1, num_classes=10)
    assert describe_source(records) == "TFRecords in /data/*.tfrecord"


def stripes(source: str = "user_data:stripes", **changes: Any) -> Data:
    return Data(**{"source": source, "image_size": 8, "channels": 1, "num_classes": 3, **changes})


def keys(pair: Any) -> set[bytes]:
    """Images by their bytes; no two digits are equal."""
    return {image.tobytes() for image in pair.images}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; modules found in it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_digits_are_split_by_their_shares_and_scaled() -> None:
    splits = load(DIGITS)
    assert [len(pair.labels) for pair in splits] == [1077, 360, 360]
    for images, labels in splits:
        assert images.shape == (len(labels), 8, 8, 1)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)
        assert (images.min(), images.max()) == (-1, 1)


def test_splits_are_disjoint_and_lose_nothing() -> None:
    train, validation, test = map(keys, load(DIGITS))
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 1797


def test_splits_keep_the_classes_proportions() -> None:
    splits = load(DIGITS)
    whole = np.bincount(np.concatenate([pair.labels for pair in splits])) / 1797
    for pair in splits:
        assert np.abs(np.bincount(pair.labels) / len(pair.labels) - whole).max() < 0.005


def test_search_reads_the_same_train_and_validation_and_no_test() -> None:
    whole, searched, test = load(DIGITS), load_search_splits(DIGITS), load_test(DIGITS)
    assert searched._fields == ("train", "validation")
    for name in searched._fields:
        np.testing.assert_array_equal(getattr(whole, name).images, getattr(searched, name).images)
    np.testing.assert_array_equal(test.images, whole.test.images)


def test_another_seed_splits_otherwise() -> None:
    other = Data(source="digits", image_size=8, channels=1, num_classes=10, seed=1)
    assert keys(load_test(DIGITS)) != keys(load_test(other))


@pytest.mark.cross_backend
def test_another_process_splits_the_same() -> None:
    imports = "from fvsearch.data import load_search_splits; from fvsearch.study import Data"
    code = f"{imports}; print(load_search_splits({DIGITS!r}).train.labels.tolist())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(load_search_splits(DIGITS).train.labels.tolist())


def test_no_share_for_test_leaves_no_test() -> None:
    data = Data(source="digits", image_size=8, channels=1, num_classes=10, test=0)
    splits = load(data)
    assert splits.test is None
    assert load_test(data) is None
    assert len(splits.train.labels) + len(splits.validation.labels) == 1797


@pytest.mark.parametrize(
    "data",
    [
        DIGITS,
        Data(source="shapes", image_size=8, channels=1, num_classes=10, options={"samples": 600}),
        stripes("user_data:split_stripes"),
    ],
    ids=lambda data: data.source,
)
@pytest.mark.usefixtures("in_examples")
def test_a_share_of_the_training_split_is_stratified_and_part_of_a_larger_one(data: Data) -> None:
    whole = load(data)
    splits = {share: load(msgspec.structs.replace(data, train_share=share)) for share in (0.1, 0.5, 0.9)}
    smaller = set[bytes]()
    for share, (train, validation, test) in splits.items():
        np.testing.assert_array_equal(validation.images, whole.validation.images)
        np.testing.assert_array_equal(test.images, whole.test.images)
        counts, of = np.bincount(train.labels), np.bincount(whole.train.labels)
        assert np.abs(counts - share * of).max() <= 0.5
        assert smaller < keys(train) < keys(whole.train)
        searched = load_search_splits(msgspec.structs.replace(data, train_share=share))
        np.testing.assert_array_equal(searched.train.images, train.images)
        smaller = keys(train)


def test_the_smallest_share_keeps_an_image_of_each_class() -> None:
    train = load_search_splits(msgspec.structs.replace(DIGITS, train_share=1e-6)).train
    assert np.bincount(train.labels).tolist() == [1] * 10


@pytest.mark.usefixtures("in_examples")
def test_a_users_function_is_found_in_the_current_directory_and_takes_options() -> None:
    data = stripes(options={"num_images": 60})
    check_source(data)
    splits = load(data)
    assert [len(pair.labels) for pair in splits] == [36, 12, 12]
    assert [np.bincount(pair.labels).tolist() for pair in splits] == [[12] * 3, [4] * 3, [4] * 3]
    images = np.concatenate([pair.images for pair in splits])
    assert images.dtype == np.float32
    assert -1 <= images.min() < -0.5 < 0.5 < images.max() <= 1


@pytest.mark.usefixtures("in_examples")
def test_a_users_test_split_is_taken_as_it_is() -> None:
    data = stripes("user_data:split_stripes", validation=0.2)
    splits = load(data)
    assert [len(pair.labels) for pair in splits] == [72, 18, 30]
    assert not keys(splits.train) & keys(splits.validation)
    assert keys(load_test(data)) == keys(splits.test)
    assert len(load_search_splits(data)) == 2


def test_all_splits_of_a_users_own_are_taken_as_they_are(here: Path) -> None:
    (here / "mine.py").write_text(
        "import numpy as np\n"
        "def pair(n): return np.full((n, 8, 8), n, 'uint8'), np.zeros(n, int)\n"
        "def splits(): return {'train': pair(5), 'validation': pair(3), 'test': pair(2)}\n"
    )
    splits = load(stripes("mine:splits"))
    assert [len(pair.labels) for pair in splits] == [5, 3, 2]
    np.testing.assert_allclose(splits.train.images, 5 / 127.5 - 1, rtol=1e-6)


def test_checking_a_source_does_not_run_a_users_code(here: Path) -> None:
    package = here / "package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "images.py").write_text("raise RuntimeError('imported')\ndef load(): ...\n")
    check_source(stripes("package.images:load"))
    with pytest.raises(ConfigError, match=r"no 'imagse' in the package 'package' \(did you mean 'images'\?\) at data.source"):
        check_source(stripes("package.imagse:load"))
    with pytest.raises(ConfigError, match="it raised RuntimeError: imported"):
        load_search_splits(stripes("package.images:load"))


def test_a_users_folders_need_no_init_file(here: Path) -> None:
    (here / "plain" / "deep").mkdir(parents=True)
    (here / "plain" / "deep" / "mine.py").write_text(
        "import numpy as np\ndef load(): return np.zeros((30, 8, 8, 1), 'uint8'), np.arange(30) % 3\n"
    )
    check_source(stripes("plain.deep.mine:load"))
    assert sum(len(pair.labels) for pair in load(stripes("plain.deep.mine:load"))) == 30
    with pytest.raises(ConfigError, match=r"no 'mien' in the package 'plain.deep' \(did you mean 'mine'\?\) at data.source"):
        check_source(stripes("plain.deep.mien:load"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("user_dat:stripes", r"there is no 'user_dat' in Python's path or .* \(did you mean 'user_data'\?\)"),
        ("user_data:strips", r"user_data.py has no 'strips' \(did you mean 'stripes'\?\)"),
        ("digts", r"must be 'digits', 'shapes', .* or a function's name, but got 'digts' \(did you mean 'digits'\?\); source ="),
        ("user_data:", "must be 'digits', 'shapes', .* or a function's name"),
        ("function", "must be 'digits', 'shapes', .* or a function's name"),
        ("tdfs:cifar10", r"must be .*'tfds:NAME'.*, but got 'tdfs:cifar10' \(did you mean 'tfds'\?\); source ="),
        ("foldr:photos", r"must be .*'folder:PATH'.*, but got 'foldr:photos' \(did you mean 'folder'\?\); source ="),
        ("../examples", r"must be .*'folder:PATH'.*, but got '../examples' \(did you mean 'folder:../examples'\?\); source ="),
        ("folder:", r"'folder:' must name a folder of class folders; write folder:PATH"),
        ("folders:/photos", r"must be .*'folder:PATH'.*, but got 'folders:/photos' \(did you mean 'folder'\?\); source ="),
        ("digits", r"has image_size=8, channels=1, num_classes=10, but got image_size=8, channels=1, num_classes=3 at data"),
    ],
)
@pytest.mark.usefixtures("in_examples")
def test_a_source_that_is_none_is_refused_at_once(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_source(stripes(source))
    with pytest.raises(ConfigError):
        load_search_splits(stripes(source))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("np.zeros((9, 8, 8, 1))", r"a split must be \(images, labels\), but got ndarray of 9"),
        ("(np.zeros((9, 8, 6, 1)), np.arange(9) % 3)", r"images must have shape \(n, 8, 8, 1\) .*, but got \(9, 8, 6, 1\) from mine:data"),
        ("(np.zeros((0, 8, 8, 1)), np.zeros(0, int))", r"images must have shape"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(8) % 3)", r"labels must have shape \(9,\), one for each image, but got \(8,\)"),
        ("(np.zeros((9, 8, 8, 1)), np.eye(9))", r"labels must have shape \(9,\), one for each image, but got \(9, 9\)"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(9) % 3 + 1)", r"labels must lie in 0 to 2 as data.num_classes=3 says, but got 3"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(9) % 3 - 1)", r"labels must lie in 0 to 2 as data.num_classes=3 says, but got -1"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(9) % 3 * 1.0)", r"labels must be integers, but got float64"),
        ("(np.zeros((9, 8, 8, 1), int), np.arange(9) % 3)", r"images must be uint8, or floats scaled to \[-1, 1\], but got int64"),
        ("(np.full((9, 8, 8, 1), 255.0), np.arange(9) % 3)", r"scaled to \[-1, 1\] or standardised, but got values as large as 255"),
        ("(np.full((9, 8, 8, 1), np.nan), np.arange(9) % 3)", r"but got values as large as nan"),
        ("(np.zeros((9, 8, 8, 1)), np.array([0, 1] * 4 + [2]))", r"every class must have at least 3 images .*, but class 2 has 1;"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(9) % 2)", r"every class must have at least 3 images .*, but class 2 has 0"),
        ("(np.zeros((9, 8, 8, 1)), np.arange(9) % 3)", r"a share of 0.2 of 9 images is 2; give more images or change the shares"),
        ("{'train': 1, 'tset': 2}", r"must have the keys \"train\" and \"test\", and may have \"validation\", but got \['train', 'tset'\]"),
        ("1 / 0", r"mine:data must return images and labels, but it raised ZeroDivisionError"),
    ],
)
def test_what_a_users_function_returns_is_checked(returned: str, message: str, here: Path) -> None:
    (here / "mine.py").write_text(f"import numpy as np\ndef data(): return {returned}\n")
    with pytest.raises(ConfigError, match=message):
        load_search_splits(stripes("mine:data"))


def test_options_a_function_does_not_take_are_refused(here: Path) -> None:
    (here / "mine.py").write_text("def data(size): ...\n")
    with pytest.raises(ConfigError, match=r"must take the options \['sise'\], but .* at data.options"):
        load_search_splits(stripes("mine:data", options={"sise": 3}))
