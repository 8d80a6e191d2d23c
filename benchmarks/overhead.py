"""What a trial costs beside learning: import, build, trace, compile, first evaluation; plain Keras against a trial of ours.

    python benchmarks/overhead.py [--backends jax tensorflow] [--archs base funnel vit-s] [--ways ...] [--repeats 1] [--out FILE]

Two epochs of the same model, recipe and images are trained and evaluated in each way: the second holds learning alone, so

    overhead = all that was spent until the first evaluation had ended - the second epoch with its evaluation

    plain   build_model, then Keras's `compile`, `fit` and `evaluate`, nothing else set
    whole   the same, on images cut to whole batches: plain without the last, smaller batch, which XLA compiles a second time
    ours    run_segment, as a worker runs it: the memory meter and a checkpoint an epoch are counted in

Each way and backend has processes of its own. In every process the archs come one after another: the first is met cold (imports
counted in), the others by a worker kept warm. Orders are rotated, ways take turns, medians are reported, in CPU and in wall seconds:
trust CPU seconds where the machine has other work. A table on stderr, one JSON document on stdout.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvsearch import load_study, parse_layout
from fvsearch.archs.arch import Arch
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np

ARCHS = {
    "base": "B2(17, h48, m96, a3)-2(17, h48, m96, a3)",
    "funnel": "B2(17, h64, m128, a4)-2(9, h48, m96, a3)-2(5, h32, m64, a2)",
    "vit-s": "B12(197, h384, m1536, a6)",
}
"""The quickstart's baseline, three stages of its space, and ViT-S/16."""

EPOCHS = 2
ACTIVITIES = ("import", "build", "compile", "first step", "first evaluation", "overhead", "epoch")


def noise() -> "dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]":
    """Splits of random images for ViT-S: as any count of images that no batch size of 8 divides."""
    import numpy as np

    random = np.random.default_rng(0)
    counts = {"train": 20, "validation": 12, "test": 10}
    return {
        name: (random.standard_normal((count, 224, 224, 3), dtype=np.float32).clip(-1, 1), np.arange(count) % 10)
        for name, count in counts.items()
    }


def problem(name: str) -> tuple[Arch, Data, Recipe]:
    """An arch, its images and its recipe."""
    study = load_study("quickstart")
    if name != "vit-s":
        return parse_layout(ARCHS[name], patch_size=2, image_size=8), study.data, study.recipe
    data = Data(source="overhead:noise", image_size=224, channels=3, num_classes=10)
    return parse_layout(ARCHS[name]), data, Recipe(epochs=15, batch_size=8, warmup_epochs=2, dropout=0.1)


class Marks:
    """Seconds since a process met an arch, by what had ended: (wall, CPU)."""

    def __init__(self) -> None:
        self.zero = time.perf_counter(), time.process_time()
        self.marks: dict[str, tuple[float, float]] = {}

    def set(self, name: str) -> None:
        """It has ended now, if it has not before."""
        wall, cpu = self.zero
        self.marks.setdefault(name, (time.perf_counter() - wall, time.process_time() - cpu))

    def activities(self) -> dict[str, tuple[float, float]]:
        """Seconds by activity: (wall, CPU). Those on the way to the first evaluation follow one another."""
        ways = ("import", "build", "compile", "first step", "first evaluation")
        reached = [(0.0, 0.0), *(self.marks[name] for name in ways)]
        found = {name: _minus(after, before) for name, before, after in zip(ways, reached[:-1], reached[1:], strict=True)}
        epoch = _minus(self.marks["epoch 2"], self.marks["epoch 1"])
        return found | {"epoch": epoch, "overhead": _minus(self.marks["epoch 1"], epoch)}


def _minus(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] - other[0], one[1] - other[1]


def watch(marks: Marks) -> Any:
    """A Keras callback that marks the first steps."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            marks.set("first step")

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            marks.set("first evaluation")

    return Watch()


def train_plain(name: str, whole: bool = False) -> Marks:
    """As one does with Keras."""
    marks = Marks()
    arch, data, recipe = problem(name)
    import keras

    from fvsearch import build_model
    from fvsearch.data import ArrayPair, load_search_splits
    from fvsearch.training.batches import evaluation_batch_size

    marks.set("import")
    train, validation = load_search_splits(data)
    assert isinstance(train, ArrayPair)
    assert isinstance(validation, ArrayPair)
    images: Any
    labels: Any
    images, labels = train
    size = evaluation_size = recipe.batch_size
    if whole:
        images, labels = (part[: len(part) // size * size] for part in (images, labels))
        evaluation_size = evaluation_batch_size(len(validation.labels), size)
    model = build_model(arch, image_shape=data.image_shape, num_classes=data.num_classes, dropout=recipe.dropout)
    marks.set("build")
    rate = keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=recipe.learning_rate, warmup_steps=100)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, beta_2=recipe.beta_2, global_clipnorm=recipe.clip_norm),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(), keras.metrics.SparseTopKCategoricalAccuracy(5)],
    )
    marks.set("compile")
    callback = watch(marks)
    for epoch in range(EPOCHS):
        model.fit(images, labels, batch_size=size, callbacks=[callback], verbose=0)
        model.evaluate(*validation, batch_size=evaluation_size, callbacks=[callback], verbose=0)
        marks.set(f"epoch {epoch + 1}")
    return marks


def train_whole(name: str) -> Marks:
    """As one does with Keras, where every batch has one size."""
    return train_plain(name, whole=True)


def train_ours(name: str) -> Marks:
    """As a worker does."""
    marks = Marks()
    arch, data, recipe = problem(name)
    from fvsearch.training import segment, work

    marks.set("import")
    inner: Any = work
    fresh_model, train_epochs = inner.fresh_model, inner.train_epochs

    def build(*arguments: Any) -> Any:
        model = fresh_model(*arguments)
        marks.set("build")
        return model

    def train(model: Any, recipe: Any, splits: Any, seed: int, epochs: range, stopwatch: Any, *others: Any) -> Iterator[Any]:
        marks.set("compile")
        first = watch(marks)
        for method in ("on_train_batch_end", "on_test_batch_end"):
            setattr(stopwatch, method, _both(getattr(stopwatch, method), getattr(first, method)))
        yield from train_epochs(model, recipe, splits, seed, epochs, stopwatch, *others)

    inner.fresh_model, inner.train_epochs = build, train
    try:
        with tempfile.TemporaryDirectory() as folder:
            wanted = segment.Segment(arch=arch, data=data, recipe=recipe, seed=1, to_epoch=EPOCHS, folder=folder)
            result = segment.run_segment(wanted, lambda epoch: marks.set(f"epoch {epoch['epoch'] + 1:.0f}"))
    finally:
        inner.fresh_model, inner.train_epochs = fresh_model, train_epochs
    if result.status != "completed":
        raise SystemExit(result.reason)
    return marks


def _both(one: Callable[..., None], other: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any, **named: Any) -> None:
        one(*arguments, **named)
        other(*arguments, **named)

    return call


WAYS: dict[str, Callable[[str], Marks]] = {"plain": train_plain, "whole": train_whole, "ours": train_ours}


def run_child(way: str, names: list[str]) -> None:
    """Train the archs in this process, a JSON line each."""
    if way == "ours":
        from fvsearch.training.environment import set_environment

        set_environment()
    for name in names:
        print(json.dumps(WAYS[way](name).activities()), flush=True)


Samples = dict[tuple[str, str, str, str], list[dict[str, tuple[float, float]]]]
"""By (backend, arch, "cold" or "warm", way)."""


def measure(backends: list[str], names: list[str], ways: list[str], repeats: int) -> Samples:
    """Children for every backend, order and way, ways taking turns."""
    samples: Samples = {}
    for _ in range(repeats):
        for backend in backends:
            for shift in range(len(names)):
                order = names[shift:] + names[:shift]
                for way in ways:
                    command = [sys.executable, __file__, "--child", way, "--archs", *order]
                    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
                    print(f"{backend} {way} {' '.join(order)}", file=sys.stderr, flush=True)
                    lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
                    for place, (name, line) in enumerate(zip(order, lines, strict=True)):
                        key = (backend, name, "warm" if place else "cold", way)
                        samples.setdefault(key, []).append(json.loads(line))
    return samples


def summarise(samples: Samples, epochs: int) -> list[dict[str, Any]]:
    """A row for each sample group: medians, the overhead's ratio to plain's, and the share of a trial that learns."""
    rows: list[dict[str, Any]] = []
    for (backend, name, worker, way), taken in sorted(samples.items()):
        wall, cpu = ({key: statistics.median(one[key][which] for one in taken) for key in ACTIVITIES} for which in (0, 1))
        rows.append({"backend": backend, "arch": name, "worker": worker, "way": way, "wall": wall, "cpu": cpu})
        for seconds in (wall, cpu):
            learning = epochs * seconds["epoch"]
            seconds["learning share"] = learning / (learning + seconds["overhead"])
    plain = {(row["backend"], row["arch"], row["worker"]): row for row in rows if row["way"] == "plain"}
    for row in rows:
        peer = plain.get((row["backend"], row["arch"], row["worker"]))
        if peer:
            row["ratio"] = {clock: row[clock]["overhead"] / peer[clock]["overhead"] for clock in ("wall", "cpu")}
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """The table, in CPU seconds, as Markdown."""
    heads = ["backend", "arch", "worker", "way", *ACTIVITIES, "to plain", "learning"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in rows:
        ratio = f"{row['ratio']['cpu']:.2f}x" if "ratio" in row else ""
        cells = [row[key] for key in ("backend", "arch", "worker", "way")]
        cells += [f"{row['cpu'][key]:.2f}" for key in ACTIVITIES]
        lines.append("| " + " | ".join([*cells, ratio, f"{row['cpu']['learning share']:.0%}"]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backends", nargs="+", default=["jax", "tensorflow"])
    parser.add_argument("--archs", nargs="+", default=list(ARCHS), choices=list(ARCHS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--repeats", type=int, default=1, help="of every way, backend and order; medians count")
    parser.add_argument("--out", type=Path, help="file for the JSON document; none is stdout")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child, options.archs)
        return 0
    rows = summarise(measure(options.backends, options.archs, options.ways, options.repeats), epochs=15)
    print(show(rows), file=sys.stderr)
    document = {
        "benchmark": "overhead",
        "peer": "Keras's compile, fit and evaluate of the same model",
        "repeats": options.repeats,
        "rows": rows,
        "versions": _versions(options.backends),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
    }
    text = json.dumps(document, indent=2)
    if options.out:
        options.out.write_text(text + "\n")
    else:
        print(text)
    return 0


def _versions(backends: list[str]) -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("fvsearch", "keras", *backends)}


if __name__ == "__main__":
    sys.exit(main())
