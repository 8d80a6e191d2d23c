"""What a search costs beside its trainings, over 10,000 trials: coordinator, engine and ledger at work, workers simulated.

    python benchmarks/scale.py [--trials 10000] [--workers 1 8 64] [--storage URL] [--folder DIR] [--set KEY=VALUE ...]

One JSON document on stdout, a line of progress for each tenth on stderr. Each number of workers is a process of its own, which searches the
shipped space "reinvestment" for three objectives, by NSGA-II. `ms` is wall time a trial of the coordinator, which does everything in one
thread: its workers end at once (fvsearch.testing.simulated). Then `status`, `front` and `report` of that many trials, and starting the
search again.
Exit code 1 where a trial takes 20 ms or more at the end, or twice as much as in the second tenth.
"""

import argparse
import functools
import gc
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import psutil

from fvsearch import Ledger, RunSettings, load_study, run_study
from fvsearch.ledger import Address
from fvsearch.ledger.address import VARIABLE
from fvsearch.report import tables
from fvsearch.report.page import write_report
from fvsearch.search.watching import Progress
from fvsearch.study import Study
from fvsearch.testing.simulated import SimulatedPool

SETTINGS = ("data.source=shapes", "data.num_classes=8", "recipe.epochs=10", "recipe.warmup_epochs=1", "engine.name=optuna")
CEILING = 20.0
"""Milliseconds a trial, at the end."""

GROWTH = 2.0
"""Times as much as in the second tenth that a trial may take at the end; the first holds what is done once."""


def search(study: Study, folder: Path, workers: int, storage: str | None) -> list[dict[str, float]]:
    """Run a study; what each tenth of its trials cost, a trial."""
    process, tenth = psutil.Process(), study.trials // 10
    found: list[dict[str, float]] = []
    wall, cpu = time.perf_counter(), time.process_time()

    def watcher(progress: Progress) -> None:
        nonlocal wall, cpu
        if progress.ended is None or progress.done % tenth:
            return
        now, used = time.perf_counter(), time.process_time()
        gc.collect()
        row = {
            "trials": progress.done,
            "ms": 1e3 * (now - wall) / tenth,
            "cpu_ms": 1e3 * (used - cpu) / tenth,
            "rss_mib": process.memory_info().rss / 2**20,
            "refused": progress.refused,
            "on_front": progress.on_front,
        }
        print(f"{workers} workers: {json.dumps(row)}", file=sys.stderr, flush=True)
        found.append(row)
        wall, cpu = time.perf_counter(), time.process_time()

    settings = RunSettings(
        backend="jax", workers=workers, pool=functools.partial(SimulatedPool), storage=Address(storage) if storage else None
    )
    run_study(study, folder, settings, watcher).close()
    return found


def timed(action: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read(study: Study, folder: Path, workers: int) -> dict[str, float]:
    """Seconds that the commands which read a study take, and a start of the search that finds it at its end."""
    again = RunSettings(backend="jax", workers=workers, pool=SimulatedPool)
    return {
        "status": timed(lambda: tables.status_document(Ledger.open(folder))),
        "front": timed(lambda: tables.front_document(Ledger.open(folder))),
        "report": timed(lambda: write_report(Ledger.open(folder))),
        "report_mib": (folder / "report.html").stat().st_size / 2**20,
        "start_again": timed(lambda: run_study(study, folder, again)),
    }


def one(options: argparse.Namespace, workers: int) -> dict[str, Any]:
    """Search and read with so many workers."""
    study = load_study("reinvestment", [*SETTINGS, f"trials={options.trials}", f"name=scale-{workers}", *options.set])
    folder = Path(tempfile.mkdtemp(prefix="fvsearch-scale-", dir=options.folder))
    if options.storage:
        # Who opens the folder later has the password from here; the folder keeps none.
        os.environ[VARIABLE] = options.storage
    try:
        tenths = search(study, folder, workers, options.storage)
        # In KiB on Linux; the quiet pass reads all trials at the end.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        return {"workers": workers, "tenths": tenths, "peak_mib": peak, "seconds": read(study, folder, workers)}
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Search, read, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000, help="of each search")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64], help="simulated, of each search")
    parser.add_argument("--storage", help="URL of an empty database; the folder's SQLite unless given")
    parser.add_argument("--folder", type=Path, help="where the studies' folders are made, and removed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the study, as in fvsearch run")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options, options.workers[0])))
        return 0
    script, given = Path(__file__), [f"--trials={options.trials}", *(f"--set={change}" for change in options.set)]
    given += [f"--storage={options.storage}"] if options.storage else []
    given += [f"--folder={options.folder}"] if options.folder else []
    searches = []
    for workers in options.workers:
        command = [sys.executable, str(script), "--one", "--workers", str(workers), *given]
        searches.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()}
    print(json.dumps({"trials": options.trials, "machine": machine, "searches": searches}, indent=2))
    last = [(one["tenths"][1]["ms"], one["tenths"][-1]["ms"]) for one in searches]
    return int(any(end >= CEILING or end > GROWTH * early for early, end in last))


if __name__ == "__main__":
    sys.exit(main())
