"""Makes a table that benchmarks/search.py replays: archs of a study beside this, each trained to the end with several seeds.

    KERAS_BACKEND=jax python benchmarks/tables/make.py digits|shapes [--archs 240] [--repeats 2] [--out benchmarks/tables/NAME.jsonl]

Each training is a trial's, through the project's own code. The baseline comes first; the others are spread over the logarithms of
predicted memory and of parameters: every occupied cell of a grid over both gives one in turn, so that the first n are spread as well as
all. A line is added for each training; a run that was killed goes on where it stopped. JAX's compilation cache is used, for the trainings
of an arch differ in their seed alone.

The file holds, as JSON lines, what each run of this script was made with ("provenance"), and below it a line a training:

    arch, params, repeat, seed     which
    top1, loss                     of the validation split after each epoch
    predicted                      by formula: memory in bytes, macs of an image, num_params, throughput in multiples of the baseline's
    measured                       bytes of a step, compiled and not run; seconds_per_step: the fastest epoch's, its validation counted in
"""

import argparse
import contextlib
import datetime
import fcntl
import itertools
import json
import math
import os
import platform
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rich.progress import track

from fvsearch import load_study
from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.archs.space import Space
from fvsearch.costs.predictor import Predictor
from fvsearch.data import load_search_splits
from fvsearch.study import Study
from fvsearch.training.segment import Segment, SegmentResult, derive_seed, run_segment

HERE = Path(__file__).parent
CELLS = 8
"""Of the grid, along each cost."""


def main() -> None:
    """Train what the file lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(path.stem for path in HERE.glob("*.toml")), help="of the study and of its table")
    parser.add_argument("--archs", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, help="NAME.jsonl beside this, unless said")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "fvsearch-table"), help="of what JAX compiles")
    options = parser.parse_args()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(options.cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # The study's data are a function of the package `benchmarks`.
    sys.path.insert(0, str(HERE.parent.parent))
    study = load_study(str(HERE / f"{options.name}.toml"))
    predictor, steps = Predictor(study), len(load_search_splits(study.data).train.labels) // study.recipe.batch_size
    archs = dict.fromkeys([study.baseline, *itertools.islice(spread(study, predictor), options.archs)])
    wanted = [(arch, repeat) for arch in archs for repeat in range(options.repeats)]
    path, told = options.out or HERE / f"{options.name}.jsonl", False
    with owned(path) as file:
        done = trained(path)
        missing = [(arch, repeat) for arch, repeat in wanted if (layout(study, arch), repeat) not in done]
        for arch, repeat in track(missing, "Trainings", disable=not sys.stderr.isatty()):
            seed = derive_seed(study.seed, arch.arch_hash, repeat)
            result = train(study, arch, seed)
            if not told:
                file.write(json.dumps({"provenance": provenance(result)}) + "\n")
                told = True
            file.write(json.dumps(row(study, predictor, steps, arch, repeat, seed, result)) + "\n")
            file.flush()


@contextlib.contextmanager
def owned(path: Path) -> Iterator[IO[str]]:
    """A file to add to, as no other process does while the block runs.

    Raises:
        SystemExit: Another does.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another process adds to {path}; give another file with --out") from None
        yield file


def trained(path: Path) -> set[tuple[str, int]]:
    """Layout and repeat of each training that the file holds; a line that a kill cut short is taken off."""
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    rows = map(json.loads, whole.splitlines())
    return {(row["arch"], row["repeat"]) for row in rows if "arch" in row}


def spread(study: Study, predictor: Predictor) -> Iterator[Arch]:
    """The space's archs, spread over log memory and log parameters: from each occupied cell one by chance, then from each another."""
    space: Space | None = study.space
    assert space is not None
    rng = random.Random(study.seed)
    archs = list(space.archs())
    costs = [predictor.costs(arch) for arch in archs]
    points = [(math.log(cost["memory"]), math.log(cost["num_params"])) for cost in costs]
    low, high = ([pick(values) for values in zip(*points, strict=True)] for pick in (min, max))
    cells: defaultdict[tuple[int, ...], list[Arch]] = defaultdict(list)
    for arch, point in zip(archs, points, strict=True):
        cells[tuple(min(CELLS - 1, int(CELLS * (x - a) / (b - a))) for x, a, b in zip(point, low, high, strict=True))].append(arch)
    for members in cells.values():
        rng.shuffle(members)
    for turn in range(max(map(len, cells.values()))):
        of_turn = [members[turn] for _, members in sorted(cells.items()) if turn < len(members)]
        rng.shuffle(of_turn)
        yield from of_turn


def train(study: Study, arch: Arch, seed: int) -> SegmentResult:
    """Train an arch to the end, as a trial is.

    Raises:
        SystemExit: The training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        segment = Segment(arch=arch, data=study.data, recipe=study.recipe, seed=seed, to_epoch=study.recipe.epochs, folder=folder)
        result = run_segment(segment)
    if result.status != "completed":
        raise SystemExit(f"{layout(study, arch)}: {result.reason}")
    return result


def row(study: Study, predictor: Predictor, steps: int, arch: Arch, repeat: int, seed: int, result: SegmentResult) -> dict[str, Any]:
    """A training's line; steps are of an epoch."""
    assert study.space is not None
    fastest = min(epoch.seconds for epoch in result.epochs) / steps
    return {
        "arch": layout(study, arch),
        "params": study.space.params(arch),
        "repeat": repeat,
        "seed": seed,
        "top1": [round(epoch.top1, 5) for epoch in result.epochs],
        "loss": [round(epoch.loss, 4) for epoch in result.epochs],
        "predicted": {name: round(value, 6) for name, value in predictor.costs(arch).items()},
        "measured": {"memory": result.measured["memory"], "seconds_per_step": round(fastest, 6)},
    }


def layout(study: Study, arch: Arch) -> str:
    """An arch as the table names it."""
    return format_layout(arch, study.data.image_shape[:2])


def provenance(result: SegmentResult) -> dict[str, Any]:
    """What the trainings that follow were made with."""
    return {
        "command": " ".join(["python", "benchmarks/tables/make.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "backend": result.backend,
        "device": result.device,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": result.versions,
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
