"""Archs per second of `costs.predict`, and how many times faster that is than its peer: building the model and counting its weights.

    python benchmarks/costs.py [--archs 2000] [--rounds 5] [--models 4]

One JSON document on stdout. Archs are drawn from the shipped space "reinvestment"; rounds of formula and peer alternate, medians are
reported. Exit code 1 below the 50,000 archs a second that a search over 10^5 candidates counts on.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("KERAS_BACKEND", "jax")

from fvsearch import load_space, predict
from fvsearch.archs.arch import Arch

IMAGE_SHAPE, NUM_CLASSES, BATCH_SIZE = (224, 224, 3), 1000, 128
FLOOR = 50_000
"""Archs a second."""


def cost_by_formula(arch: Arch) -> int:
    """Parameters, from `predict`, which counts macs and bytes along the way."""
    return predict(arch, image_shape=IMAGE_SHAPE, num_classes=NUM_CLASSES, batch_size=BATCH_SIZE).num_params


def count_by_building(arch: Arch) -> int:
    """Parameters, from a built Keras model."""
    from fvsearch import build_model  # brings keras

    return int(build_model(arch, image_shape=IMAGE_SHAPE, num_classes=NUM_CLASSES).count_params())


def archs_per_second(measure: Callable[[Arch], int], archs: Sequence[Arch]) -> float:
    """How many archs one pass of `measure` gets through in a second."""
    start = time.perf_counter()
    for arch in archs:
        measure(arch)
    return len(archs) / (time.perf_counter() - start)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--archs", type=int, default=2000, help="archs in a round of the formula")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each; the median counts")
    parser.add_argument("--models", type=int, default=4, help="models built in a round of the peer")
    options = parser.parse_args()

    space, rng = load_space("reinvestment"), random.Random(0)
    archs = [space.sample(rng) for _ in range(options.archs)]
    some = archs[: options.models]
    if [cost_by_formula(arch) for arch in some] != [count_by_building(arch) for arch in some]:  # also warms both up
        raise SystemExit("the formula and the built models disagree on the count of parameters")
    rounds = [(archs_per_second(cost_by_formula, archs), archs_per_second(count_by_building, some)) for _ in range(options.rounds)]
    formula, building = (statistics.median(column) for column in zip(*rounds, strict=True))
    document = {
        "benchmark": "costs",
        "archs_per_second": round(formula),
        "floor": FLOOR,
        "peer": "build the Keras model, count its weights",
        "peer_archs_per_second": round(building, 3),
        "ratio": round(formula / building),
        "rounds": [[round(ours), round(peer, 3)] for ours, peer in rounds],
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(document, indent=2))
    return int(formula < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
