"""What the tests of TFRecords and of TensorFlow Datasets read, made by TensorFlow itself: `python made_by_tensorflow.py FOLDER`.

A process of its own, for it imports TensorFlow. Image i of n is flat grey of level i, of class i % 3; all are PNG.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from fvsearch.data.tfds_prepare import prepare


def png(level: int, size: tuple[int, int] = (16, 20)) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full(size, level, np.uint8)).save(content, "png")
    return content.getvalue()


def feature(value: bytes | int | float | list[int]) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value, -value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value if isinstance(value, list) else [value]))


def example(level: int, first_label: int) -> bytes:
    """A record as ImageNet's script writes them, as to names and kinds of features."""
    features = {
        "image/encoded": png(level),
        "image/class/label": level % 3 + first_label,
        "image/class/text": f"class {level % 3}, ä".encode(),
        "image/object/bbox/xmin": 0.25,
        "image/object/bbox/label": [-1, 2**40, 3],
        "image/height": 16,
        "image/format": b"PNG",
    }
    named = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def write_records(folder: Path) -> None:
    folder.mkdir()
    for name, levels, first_label in (
        ("train-00000-of-00002", range(20), 0),
        ("train-00001-of-00002", range(20, 30), 0),
        ("validation-00000-of-00001", range(100, 109), 0),
        ("from-one.tfrecord", range(30), 1),
    ):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for level in levels:
                writer.write(example(level, first_label))
    with tf.io.TFRecordWriter(str(folder / "packed.tfrecord"), tf.io.TFRecordOptions("GZIP")) as writer:
        writer.write(example(0, 0))


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Images of two sizes or of one, with a labelled test split, with one without labels, or with none."""

    VERSION = tfds.core.Version("1.2.0")
    SUPPORTED_VERSIONS = [tfds.core.Version("1.10.0")]
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("mixed", "small", "secret")]

    def _info(self) -> Any:
        size = (8, 8) if self.builder_config.name == "small" else (None, None)
        features = {
            "file_name": tfds.features.Text(),
            "image": tfds.features.Image(shape=(*size, 1)),
            "label": tfds.features.ClassLabel(names=["birds", "cats", "dogs"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label"))

    def _split_generators(self, manager: Any) -> Any:
        splits = {"train": self._generate_examples(range(30)), "validation": self._generate_examples(range(100, 109))}
        if self.builder_config.name != "secret":
            return splits | {"test": self._generate_examples(range(200, 206))}
        return splits | {"test": self._generate_examples(range(200, 206), labelled=False)}

    def _generate_examples(self, levels: range, labelled: bool = True) -> Any:
        for level in levels:
            size = (8, 8) if self.builder_config.name == "small" else (16 + level % 2, 20)
            yield (
                level,
                {
                    "file_name": f"{level}.png",
                    "image": np.full((*size, 1), level, np.uint8),
                    "label": level % 3 if labelled else -1,
                },
            )


class Paired(tfds.core.GeneratorBasedBuilder):
    """Two images, two labels, and nothing that says which are meant."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        names = tfds.features.ClassLabel(num_classes=3)
        image = tfds.features.Image(shape=(8, 8, 1))
        features = {"left": image, "right": image, "first": names, "second": names}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager: Any) -> Any:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        image = np.zeros((8, 8, 1), np.uint8)
        yield 0, {"left": image, "right": image, "first": 0, "second": 1}


def main(folder: Path) -> None:
    write_records(folder / "records")
    for name in ("tiny_pictures/mixed", "tiny_pictures/small", "tiny_pictures/secret", "tiny_pictures/secret:1.10.0", "paired"):
        prepare(name, folder / "sets", folder / "manual")
    for name in ("small", "mixed"):
        TinyPictures(config=name, data_dir=folder / "arrays", file_format="array_record").download_and_prepare()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
