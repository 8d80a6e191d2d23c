"""How many trainings a search takes: engines of fvsearch replayed on landscapes whose truth is known. Nothing is trained.

    python benchmarks/search.py [--landscapes NAME ...] [--engines NAME ...] [--repeats 5] [--trials 100] [--jobs 2]
                                [--folder runs/bench-search] [--fresh] [--docs docs/search.md]

Landscapes are explained in _landscapes.py, the rule of a replay and the engines in _replay.py; "all" names all of either. What is measured
is the hypervolume of the front that the search sees, at its members' true values, over that of the best front there is: accuracy from
chance level, costs by their logarithm, up to the most that may be spent (fvsearch/fronts/volume.py). A repeat is a seed of the engine and
of the noise, the same noise for every engine. The baseline is trial 0.

Finished replays are kept in --folder, so that an interrupted benchmark goes on and `--docs` shows all that is there; --fresh runs those
asked for again. Tables on stderr, one JSON document on stdout.
"""

import argparse
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from _landscapes import LANDSCAPES, drawn
from _replay import SEARCHERS, most, replay
from _scores import optimum
from _search_pages import Found, Won, plot, shown, write_page
from _table import table_path
from _variants import VARIANTS
from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits

Task = tuple[str, str, int]
"""Landscape, engine, repeat."""

MAIN = ("table", "fitted-25", "network", "shapes-table", "shapes-fitted-25")
NAMED = ("gp", "gp+refusal", *VARIANTS)
"""Engines that run where they are named: such as take seconds for a suggestion, and `front` without one of its parts."""


def main() -> None:
    """Replay what is asked for and is not there yet; show it."""
    options = parse()
    tasks = [task for task in itertools.product(options.landscapes, options.engines, range(options.repeats)) if makes_a_difference(task)]
    found = read(options.folder, options.trials)
    missing = [task for task in tasks if options.fresh or task not in found]
    for name in dict.fromkeys(drawn(name, repeat) for name, _, repeat in missing):
        # Here, so that the jobs, which are forks of this process, have it.
        optimum(name)
    for task, won in run(missing, options.trials, options.jobs):
        found[task] = {what: [round(value, 5) for value in values] for what, values in won.items()}
        keep(options.folder, task, found[task])
    asked = by_engine({task: won for task, won in found.items() if task in tasks})
    for name, engines in asked.items():
        print(f"\n{name}\n{shown(engines, options.trials)}", file=sys.stderr)
    if options.docs:
        known = by_engine(found)
        write_page(options.docs, known, options.trials)
        plot(options.docs.with_suffix(".png"), {name: known[name] for name in MAIN if name in known}, options.trials)
    print(json.dumps(asked))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landscapes", nargs="+", default=MAIN, choices=[*LANDSCAPES, "all"])
    parser.add_argument("--engines", nargs="+", default=[name for name in SEARCHERS if name not in NAMED], choices=[*SEARCHERS, "all"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-search"))
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    for name, known in (("landscapes", LANDSCAPES), ("engines", SEARCHERS)):
        if "all" in getattr(options, name):
            setattr(options, name, list(known))
    return options


def makes_a_difference(task: Task) -> bool:
    """Whether a repeat may differ from those before it: to who knows the truth, only where the landscape is drawn anew."""
    name, engine, repeat = task
    return not SEARCHERS[engine].knows or all(drawn(name, earlier) != drawn(name, repeat) for earlier in range(repeat))


def run(tasks: list[Task], trials: int, jobs: int) -> Iterator[tuple[Task, Won]]:
    """Each task with what it won, as they end."""
    if not tasks:
        return
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=one_thread) as pool:
        futures = {pool.submit(replay, *task, trials): task for task in tasks}
        for future in track(as_completed(futures), "Replays", total=len(tasks), console=Console(stderr=True)):
            yield futures[future], future.result()


def one_thread() -> None:
    """The jobs are what runs side by side."""
    # Of PyTorch, which is imported later, by the sampler "gp"; then of what is here.
    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(1)


def read(folder: Path, trials: int) -> dict[Task, Won]:
    """The finished replays of at least so many trials, cut to them."""
    found = {}
    for path in folder.glob("*/*/*/*.json"):
        made_of, name, engine = path.parts[-4:-1]
        if engine not in SEARCHERS or name not in LANDSCAPES or made_of != table_hash(name):
            continue
        won = json.loads(path.read_text())
        if len(won["seen"]) >= min(trials, most(name, engine)):
            found[name, engine, int(path.stem)] = {what: values[:trials] for what, values in won.items()}
    return found


def keep(folder: Path, task: Task, won: Won) -> None:
    """Keep a finished replay."""
    name, engine, repeat = task
    path = folder / table_hash(name) / name / engine / f"{repeat}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(won))


@functools.cache
def table_hash(name: str) -> str:
    """Of the table that a landscape is made of: replays of another table's are others."""
    return hashlib.sha256(table_path(LANDSCAPES[name][0]).read_bytes()).hexdigest()[:8]


def by_engine(found: dict[Task, Won]) -> dict[str, Found]:
    """By landscape and engine, in the order in which they are defined; the repeats in theirs."""
    runs: dict[str, dict[str, list[Won]]] = defaultdict(lambda: defaultdict(list))
    for name, engine, repeat in sorted(found, key=lambda task: (list(LANDSCAPES).index(task[0]), list(SEARCHERS).index(task[1]), task[2])):
        runs[name][engine].append(found[name, engine, repeat])
    return {name: dict(engines) for name, engines in runs.items()}


if __name__ == "__main__":
    main()
