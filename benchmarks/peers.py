"""A training step and inference of ViT-Ti/16 and ViT-S/16, ours beside its peers' in one run; and what pooling gains over our own ViT.

    python benchmarks/peers.py [--backends jax tensorflow torch] [--sizes Ti S] [--phases training inference] [--batch-size 8]
                               [--dtype float32] [--seconds 20] [--out runs/bench/peers.json] [--docs docs/peers.md]

Peers: keras-hub's ViT on the same backend; on PyTorch timm's, as it is and through torch.compile. Each backend and size has a process of
its own, where all models take turns, round by round, on the same synthetic batch at 224 px: ratios are of the same round, their median and
95% interval. A Keras model's step is what its `fit` or `predict` calls, top-1 and top-5 included, with AdamW (in ours the recipe's); timm's
is forward, cross-entropy, backward and torch.optim.AdamW, no metrics. Ratios are images/s of ours over the peer's: above 1 we are faster.
Those of the funnels are over our own ViT. Needs keras-hub, and timm for PyTorch. Prints a table a process, and writes one JSON document.
"""

import argparse
import functools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _pages import print_run, write_runs

from fvsearch.archs.arch import FAMILY, named_arch
from fvsearch.archs.layout import parse_layout
from fvsearch.backend import BACKENDS, is_installed
from fvsearch.meters.rounds import Runner, median_interval, paired_ratio, time_interleaved
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import DType, Recipe

IMAGE_SHAPE, NUM_CLASSES = (224, 224, 3), 1000
OURS = "fvsearch"
PEERS = ("keras-hub", "timm")
FUNNELS = {"fvsearch 6-6": "B6(197, {o})-6(99, {o})", "fvsearch 4-4-4": "B4(197, {o})-4(99, {o})-4(50, {o})"}
PHASES: tuple[Phase, ...] = ("training", "inference")


def main() -> int:
    """Measure each backend and size in a process of its own, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=[name for name in BACKENDS if is_installed(name)])
    parser.add_argument("--sizes", nargs="+", choices=["Ti", "S", "B"], default=["Ti", "S"])
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dtype", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for each model and phase at most; narrow ratios end the rounds earlier"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench/peers.json"), help="where the JSON document goes")
    parser.add_argument("--docs", type=Path, help="a page whose figures to replace: docs/peers.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.sizes[0], options.phases, options.batch_size, options.dtype, options.seconds)))
        return 0
    document: dict[str, Any] = {
        "benchmark": "peers",
        "command": " ".join(["python benchmarks/peers.py", *sys.argv[1:]]),
        "batch_size": options.batch_size,
        "dtype": options.dtype,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 2),
        "runs": [],
    }
    for backend in options.backends:
        for size in options.sizes:
            print(f"{backend}, ViT-{size}/16: about {estimate(backend, options):.0f} min", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--child", backend, "--sizes", size, "--phases", *options.phases]
            command += ["--batch-size", str(options.batch_size), "--dtype", options.dtype, "--seconds", str(options.seconds)]
            environment = {**os.environ, "KERAS_BACKEND": backend}
            answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            document["runs"].append(json.loads(answer.splitlines()[-1]))
            found = document["runs"][-1]
            print_run(
                title(found, document), *figures(found), "ratio: ours over the peer; a funnel over ours; ms/step are ours by the ratio"
            )
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")  # after each: a kill loses one run
    if options.docs:
        write_runs(options.docs, "benchmarks/peers.py", document, [(title(found, document), *figures(found)) for found in document["runs"]])
    print(f"written: {options.out}", file=sys.stderr)
    return 0


def estimate(backend: str, options: argparse.Namespace) -> float:
    """Minutes at most, compiling counted in by experience on two cores."""
    models = len(FUNNELS) + 2 + 2 * (backend == "torch")
    return float(models * len(options.phases) * (options.seconds + 15) / 60)


def measure(backend: str, size: str, phases: list[Phase], batch_size: int, dtype: DType, seconds: float) -> dict[str, Any]:
    """All models of one size on one backend, in turns, phase after phase."""
    from fvsearch.training.environment import set_environment

    set_environment()
    from fvsearch.meters.lock import device_lock
    from fvsearch.training.device import device_name, set_up_device, versions

    set_up_device()
    found: dict[str, Any] = {
        "backend": backend,
        "size": size,
        "device": device_name(),
        "versions": {**versions(), **peer_versions(backend)},
    }
    with device_lock(found["device"]):
        for phase in phases:
            runners = {name: make(phase) for name, make in models(backend, size, batch_size, dtype).items()}
            samples = dict(zip(runners, time_interleaved(list(runners.values()), seconds * len(runners)), strict=True))
            found[phase] = {name: summarise(name, taken, samples[OURS], batch_size) for name, taken in samples.items()}
    return found


def summarise(name: str, taken: list[float], ours: list[float], batch_size: int) -> dict[str, Any]:
    """The ratio, ours over a peer or a funnel over ours, with its interval; images/s and milliseconds a step.

    These two are ours by the ratio: a model rests once its ratio is narrow, and its own median would be of other rounds than ours.
    """
    ratio = paired_ratio(ours, taken) if name in FUNNELS else paired_ratio(taken, ours)
    step = median_interval(ours).median * (1 / ratio.median if name in FUNNELS else ratio.median)
    return {
        "ratio": [round(value, 3) for value in (ratio.median, ratio.low, ratio.high)],
        "step_ms": round(1000 * step, 2),
        "images_per_s": round(batch_size / step, 2),
        "rounds": len(taken),
        "own_median_ms": round(1000 * median_interval(taken).median, 2),
    }


def models(backend: str, size: str, batch_size: int, dtype: DType) -> dict[str, Callable[[Phase], Runner]]:
    """By name what makes a model's runner for a phase; ours first."""
    import keras

    from fvsearch.meters.backend import meter
    from fvsearch.meters.memory import prepare, synthetic_batch
    from fvsearch.models import build_model
    from fvsearch.training.fit import compile_model

    batch = synthetic_batch(IMAGE_SHAPE, NUM_CLASSES, batch_size)
    _, width, mlp_dim, num_heads = FAMILY[size]
    archs = {OURS: named_arch(f"vit-{size.lower()}16")}
    archs |= {name: parse_layout(text.format(o=f"h{width}, m{mlp_dim}, a{num_heads}")) for name, text in FUNNELS.items()}

    def keras_runner(model: keras.Model, phase: Phase) -> Runner:
        prepare(model, batch)
        return meter().make_runner(model, batch, phase)

    def ours(name: str) -> Callable[[Phase], Runner]:
        def make(phase: Phase) -> Runner:
            model = build_model(archs[name], image_shape=IMAGE_SHAPE, num_classes=NUM_CLASSES, dtype=dtype, seed=0)
            compile_model(model, Recipe(epochs=10, batch_size=batch_size, dtype=dtype), steps_per_epoch=100)
            return keras_runner(model, phase)

        return make

    def hub(phase: Phase) -> Runner:
        model = keras_hub_vit(size, dtype)
        model.compile(
            keras.optimizers.AdamW(1e-3, weight_decay=0.05),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(), keras.metrics.SparseTopKCategoricalAccuracy(5)],
        )
        return keras_runner(model, phase)

    makers = {name: ours(name) for name in archs} | {"keras-hub": hub}
    if backend == "torch":
        makers |= {
            "timm": lambda phase: timm_runner(size, phase, batch, dtype, compiled=False),
            "timm compiled": lambda phase: timm_runner(size, phase, batch, dtype, compiled=True),
        }
    return makers


def keras_hub_vit(size: str, dtype: DType) -> Any:
    """keras-hub's ViT classifier of that size."""
    import keras_hub

    depth, width, mlp_dim, num_heads = FAMILY[size]
    backbone = keras_hub.models.ViTBackbone(
        image_shape=IMAGE_SHAPE,
        patch_size=16,
        num_layers=depth,
        num_heads=num_heads,
        hidden_dim=width,
        mlp_dim=mlp_dim,
        dtype=dtype,
    )
    return keras_hub.models.ViTImageClassifier(backbone, NUM_CLASSES, head_dtype="float32")


def timm_runner(size: str, phase: Phase, batch: tuple[Any, Any], dtype: DType, compiled: bool) -> Runner:
    """Steps of timm's ViT of that size."""
    import torch

    import_timm()
    import timm

    name = {"Ti": "vit_tiny_patch16_224", "S": "vit_small_patch16_224", "B": "vit_base_patch16_224"}[size]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = (torch.from_numpy(array).to(device) for array in batch)
    images, labels = images.permute(0, 3, 1, 2).contiguous(), labels.long()
    model = timm.create_model(name, num_classes=NUM_CLASSES).to(device).train(phase == "training")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    forward = torch.compile(model) if compiled else model
    precision = torch.autocast(device, torch.bfloat16, enabled=dtype == "mixed_bfloat16")

    def train() -> None:
        with precision:
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def infer() -> None:
        with precision, torch.inference_mode():
            forward(images)

    step = {"training": train, "inference": infer}[phase]

    def run(steps: int) -> None:
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


@functools.cache
def import_timm() -> None:
    """Import timm, also where torchvision is built for CUDA and PyTorch is not.

    Then torchvision cannot load its compiled operations, and its import fails for want of two of them. A ViT needs neither: declaring
    them is enough.
    """
    from importlib.metadata import version

    import torch

    if "+cpu" in version("torch") and "+cpu" not in version("torchvision"):
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm  # noqa: F401


def peer_versions(backend: str) -> dict[str, str]:
    """Of the peers on this backend."""
    from importlib.metadata import version

    return {name: version(name) for name in (PEERS if backend == "torch" else PEERS[:1])}


def title(found: dict[str, Any], document: dict[str, Any]) -> str:
    """Of a run's figures: on what."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name in (found["backend"], "keras", *PEERS))
    place = f"{found['device']}, {document['machine']}, batch {document['batch_size']}, {document['dtype']}"
    return f"ViT-{found['size']}/16: {versions}; {place}"


def figures(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A header, and a row each model."""
    phases = [phase for phase in PHASES if phase in found]
    header = ["", *(text for phase in phases for text in (f"{phase}: ms/step", "ratio (95% interval)"))]
    rows = []
    for name in found[phases[0]]:
        row = [name]
        for phase in phases:
            median, low, high = found[phase][name]["ratio"]
            row += [f"{found[phase][name]['step_ms']:.1f}", "1" if name == OURS else f"{median:.2f} ({low:.2f} to {high:.2f})"]
        rows.append(row)
    return header, rows


if __name__ == "__main__":
    sys.exit(main())
