"""Real searches of shipped studies by the engine `front` and by NSGA-II: hypervolume over training-seconds.

    python benchmarks/live.py [--studies quickstart reinvestment-shapes] [--seeds 3] [--backend jax] [--workers 1] [--set KEY=VALUE ...]
                              [--folder runs/bench-live] [--read] [--docs docs/live.md]

For each seed and study two searches train, one by each engine, the one that is first changing from seed to seed: the same trials, budget,
baseline, warm start and reference point, nothing confirmed, and no throughput measured at the end. NSGA-II has the settings with which the
studies shipped before (`NSGA2`). A search that was interrupted goes on, and one that has ended is read from its folder; `--read` runs none.
What both engines of a seed begin with, baseline and warm start, are the same trainings: they are done once, and count in both searches.
Where a search of a seed has not ended, both are read up to as many trials as both have.

What a search took is said in training-seconds, summed over its trials, and in CPU-seconds of its workers, which other load on the machine
moves less: they hold importing, building and compiling too, and are written to cpu.jsonl in the search's folder as each trial ends.

Hypervolume is read twice: of the observed values, one training each, which flatter; and of what all searches of a study together tell of
the archs that were trained (posterior means of the front engine's surrogate, given every training of every search), for both engines alike.

Tables on stderr, one JSON document on stdout.
"""

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import msgspec
import psutil
from _live_pages import spent_table, won_table, write_page
from _live_searches import CPU_FILE, READINGS, Found, read_cpu, read_searches

from fvsearch import RunSettings, load_study, run_study
from fvsearch.ledger import STUDY_FILE, Ledger
from fvsearch.search.watching import Progress
from fvsearch.study import Proposer, Study

NSGA2 = {
    "quickstart": Proposer(name="optuna", sampler="nsga2", population=8, starts=6),
    "reinvestment-shapes": Proposer(name="optuna", sampler="nsga2", population=10),
}
"""As the studies had it when `front` was compared with it."""

ENGINES = ("nsga2", "front")


class EnoughError(Exception):
    """All trials have ended; what would follow is not asked for."""


def main() -> None:
    """Run what is asked for and has not ended; show what is there."""
    options = parse()
    for seed, name in itertools.product(range(options.seeds), options.studies):
        first, second = ENGINES if seed % 2 == 0 else reversed(ENGINES)
        for engine, other in ((first, None), (second, first)):
            lender = folder_of(options, name, other, seed) if other else None
            if not options.read:
                search(asked(name, engine, seed, options.settings), folder_of(options, name, engine, seed), lender, options)
    found = {name: one for name in options.studies if (one := read(options, name)) is not None}
    for name, one in found.items():
        print(f"\n{name}\n{spent_table(one)}", file=sys.stderr)
        for reading in READINGS:
            print(f"\n{reading}, nsga2 / front\n{won_table(one, reading)}", file=sys.stderr)
    document = {
        "command": f"python benchmarks/live.py --seeds {options.seeds} --workers {options.workers}",
        "studies": {name: [one._asdict() for one in known.searches] for name, known in found.items()},
    }
    if options.docs:
        write_page(options.docs, found, document)
    print(json.dumps(document))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", default=list(NSGA2), choices=list(NSGA2))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backend", default=os.environ["KERAS_BACKEND"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="change the studies")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-live"))
    parser.add_argument("--read", action="store_true", help="run nothing")
    parser.add_argument("--docs", type=Path)
    return parser.parse_args()


def asked(name: str, engine: str, seed: int, settings: list[str]) -> Study:
    """A study as it is to be searched."""
    study = load_study(name, settings)
    proposer = NSGA2[name] if engine == "nsga2" else Proposer(name="front")
    proposer = msgspec.structs.replace(proposer, warm_start=study.engine.warm_start)
    return study.with_settings(seed=seed, confirm=None, engine=proposer)


def folder_of(options: argparse.Namespace, name: str, engine: str, seed: int) -> Path:
    """Of a search."""
    folder: Path = options.folder / name / f"seed{seed}-{engine}"
    return folder


def search(study: Study, folder: Path, lender: Path | None, options: argparse.Namespace) -> None:
    """Train a study's trials, as far as they have not been.

    Args:
        study: To search.
        folder: Of the search.
        lender: Folder of the other engine's search, if that was first; it begins with the same trainings.
        options: Of the command line.
    """
    if count_ended(folder) >= study.trials:
        return
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    meter = CpuMeter(folder / CPU_FILE, borrow(study, folder, lender) if lender else {})

    def watcher(progress: Progress) -> None:
        meter(progress)
        if progress.activity.startswith("measuring") and "front" in progress.activity:
            raise EnoughError

    settings = RunSettings(backend=options.backend, workers=options.workers, command="benchmarks/live.py")
    with contextlib.suppress(EnoughError):
        run_study(study, folder, settings, watcher).close()
    print(f"{folder}: {time.perf_counter() - began:.0f} s, load average {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def borrow(study: Study, folder: Path, lender: Path) -> dict[int, float]:
    """Copy the trainings that both engines begin with; a search finds them done. Their workers' CPU-seconds, by trial."""
    cpu, lent = read_cpu(lender / CPU_FILE), {}
    for number in range(1 + len(study.listed_starts)):
        there, here = (one / "trials" / f"{number:04d}" for one in (lender, folder))
        if there.exists() and number in cpu:
            if not here.exists():
                shutil.copytree(there, here)
            lent[number] = cpu[number]["workers"]
    return lent


def count_ended(folder: Path) -> int:
    """How many trials of a search have ended."""
    if not (folder / STUDY_FILE).exists():
        return 0
    with contextlib.closing(Ledger.open(folder)) as ledger:
        return sum(bool(trial.ended) for trial in ledger.trials())


def read(options: argparse.Namespace, name: str) -> Found | None:
    """What the searches of a study won, of each seed as many trials as both have ended; none where no seed has enough to tell of."""
    study = load_study(name, options.settings)
    counts = {
        seed: min(study.trials, *(count_ended(folder_of(options, name, engine, seed)) for engine in ENGINES))
        for seed in range(options.seeds)
    }
    tasks = {
        (engine, seed): (folder_of(options, name, engine, seed), count)
        for seed, count in counts.items()
        for engine in ENGINES
        if count > 1 + len(study.listed_starts)
    }
    return read_searches(tasks) if tasks else None


class CpuMeter:
    """Writes, as each trial ends, what CPU-seconds the workers and this process took since the one before.

    Args:
        path: Of the file.
        lent: By trial, the workers' CPU-seconds of trainings that are done before the search begins.
    """

    def __init__(self, path: Path, lent: dict[int, float]) -> None:
        self._path, self._lent, self._before, self._searching = path, lent, self._spent(), False

    def __call__(self, progress: Progress) -> None:
        """Take in what is told."""
        if progress.activity == "searching" and not self._searching:
            self._searching, self._before = True, self._spent()
        if progress.ended is None:
            return
        spent, number = self._spent(), progress.ended.number
        row = {"trial": number} | {who: spent[who] - self._before[who] for who in spent}
        if number in self._lent:
            row["workers"] = self._lent[number]
        self._before = spent
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    @staticmethod
    def _spent() -> dict[str, float]:
        """CPU-seconds until now of the workers, the ended ones included, and of this process."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        workers = ended.ru_utime + ended.ru_stime
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                workers += times.user + times.system
        return {"workers": workers, "search": time.process_time()}


if __name__ == "__main__":
    main()
