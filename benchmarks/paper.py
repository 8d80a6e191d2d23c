"""The report's table of compression beside the closed form and this machine: memory and steps/s of its layouts relative to B12(197).

    python benchmarks/paper.py [--size Ti|S|B] [--batch-size 8] [--dtype float32] [--backends jax tensorflow torch] [--seconds 30]
                               [--no-full-memory] [--out runs/bench/paper.json] [--docs docs/paper.md]
    python benchmarks/paper.py --size B --batch-size 128 --dtype mixed_bfloat16        the report's own models, on a GPU

Source of the column "paper": the Funnel-ViT report, table 2, pre-training of ViT-B/16 at 224 px, 4096 images over 32 cores: 128 a core.
Its steps/s have one decimal: rounding alone is worth 4% of a ratio.

"formula" is `costs.predict`. Memory is weight_memory + k * activation_memory, with the one constant k calibrated on one row, B12(197),
so that its own error is none: for the paper from the paper's 12.38 GB (float32, attention scores kept), for each backend from what that
measures. Steps/s need no constant in a ratio: they go with the inverse of the macs. The formula's ratios differ from size to size, weights
and attention scores weighing differently in each: hence a column for ViT-B/16 at batch 128, and one for the twin that is measured.

"measured" is the training step of the twin: the same layout at another size's width, MLP and heads. Memory is the backend's meter's,
images/s are ratios to B12 in the same round, their median and 95% interval. "metered" is the same meter's word on ViT-B/16 itself at batch
128 in float32: on a CPU no meter runs the step it is asked about, so that needs minutes and no accelerator; --no-full-memory leaves it
out. Each backend runs in processes of its own, the layouts of one in turns. Prints a table a backend and the size of the errors, and
writes one JSON document; --docs brings a page's figures up to date.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from _pages import markdown, replace_figures

from fvsearch.archs.arch import FAMILY, Arch
from fvsearch.archs.layout import parse_layout
from fvsearch.backend import BACKENDS, is_installed
from fvsearch.costs.cost import Cost
from fvsearch.costs.formula import predict
from fvsearch.costs.habits import COMMON, HABITS, Habits
from fvsearch.pools import make_pool
from fvsearch.progress import watch_measuring
from fvsearch.search.comparing import measure_in_worker
from fvsearch.study.recipe import DType, Recipe
from fvsearch.training.environment import num_cores
from fvsearch.training.measuring import Measured, MeasureRequest, measure_memory

PAPER = {
    "B12(197)": (12.38e9, 2.0),
    "B6(197)-6(99, max)": (9.18e9, 2.6),
    "B6(197)-6(99)": (9.18e9, 2.6),
    "B4(197)-4(99, max)-4(50, max)": (7.38e9, 3.2),
    "B6(197)-6(50, max)": (8.04e9, 3.1),
}
"""Layout -> bytes and steps/s, as the Funnel-ViT report prints them in table 2; the others are relative to the first row."""

IMAGE_SHAPE, NUM_CLASSES, PAPER_BATCH_SIZE = (224, 224, 3), 1000, 128

Column = list[float]
"""A value each layout, over B12's."""

KINDS = {"memory": "memory", "steps_per_s": "steps/s"}
NAMES = {"paper": "paper", "formula": "formula", "metered": "metered", "twin_formula": "twin's formula", "measured": "twin measured"}
"""Of columns, as a reader sees them."""

PAIRS = (("formula", "paper"), ("metered", "paper"), ("twin_formula", "measured"), ("measured", "paper"))
"""Which columns are compared."""


def main() -> int:
    """Measure, compare, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=["Ti", "S", "B"], default="Ti", help="whose width, MLP and heads the measured layouts have")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dtype", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--backends", nargs="+", default=[name for name in BACKENDS if is_installed(name)], help="default: all installed")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each layout at most; rounds end earlier where ratios are narrow")
    parser.add_argument("--full-memory", action=argparse.BooleanOptionalAction, default=True, help="ask the meter about ViT-B/16, too")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/paper.json"), help="where the JSON document goes")
    parser.add_argument("--docs", type=Path, help="a page whose figures to replace: docs/paper.md")
    options = parser.parse_args()
    backends = [name for text in options.backends for name in text.split(",")]

    request = make_request(options.size, options.batch_size, options.dtype, options.seconds)
    full_request = make_request("B", PAPER_BATCH_SIZE, "float32", 0.0)
    document: dict[str, Any] = {
        "benchmark": "paper",
        "command": " ".join(["python benchmarks/paper.py", *sys.argv[1:]]),
        "source": "the Funnel-ViT report, table 2",
        "size": options.size,
        "batch_size": options.batch_size,
        "dtype": options.dtype,
        "machine": f"{platform.machine()}, {num_cores()} core{'s' if num_cores() > 1 else ''}",
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "backends": {},
    }
    for backend in backends:
        print(f"{backend}:", file=sys.stderr)
        with watch_measuring(len(PAPER) + 1) as on_activity:
            (measured,) = measure_in_worker([request], backend, on_activity)
        metered = meter_in_worker(full_request, backend) if options.full_memory else None
        document["backends"][backend] = compare(backend, request, measured, metered)
        print_tables(backend, document)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")  # after each: a kill loses one backend
    if options.docs:
        write_docs(options.docs, document)
    print(f"written: {options.out}", file=sys.stderr)
    return 0


def make_request(size: str, batch_size: int, dtype: DType, seconds: float) -> MeasureRequest:
    """The layouts at a size, that many seconds for each."""
    return MeasureRequest(
        archs=tuple(twin(layout, size) for layout in PAPER),
        image_shape=IMAGE_SHAPE,
        num_classes=NUM_CLASSES,
        recipe=Recipe(epochs=1, batch_size=batch_size, dtype=dtype),
        batch_size=batch_size,
        phase="training",
        time_budget=seconds * len(PAPER),
    )


def meter_in_worker(request: MeasureRequest, backend: str) -> list[int]:
    """Bytes of each layout, of a process that ends with it."""
    print("asking the meter about ViT-B/16 at batch 128", file=sys.stderr)
    pool = make_pool("local", 1, environment={"KERAS_BACKEND": backend})
    try:
        return [memory.bytes for memory in pool.submit(measure_memory, request).result()]
    finally:
        pool.close(cancel=True)


def twin(layout: str, size: str) -> Arch:
    """The layout with every stage as wide as the family's member, ViT-Ti say; what the layout says of depth and pooling stays."""
    _, width, mlp_dim, num_heads = FAMILY[size]
    arch = parse_layout(layout)
    stages = tuple(msgspec.structs.replace(stage, width=width, mlp_dim=mlp_dim, num_heads=num_heads) for stage in arch.stages)
    return msgspec.structs.replace(arch, stages=stages)


def cost(arch: Arch, batch_size: int, dtype: DType, habits: Habits) -> Cost:
    """Of a training step."""
    return predict(arch, image_shape=IMAGE_SHAPE, num_classes=NUM_CLASSES, batch_size=batch_size, dtype=dtype, **habits)


def formula(costs: list[Cost], first_bytes: float) -> tuple[float, Column]:
    """The constant k that gives the first row its bytes, and every row's ratio with it."""
    factor = (first_bytes - costs[0].weight_memory) / costs[0].activation_memory
    return factor, [(found.weight_memory + factor * found.activation_memory) / first_bytes for found in costs]


def compare(backend: str, request: MeasureRequest, measured: Measured, metered: list[int] | None) -> dict[str, Any]:
    """All ratios of one backend, and how far they are from each other.

    Args:
        backend: That measured.
        request: Of the twins.
        measured: Its answer.
        metered: Bytes of ViT-B/16 in each layout, if they were asked for.
    """
    paper_bytes, paper_steps = zip(*PAPER.values(), strict=True)
    full = [cost(twin(layout, "B"), PAPER_BATCH_SIZE, "float32", COMMON) for layout in PAPER]
    own = [cost(arch, request.batch_size, request.recipe.dtype, HABITS[backend]) for arch in request.archs]
    found_bytes = [memory.bytes for memory in measured.memory]
    constant, full_memory = formula(full, paper_bytes[0])
    twin_constant, twin_memory = formula(own, found_bytes[0])
    columns: dict[str, dict[str, Column]] = {
        "memory": {
            "paper": relative(paper_bytes),
            "formula": full_memory,
            **({"metered": relative(metered)} if metered else {}),
            "twin_formula": twin_memory,
            "measured": relative(found_bytes),
        },
        "steps_per_s": {
            "paper": relative(paper_steps),
            "formula": relative([1 / found.macs for found in full]),
            "twin_formula": relative([1 / found.macs for found in own]),
            "measured": [ratio.median for ratio in measured.ratio],
            "low": [ratio.low for ratio in measured.ratio],
            "high": [ratio.high for ratio in measured.ratio],
        },
    }
    return {
        "device": measured.device,
        "versions": measured.versions,
        "seconds": {activity: round(seconds, 1) for activity, seconds in measured.seconds.items()},
        "memory_source": measured.memory[0].source,
        "habits": HABITS[backend],
        "constant": {"paper": round(constant, 4), "twin": round(twin_constant, 4)},
        "layouts": list(PAPER),
        **{kind: {name: [round(value, 4) for value in column] for name, column in found.items()} for kind, found in columns.items()},
        "bytes": {"measured": found_bytes, "metered": metered},
        "images_per_s": {end: [round(getattr(i, end), 2) for i in measured.throughput] for end in ("low", "median", "high")},
        "errors": {
            f"{NAMES[ours]} against {NAMES[theirs]}": {
                kind: errors(found[ours], found[theirs]) if ours in found else None for kind, found in columns.items()
            }
            for ours, theirs in PAIRS
        },
    }


def relative(values: Sequence[float]) -> Column:
    """Over the first."""
    return [value / values[0] for value in values]


def errors(ours: Column, theirs: Column) -> dict[str, float]:
    """Relative errors of the rows below the first, which is 1 by definition, and Kendall's tau of all rows."""
    from scipy.stats import kendalltau

    found: list[float] = [mine / other - 1 for mine, other in zip(ours[1:], theirs[1:], strict=True)]
    worst = max(found, key=abs)
    return {
        "mean": round(statistics.fmean(map(abs, found)), 4),
        "worst": round(worst, 4),
        "kendall_tau": round(float(kendalltau(ours, theirs).statistic), 3),
    }


Figures = tuple[list[str], list[list[str]]]
"""A header and rows; the first column is text, the others are numbers."""


def ratio_figures(found: dict[str, Any]) -> Figures:
    """A row each layout: its memory and steps/s over B12's, by column."""
    names = {kind: [name for name in NAMES if name in found[kind]] for kind in KINDS}
    memory, speed = found["memory"], found["steps_per_s"]
    rows = [
        [
            layout,
            *(f"{memory[name][row]:.3f}" for name in names["memory"]),
            *(f"{speed[name][row]:.2f}" for name in names["steps_per_s"][:-1]),
            f"{speed['measured'][row]:.2f} ({speed['low'][row]:.2f} to {speed['high'][row]:.2f})",
        ]
        for row, layout in enumerate(found["layouts"])
    ]
    return ["layout", *(f"{KINDS[kind]}: {NAMES[name]}" for kind, shown in names.items() for name in shown)], rows


def error_figures(found: dict[str, Any]) -> Figures:
    """A row each comparison."""
    header = ["errors of the ratios", *(f"{kind}: {what}" for kind in KINDS.values() for what in ("mean", "worst", "tau"))]
    return header, [[name, *(text for kind in KINDS for text in show_errors(each[kind]))] for name, each in found["errors"].items()]


def show_errors(found: dict[str, float] | None) -> tuple[str, str, str]:
    """Mean, worst, tau."""
    return (f"{found['mean']:.1%}", f"{found['worst']:+.1%}", f"{found['kendall_tau']:.2f}") if found else ("", "", "")


def title(backend: str, document: dict[str, Any]) -> str:
    """Of a backend's figures: on what."""
    found = document["backends"][backend]
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in (backend, "keras"))
    return (
        f"{versions}: twin ViT-{document['size']}/16 at batch {document['batch_size']}, {document['dtype']}; "
        f"{found['device']}, {document['machine']}"
    )


def print_tables(backend: str, document: dict[str, Any]) -> None:
    """Ratios, then the size of their errors."""
    from rich.console import Console
    from rich.table import Table

    console, found = Console(width=190), document["backends"][backend]
    for name, (header, rows) in (
        (f"relative to B12(197); {title(backend, document)}", ratio_figures(found)),
        ("B12's row is left out; Kendall's tau is of all five", error_figures(found)),
    ):
        table = Table(title=name)
        for column in header:
            table.add_column(column.replace(": ", "\n"), justify="left" if column == header[0] else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def write_docs(path: Path, document: dict[str, Any]) -> None:
    """The figures as Markdown, in the place of those that the page holds."""
    spent = "Took: " + "; ".join(f"{backend} {sum(found['seconds'].values()):.0f} s" for backend, found in document["backends"].items())
    load = document["load_before"][0]
    parts = [f"    {document['command']}", f"{spent}; load average when it began {load} (a quiet machine's is near 0)."]
    for backend, found in document["backends"].items():
        factor, scores = found["constant"], found["habits"]["attention"]
        constants = f"Constant of memory: {factor['paper']} for the paper, {factor['twin']} for the twin (attention scores {scores})."
        source = f"Meter: {found['memory_source'].partition(': ')[2]}."
        parts += [
            f"### {title(backend, document)}",
            f"{constants} {source}",
            markdown(*ratio_figures(found)),
            markdown(*error_figures(found)),
        ]
    replace_figures(path, "benchmarks/paper.py", parts)


if __name__ == "__main__":
    sys.exit(main())
