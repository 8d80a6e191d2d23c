"""Predicted memory against the meters': the closed form, one constant calibrated on one arch, on each backend.

    python benchmarks/memory.py [--archs 30] [--backends jax tensorflow torch] [--out memory.json] [--reuse memory.json] [--tables markdown]

Half of the archs are drawn from the shipped space "quickstart" (8x8 images, batch 64), half are layouts of ViT-Ti's width at 224 px (batch
32). In each group, backend and setting the constant comes from the first arch alone, which has no error: the study's baseline, B12(197).
Each backend runs in a process of its own; nothing is timed. Prints tables and writes one JSON document, the meters' bytes among it:
`--reuse` takes them from there, whatever formula they are now compared with, and measures what is missing: so an interrupted run goes on.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fvsearch.archs.layout import format_layout, parse_layout
from fvsearch.costs.cost import Cost
from fvsearch.costs.formula import predict
from fvsearch.costs.habits import HABITS, Habits
from fvsearch.library import load_space, load_study
from fvsearch.records import Record

UNOPTIMISED = "--xla_backend_optimization_level=0"
"""XLA plans the buffers before LLVM sees the code: without LLVM's optimisation the same bytes are there several times sooner."""


class Group(Record, frozen=True, kw_only=True):
    """Archs of one image size.

    Attributes:
        layouts: The first is the one whose measurement gives the constant.
    """

    layouts: tuple[str, ...]
    patch_size: int
    image_shape: tuple[int, int, int]
    num_classes: int
    batch_size: int


FUNNELS = (
    "B12(197)",
    "B6(197)-6(99)",
    "B4(197)-4(99)-4(50)",
    "B6(197)-6(50)",
    "B6(197)-6(99)-4(50)",
    "B6(197)-6(99)-2(50, m384)",
    "B6(197, m1024)-6(99)-2(50, m384)",
    "B6(197, m1024)-6(99, m1024)",
    "B6(197, h256)-6(99, h256)",
    "B2(197)-10(99)",
    "B10(197)-2(99)",
    "B3(197)-3(99, h256, m1024)-6(50, h320, m1280)",
    "B6(197, m384)-6(99, h128, m512)",
    "B4(197)-4(99, max)-4(26, max)",
    "B4(197)-8(99, naive)",
)
"""The paper's layouts and others around them; a width is 192 and an MLP 768 where nothing is said."""


def main() -> int:
    """Measure, compare, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--archs", type=int, default=30, help="half of them of each group")
    parser.add_argument("--backends", nargs="+", default=list(HABITS), choices=list(HABITS))
    parser.add_argument("--out", type=Path, default=Path("memory.json"), help="where the JSON document goes")
    parser.add_argument("--reuse", type=Path, help="an earlier document, whose measured bytes are taken where it has them")
    parser.add_argument("--tables", default="terminal", choices=list(PRINTERS), help="how they are printed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work()
    groups = make_groups(options.archs // 2)
    cases = [
        {"group": name, "layout": layout, "dtype": dtype, "phase": phase}
        for dtype, phase, share in (("float32", "training", 1.0), ("mixed_bfloat16", "training", 0.3), ("float32", "inference", 0.3))
        for name, group in groups.items()
        for layout in group.layouts[: max(2, round(share * len(group.layouts)))]
    ]
    known = json.loads(options.reuse.read_text()) if options.reuse else {"backends": {}}
    document: dict[str, Any] = {"benchmark": "memory", "machine": platform.machine(), "python": platform.python_version(), "backends": {}}
    for backend in options.backends:

        def keep(found: dict[str, Any], backend: str = backend) -> None:
            document["backends"][backend] = found
            write(document, options.out)

        found = measured(backend, cases, groups, known["backends"].get(backend, {"rows": []}), keep)
        rows = compare(found["rows"], groups, HABITS[backend])
        document["backends"][backend] = {**found, "habits": HABITS[backend], "rows": rows}
    document["summary"] = summarise(document)
    write(document, options.out)
    PRINTERS[options.tables](document)
    return 0


def write(document: dict[str, Any], path: Path) -> None:
    """Keep the document, whole at any time."""
    path.with_suffix(".part").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".part").replace(path)


def make_groups(count: int) -> dict[str, Group]:
    """The archs to measure, `count` of each group at most."""
    study, space, rng = load_study("quickstart"), load_space("quickstart"), random.Random(0)
    data = study.data
    drawn = [study.baseline, *(space.sample(rng) for _ in range(count - 1))]
    small = Group(
        layouts=tuple(format_layout(arch, data.image_shape[:2]) for arch in drawn),
        patch_size=study.baseline.patch_size,
        image_shape=data.image_shape,
        num_classes=data.num_classes,
        batch_size=study.cost_batch_size,
    )
    large = Group(
        layouts=tuple(narrow(layout) for layout in FUNNELS[:count]),
        patch_size=16,
        image_shape=(224, 224, 3),
        num_classes=1000,
        batch_size=32,
    )
    return {"quickstart": small, "ViT-Ti": large}


def narrow(layout: str) -> str:
    """The layout at ViT-Ti's width and MLP size, where it says no other."""
    stages = []
    for stage in layout.split("-"):
        options = stage.removesuffix(")")
        options += "" if "h" in options else ", h192"
        options += "" if ", m" in options.replace("max", "") else ", m768"
        stages.append(options + ")")
    return format_layout(parse_layout("-".join(stages)))


def measured(
    backend: str, cases: list[dict[str, Any]], groups: dict[str, Group], known: dict[str, Any], keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The meters' bytes of all cases: those known already, and the others measured, each kept as soon as it is there."""
    rows = {_key(row): row for row in known["rows"]}
    found = known
    missing = [case for case in cases if _key(case) not in rows]
    for row in measure(backend, missing, groups) if missing else ():
        if "versions" in row:
            found = row
            continue
        rows[_key(row)] = row
        print(f"{backend}: {len(rows)} of {len(cases)}", file=sys.stderr)
        keep({**found, "rows": list(rows.values())})
    return {**found, "rows": [rows[_key(case)] for case in cases]}


def _key(case: dict[str, Any]) -> tuple[str, ...]:
    return case["group"], case["layout"], case["dtype"], case["phase"]


def measure(backend: str, cases: list[dict[str, Any]], groups: dict[str, Group]) -> Iterator[dict[str, Any]]:
    """Device and versions, then the meter's bytes of each case, from a process with that backend."""
    sent = json.dumps([{**case, "shape": _shape(groups[case["group"]])} for case in cases])
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": UNOPTIMISED}
    with subprocess.Popen(
        [sys.executable, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(sent)
        worker.stdin.close()
        yield from map(json.loads, worker.stdout)
    if worker.returncode:
        raise SystemExit(f"{backend} gave up with exit code {worker.returncode}")


def _shape(group: Group) -> dict[str, Any]:
    return {
        "patch_size": group.patch_size,
        "image_shape": group.image_shape,
        "num_classes": group.num_classes,
        "batch_size": group.batch_size,
    }


def work() -> int:
    """In a backend's process: cases on stdin, versions and then each case's bytes on stdout, one JSON document a line."""
    import keras

    from fvsearch.meters.memory import step_memory
    from fvsearch.models import build_model
    from fvsearch.study.recipe import Recipe
    from fvsearch.training.device import device_name, versions
    from fvsearch.training.fit import compile_model

    cases = json.load(sys.stdin)
    print(json.dumps({"device": device_name(), "versions": versions()}), flush=True)
    for case in cases:
        shape = case.pop("shape")
        image_shape = tuple(shape["image_shape"])
        arch = parse_layout(case["layout"], patch_size=shape["patch_size"], image_size=image_shape[:2])
        model = build_model(arch, image_shape=image_shape, num_classes=shape["num_classes"], dtype=case["dtype"], seed=0)
        compile_model(model, Recipe(epochs=1, batch_size=shape["batch_size"], dtype=case["dtype"]), 100)
        memory = step_memory(model, image_shape, shape["batch_size"], case["phase"])
        print(json.dumps({**case, "measured": memory.bytes, "source": memory.source}), flush=True)
        del model
        keras.utils.clear_session(free_memory=True)
    return 0


def predicted(row: dict[str, Any], group: Group, habits: Habits) -> Cost:
    """The closed form of a measured row."""
    arch = parse_layout(row["layout"], patch_size=group.patch_size, image_size=group.image_shape[:2])
    return predict(
        arch,
        image_shape=group.image_shape,
        num_classes=group.num_classes,
        batch_size=group.batch_size,
        dtype=row["dtype"],
        phase=row["phase"],
        **habits,
    )


def compare(rows: list[dict[str, Any]], groups: dict[str, Group], habits: Habits) -> list[dict[str, Any]]:
    """The rows with the constant of their group's first, and what the formula predicts with it."""
    factors: dict[tuple[str, ...], float] = {}
    compared = []
    for row in rows:
        cost = predicted(row, groups[row["group"]], habits)
        setting = (row["group"], row["dtype"], row["phase"])
        factor = factors.setdefault(setting, (row["measured"] - cost.weight_memory) / cost.activation_memory)
        bytes_predicted = round(cost.weight_memory + factor * cost.activation_memory)
        compared.append({**row, "factor": round(factor, 4), "predicted": bytes_predicted, "error": bytes_predicted / row["measured"] - 1})
    return compared


def summarise(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The size of the errors by backend, group and setting; the arch that gave the constant is left out."""
    lines = []
    for backend, found in document["backends"].items():
        settings = dict.fromkeys((row["group"], row["dtype"], row["phase"]) for row in found["rows"])
        for group, dtype, phase in settings:
            rows = [row for row in found["rows"] if (row["group"], row["dtype"], row["phase"]) == (group, dtype, phase)]
            worst = max(rows[1:], key=lambda row: abs(row["error"]))
            lines.append(
                {
                    "backend": backend,
                    "group": group,
                    "dtype": dtype,
                    "phase": phase,
                    "archs": len(rows) - 1,
                    "factor": rows[0]["factor"],
                    "median": statistics.median(abs(row["error"]) for row in rows[1:]),
                    "worst": worst["error"],
                    "worst_layout": worst["layout"],
                }
            )
    return lines


def make_tables(document: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Titles and rows of text, the first row the header: a line for each setting, and one for each arch of float32 training."""
    settings = [["backend", "archs", "dtype", "phase", "count", "constant", "median error", "worst", "of"]]
    for line in document["summary"]:
        names = [line[name] for name in ("backend", "group", "dtype", "phase")]
        numbers = [str(line["archs"]), f"{line['factor']:.2f}", f"{line['median']:.1%}", f"{line['worst']:+.1%}"]
        settings.append([*names, *numbers, line["worst_layout"]])
    backends = list(document["backends"])
    archs = [["arch", *(cell for backend in backends for cell in (f"{backend}, MiB", "error"))]]
    columns = [[r for r in found["rows"] if (r["dtype"], r["phase"]) == ("float32", "training")] for found in document["backends"].values()]
    for rows in zip(*columns, strict=True):
        archs.append([rows[0]["layout"], *(cell for row in rows for cell in (f"{row['measured'] / 2**20:,.1f}", f"{row['error']:+.1%}"))])
    return [("predicted memory against the meters'", settings), ("training in float32: the meter, and the prediction's error", archs)]


def print_tables(document: dict[str, Any]) -> None:
    """The tables on a terminal."""
    from rich.console import Console
    from rich.table import Table

    for title, (header, *rows) in make_tables(document):
        table = Table(title=title)
        for name in header:
            table.add_column(name, justify="left" if name in ("backend", "archs", "arch", "dtype", "phase", "of") else "right")
        for row in rows:
            table.add_row(*row)
        Console(width=180).print(table)


def print_markdown(document: dict[str, Any]) -> None:
    """The tables as a page of documentation has them."""
    for title, (header, *rows) in make_tables(document):
        lines = [header, ["---"] * len(header), *rows]
        print(f"\n{title.capitalize()}:\n")
        print("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


PRINTERS: dict[str, Callable[[dict[str, Any]], None]] = {"terminal": print_tables, "markdown": print_markdown}


if __name__ == "__main__":
    sys.exit(main())
