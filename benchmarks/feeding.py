"""Images/s of the input pipeline alone, ours beside tf.data's in one run, and what each augmentation costs.

    python benchmarks/feeding.py [--backends jax tensorflow torch] [--image-sizes 32 224] [--batch-size 64] [--threads 1 2]
                                 [--seconds 5] [--out runs/bench/feeding.json] [--docs docs/feeding.md]

Pictures of a given size lie in memory as float32. The work that is compared is Inception's: a crop of 5% to 100% of the area, of an aspect
between 3/4 and 4/3, resized bilinearly, and a flip. tf.data does it as is usual, image by image in a parallel `map`, with
`tf.image.sample_distorted_bounding_box`, `resize` and `random_flip_left_right`; or batch by batch, with `tf.image.crop_and_resize`. Each
backend and image size has a process of its own, where all pipelines take turns, round by round: each makes some thousand images, from its
start to its end, and nothing is made ahead while it is not its turn. Ratios are of the same round, their median and 95% interval, and
ours, with as many threads as there are cores, over the other: above 1 we are faster. Needs TensorFlow for the peers.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from _pages import print_run, write_runs

from fvsearch.backend import BACKENDS, is_installed
from fvsearch.meters.rounds import Runner, median_interval, paired_ratio, time_interleaved
from fvsearch.study.augmentation import Augmentation

AREA, ASPECT = (0.05, 1.0), (3 / 4, 4 / 3)
INCEPTION = Augmentation(crop=AREA, flip=True)
OTHERS = {
    "nothing": Augmentation(),
    "crop": Augmentation(crop=AREA),
    "MoCo": Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True),
    "MoCo, mixup, cutmix": Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True, mixup=0.2, cutmix=1.0),
}
NUM_CLASSES = 100
HELD = 512
"""Pictures that there are."""

PIXELS = 4 * 2**20
"""Of a turn, at least: 4,096 images of 32x32, 84 of 224x224; whole batches of them."""


def main() -> int:
    """Measure each backend and image size in a process of its own, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=[name for name in BACKENDS if is_installed(name)])
    parser.add_argument("--image-sizes", nargs="+", type=int, default=[32, 224])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", nargs="+", type=int, default=[*{1: 0, os.cpu_count() or 1: 0}], help="the last is the reference")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each pipeline at most; narrow ratios end the rounds earlier")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/feeding.json"), help="where the JSON document goes")
    parser.add_argument("--docs", type=Path, help="a page whose figures to replace: docs/feeding.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.image_sizes[0], options.batch_size, options.threads, options.seconds)))
        return 0
    document: dict[str, Any] = {
        "benchmark": "feeding",
        "command": " ".join(["python benchmarks/feeding.py", *sys.argv[1:]]),
        "batch_size": options.batch_size,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 2),
        "runs": [],
    }
    for backend in options.backends:
        for size in options.image_sizes:
            command = [sys.executable, __file__, "--child", backend, "--image-sizes", str(size), "--batch-size", str(options.batch_size)]
            command += ["--threads", *map(str, options.threads), "--seconds", str(options.seconds)]
            environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
            answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            document["runs"].append(json.loads(answer.splitlines()[-1]))
            found = document["runs"][-1]
            print_run(title(found, document), *figures(found), "ratio: the first row over this one")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if options.docs:
        write_runs(
            options.docs, "benchmarks/feeding.py", document, [(title(found, document), *figures(found)) for found in document["runs"]]
        )
    print(f"written: {options.out}", file=sys.stderr)
    return 0


def measure(backend: str, size: int, batch_size: int, threads: list[int], seconds: float) -> dict[str, Any]:
    """All pipelines of one image size on one backend, in turns."""
    from fvsearch.training.environment import set_environment

    set_environment()
    from fvsearch.meters.lock import device_lock
    from fvsearch.training.device import device_name, set_up_device, versions

    set_up_device()
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (HELD, size, size, 3)).astype(np.float32)
    labels = random.integers(NUM_CLASSES, size=HELD).astype(np.int32)
    batches = math.ceil(PIXELS / size**2 / batch_size)  # of a turn
    most = threads[-1]
    runners = {ours("Inception", most): our_runner(images, labels, INCEPTION, batch_size, batches, most)}
    runners |= {ours("Inception", one): our_runner(images, labels, INCEPTION, batch_size, batches, one) for one in threads[:-1]}
    found: dict[str, Any] = {"backend": backend, "image_size": size, "versions": versions()}
    if is_installed("tensorflow"):
        import tensorflow as tf

        found["versions"]["tensorflow"] = tf.__version__
        for name, dataset in (("tf.data, by image", by_image), ("tf.data, by batch", by_batch)):
            runners[f"{name}, {count(most)}"] = tf_runner(dataset(images, labels, batch_size, most), batches)
    runners |= {ours(name, most): our_runner(images, labels, other, batch_size, batches, most) for name, other in OTHERS.items()}
    found["device"] = device_name()
    with device_lock(found["device"]):
        samples = dict(zip(runners, time_interleaved(list(runners.values()), seconds * len(runners)), strict=True))
    reference = next(iter(samples.values()))
    found["pipelines"] = {name: summarise(taken, reference, batches * batch_size) for name, taken in samples.items()}
    return found


def ours(name: str, threads: int) -> str:
    """What the table calls a pipeline of ours."""
    return f"fvsearch, {name}, {count(threads)}"


def count(threads: int) -> str:
    """`2 threads`."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def summarise(taken: list[float], reference: list[float], images: int) -> dict[str, Any]:
    """The ratio of the reference over a pipeline, with its interval, and images/s: the reference's by the ratio."""
    ratio = paired_ratio(taken, reference)
    return {
        "ratio": [round(value, 3) for value in (ratio.median, ratio.low, ratio.high)],
        "images_per_s": round(images / median_interval(reference).median / ratio.median, 1),
        "rounds": len(taken),
    }


def our_runner(images: Any, labels: Any, augmentation: Augmentation, batch_size: int, batches: int, threads: int) -> Runner:
    """Turns of a pipeline of ours: the batches of one epoch after the other."""
    from fvsearch.data import ArrayPair
    from fvsearch.data.array_images import ArrayImages
    from fvsearch.study.recipe import Recipe
    from fvsearch.training.batches import TrainingBatches
    from fvsearch.training.stream import Stream

    recipe = Recipe(epochs=1, batch_size=batch_size, augmentation=augmentation)
    training = TrainingBatches(ArrayImages(ArrayPair(images, labels)), recipe, 0, NUM_CLASSES)

    def run(turns: int) -> None:
        wanted = turns * batches
        with Stream(training, range(wanted), batch_bytes=4 * batch_size * math.prod(images.shape[1:]), threads=threads) as stream:
            drain(stream.take(wanted))

    return run


def tf_runner(dataset: Any, batches: int) -> Runner:
    """Turns of a tf.data pipeline."""

    def run(turns: int) -> None:
        drain(dataset.take(turns * batches).as_numpy_iterator())

    return run


def drain(batches: Iterable[Any]) -> None:
    """Take all of them."""
    for _ in batches:
        pass


def by_image(images: Any, labels: Any, batch_size: int, threads: int) -> Any:
    """tf.data as is usual: an image at a time, then batches."""
    import tensorflow as tf

    size = images.shape[1:3]

    def alter(image: Any, label: Any) -> tuple[Any, Any]:
        begin, shape, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            bounding_boxes=tf.zeros((1, 0, 4)),
            area_range=AREA,
            aspect_ratio_range=ASPECT,
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.image.resize(tf.slice(image, begin, shape), size)
        return tf.image.random_flip_left_right(tf.ensure_shape(image, images.shape[1:])), label

    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().shuffle(HELD)
    return with_threads(dataset.map(alter, num_parallel_calls=threads).batch(batch_size), threads)


def by_batch(images: Any, labels: Any, batch_size: int, threads: int) -> Any:
    """tf.data with boxes for a whole batch; those that do not fit are cut down to the picture, which spares drawing again."""
    import tensorflow as tf

    size = images.shape[1:3]

    def alter(batch: Any, labels: Any) -> tuple[Any, Any]:
        share, log_aspect, down, right, coin = (tf.random.uniform((batch_size,)) for _ in range(5))
        share = AREA[0] + (AREA[1] - AREA[0]) * share
        aspect = ASPECT[0] * (ASPECT[1] / ASPECT[0]) ** log_aspect
        height, width = tf.minimum(1.0, tf.sqrt(share / aspect)), tf.minimum(1.0, tf.sqrt(share * aspect))
        top, left = down * (1 - height), right * (1 - width)
        batch = tf.image.crop_and_resize(batch, tf.stack([top, left, top + height, left + width], axis=1), tf.range(batch_size), size)
        return tf.where(coin[:, None, None, None] < 0.5, tf.reverse(batch, [2]), batch), labels

    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().shuffle(HELD).batch(batch_size, drop_remainder=True)
    return with_threads(dataset.map(alter, num_parallel_calls=threads), threads)


def with_threads(dataset: Any, threads: int) -> Any:
    """A dataset whose batches are made ahead, by so many threads of its own."""
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    return dataset.prefetch(2 * threads).with_options(options)


def title(found: dict[str, Any], document: dict[str, Any]) -> str:
    """Of a run's figures: on what."""
    size, versions = found["image_size"], found["versions"]
    known = ", ".join(
        f"{name} {versions[name]}" for name in dict.fromkeys(("keras", found["backend"], "numpy", "tensorflow")) if name in versions
    )
    return f"{size}x{size}x3: {known}; {found['device']}, {document['machine']}, batches of {document['batch_size']}"


def figures(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A header, and a row each pipeline."""
    rows = []
    for number, (name, one) in enumerate(found["pipelines"].items()):
        median, low, high = one["ratio"]
        rows.append([name, f"{one['images_per_s']:,.0f}", f"{median:.2f} ({low:.2f} to {high:.2f})" if number else "1"])
    return ["", "images/s", "ratio (95% interval)"], rows


if __name__ == "__main__":
    sys.exit(main())
