"""tfds:NAME[/CONFIG][:VERSION]: what TensorFlow Datasets has prepared, such as tfds:cifar10 or tfds:imagenet2012.

TFDS names the features, splits and files of a prepared set; the files are read here, one image at a time, and TensorFlow is not even
imported (it would take the GPU that JAX or PyTorch trains on). Only preparing a set needs it, in a process of its own (tfds_prepare.py).
The set's own splits are taken. Where it has no labelled test split, its validation split is the test split, and a search validates on a
share of train: so it is with ImageNet, whose test labels are secret. A set that is small and of the wanted size is held as arrays.
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from fvsearch.data.indexes import Tell, silent
from fvsearch.data.paths import LONGEST, named_path
from fvsearch.data.record_formats import FORMATS
from fvsearch.data.record_index import Keys, Records, index_records, record_images
from fvsearch.data.splits import SPLIT_NAMES, own_splits
from fvsearch.data.stored import StoredImages, StoredOptions, require_levels
from fvsearch.data.tfds_prepare import prepare_apart
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.records import from_builtins, in_short, suggest
from fvsearch.study import Data

SOURCE = re.compile(r"tfds:(?P<name>\w+)(?:/(?P<config>[\w.-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")

OFTEN = ("cifar10", "cifar100", "fashion_mnist", "imagenet2012", "imagenette", "mnist", "oxford_flowers102", "oxford_iiit_pet")
"""Sets that a misspelt name may mean."""

MANUAL = {"imagenet2012": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")}
"""Files that TFDS cannot download: https://image-net.org/download-images gives them to who registers."""


class TFDSOptions(StoredOptions, frozen=True, kw_only=True):
    """What `data.options` may say of a set of TensorFlow Datasets.

    Attributes:
        data_dir: Folder of prepared sets; by default what TFDS_DATA_DIR names, else ~/tensorflow_datasets.
        manual_dir: Folder of what was downloaded by hand; by default downloads/manual in the other.
        download: Whether to download and prepare the set, if it is not there.
    """

    data_dir: str = ""
    manual_dir: str = ""
    download: bool = False


class Named(NamedTuple):
    """What a source names, and where it is to be."""

    name: str
    config: str | None
    version: str | None
    folder: Path
    manual: Path

    @property
    def asked(self) -> str:
        """As TFDS is asked for it."""
        return self.name + (f"/{self.config}" if self.config else "") + (f":{self.version}" if self.version else "")


def check_tfds(data: Data) -> None:
    """The law that the set is prepared, or may be downloaded, and that it is what the record says; no image is read.

    Raises:
        MissingBackendError: TensorFlow Datasets is not installed.
        ConfigError: The law does not hold.
    """
    options = _options(data)
    require_levels(data)
    named = _named(data, options)
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise MissingBackendError(
            f'the data source {data.source!r} needs TensorFlow Datasets, which is not installed; `pip install "fvsearch[tfds]"` installs it'
        )
    prepared = _prepared(named)
    if prepared is None:
        _require_obtainable(named, data, options)
    else:
        _keys_and_size(_info(prepared), data)


def read_tfds(data: Data, tell: Tell = silent) -> StoredImages | dict[str, StoredImages]:
    """All images, or those of the set's own splits; if the options allow it, the set is downloaded and prepared before.

    Raises:
        ConfigError: The set breaks a law.
        RunError: It cannot be downloaded or prepared.
    """
    check_tfds(data)
    options = _options(data)
    named = _named(data, options)
    prepared = _prepared(named)
    if prepared is None:
        tell(f"downloading and preparing {data.source} in {named.folder}")
        prepare_apart(named.asked, named.folder, named.manual)
        prepared = _prepared(named)
        assert prepared is not None, "TFDS has just prepared it"
    info = _info(prepared)
    keys, size = _keys_and_size(info, data)
    form = FORMATS[info.file_format.value]
    records = {
        name: index_records(form.walk, [Path(path) for path in info.splits[name].filepaths], keys, f"{data.source}, {name}", tell)
        for name in _split_names(info)
    }
    return own_splits(record_images(_labelled(records), form.store, data, options.central, first_label=0, size=size))


def _options(data: Data) -> TFDSOptions:
    return from_builtins(data.options, TFDSOptions, source="data.options")


def _named(data: Data, options: TFDSOptions) -> Named:
    said = SOURCE.fullmatch(data.source)
    if said is None:
        raise ConfigError(
            f"a set of TensorFlow Datasets must be named tfds:NAME[/CONFIG][:VERSION], but got {data.source!r} at data.source"
        )
    folder = named_path(options.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets", "data.options.data_dir")
    manual = named_path(options.manual_dir, "data.options.manual_dir") if options.manual_dir else folder / "downloads" / "manual"
    return Named(said["name"], said["config"], said["version"], folder, manual)


def _prepared(named: Named) -> Path | None:
    """The folder of the set, of its highest version unless one was named; none where it is not prepared.

    Raises:
        ConfigError: Several configs are prepared, and none is named.
    """
    above = named.folder / named.name
    found = _versions(above / named.config if named.config else above, named.version)
    if not found and not named.config:
        configs = [place for place in _inside(above) if _versions(place, named.version)]
        if len(configs) > 1:
            raise ConfigError(
                f"one config of 'tfds:{named.name}' must be named, but {above} has {', '.join(place.name for place in configs)}; "
                f"give data.source='tfds:{named.name}/{configs[0].name}'"
            )
        found = _versions(configs[0], named.version) if configs else []
    return max(found, key=lambda place: [int(part) for part in place.name.split(".")], default=None)


def _versions(above: Path, wanted: str | None) -> list[Path]:
    return [
        place
        for place in _inside(above)
        if re.fullmatch(r"\d+\.\d+\.\d+", place.name) and wanted in (None, place.name) and (place / "dataset_info.json").exists()
    ]


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _require_obtainable(named: Named, data: Data, options: TFDSOptions) -> None:
    """The law that what is not prepared may be downloaded, and that what cannot be downloaded is there."""
    missing = [file for file in MANUAL.get(named.name, ()) if not (named.manual / file).exists()]
    if missing:
        raise ConfigError(
            f"{data.source!r} is prepared from files that only you can download, at https://image-net.org/download-images, and "
            f"{' and '.join(missing)} must lie in {named.manual.absolute()} (data.options.manual_dir), but "
            f"{'is' if len(missing) == 1 else 'are'} not there; then set data.options.download = true"
        )
    if not options.download:
        known = {place.name for place in _inside(named.folder) if place.is_dir()} | set(OFTEN)
        near = "" if named.name in known else suggest(named.name, known)
        raise ConfigError(
            f"{data.source!r} must be prepared in {named.folder.absolute()} (data.options.data_dir), but is not"
            f"{near}; set data.options.download = true to have TensorFlow Datasets "
            f"{'prepare' if named.name in MANUAL else 'download and prepare'} it there"
        )


def _info(prepared: Path) -> Any:
    """TFDS's information on a prepared set.

    Raises:
        ConfigError: It cannot be read.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(prepared).info
    except Exception as error:  # of JSON, of protocol buffers, of features that this version does not know
        reason = in_short(str(error), LONGEST) or type(error).__name__
        raise ConfigError(f"TensorFlow Datasets must be able to read {prepared}, but: {reason}; prepare the set again") from None


def _keys_and_size(info: Any, data: Data) -> tuple[Keys, tuple[int, int] | None]:
    """The features to read, and (height, width) of the images if all have the same.

    Raises:
        ConfigError: The set is not one of images with one label each, or has another number of classes, or no split to train on.
    """
    import tensorflow_datasets as tfds

    features = dict(info.features.items()) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [name for name, feature in features.items() if type(feature) is tfds.features.Image]
    labels = [name for name, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if info.supervised_keys and len(info.supervised_keys) == 2 and set(info.supervised_keys) <= {*images, *labels}:
        image, label = info.supervised_keys
        images, labels = [name for name in images if name == image], [name for name in labels if name == label]
    if len(images) != 1 or len(labels) != 1:
        raise ConfigError(
            f"{data.source!r} must have one image and one class label, but its features are "
            f"{', '.join(f'{name} ({type(feature).__name__})' for name, feature in sorted(features.items()))}; "
            'a function of yours may choose: source = "package.module:function"'
        )
    classes = features[labels[0]].num_classes
    if classes != data.num_classes:
        raise ConfigError(f"data.num_classes must be {classes} as {data.source!r} has it, but got {data.num_classes}")
    if "train" not in _split_names(info):
        raise ConfigError(f"{data.source!r} must have a split 'train', but has {', '.join(info.splits) or 'none'}; prepare it again")
    if info.file_format.value not in FORMATS:
        raise ConfigError(
            f"{data.source!r} must be prepared as {' or '.join(FORMATS)}, but is as {info.file_format.value}; prepare it again"
        )
    height, width, _ = features[images[0]].shape
    return Keys(images[0], labels[0]), None if height is None or width is None else (height, width)


def _split_names(info: Any) -> list[str]:
    """The set's splits that are ours too, those that hold something."""
    return [name for name in dict.fromkeys(SPLIT_NAMES.values()) if name in info.splits and info.splits[name].num_examples]


def _labelled(records: dict[str, Records]) -> dict[str, Records]:
    """Without a test split that has no labels: TFDS writes -1 where there is none."""
    return {name: found for name, found in records.items() if name != "test" or not len(found.rows) or (found.labels >= 0).any()}
