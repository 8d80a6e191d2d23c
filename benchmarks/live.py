"""Real searches of shipped studies by the engine `front` and by NSGA-II: hypervolume over training-seconds.

    python benchmarks/live.py [--studies quickstart reinvestment-shapes] [--seeds 3] [--backend jax] [--workers 1] [--set KEY=VALUE ...]
                              [--folder runs/bench-live] [--read] [--docs docs/live.md]

For each study and seed two searches train, in turns, the one that is first changing from seed to seed: one engine each, the same trials, budget,
baseline, warm start and reference point, nothing confirmed, and no throughput measured at the end. NSGA-II has the settings with which the
studies shipped before (`NSGA2`). A search that was interrupted goes on, and one that has ended is read from its folder; `--read` runs none.

What a search took is said in training-seconds, summed over its trials, and in CPU-seconds of its workers, which other load on the machine moves
less: they hold importing, building and compiling too, and are written to cpu.jsonl in the search's folder as each trial ends.

Hypervolume is read twice: of the observed values, one training each, which flatter; and of what all searches of a study together tell of the
archs that were trained (the posterior means of the front engine's surrogate, given every training of every search), the same for both engines.

Tables on stderr, one JSON document on stdout.
"""

import argparse
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import psutil

from fvsearch import RunSettings, load_study, run_study
from fvsearch.ledger import STUDY_FILE, Ledger
from fvsearch.study import Proposer, Study
from fvsearch.watching import Progress

NSGA2 = {
    "quickstart": Proposer(name="optuna", sampler="nsga2", population=8, starts=6),
    "reinvestment-shapes": Proposer(name="optuna", sampler="nsga2", population=10),
}
"""As the studies had it when `front` was compared with it."""

CPU_FILE = "cpu.jsonl"


class Enough(Exception):
    """All trials have ended; what would follow is not asked for."""


def main() -> None:
    """Run what is asked for and has not ended; show what is there."""
    options = parse()
    for name, seed in itertools.product(options.studies, range(options.seeds)):
        engines = list(proposers(name))
        for engine in engines if seed % 2 == 0 else reversed(engines):
            if not options.read:
                search(asked(name, engine, seed, options.settings), folder_of(options.folder, name, engine, seed), options)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", default=list(NSGA2), choices=list(NSGA2))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backend", default=os.environ["KERAS_BACKEND"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="change the studies, as in fvsearch run")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-live"))
    parser.add_argument("--read", action="store_true", help="run nothing")
    parser.add_argument("--docs", type=Path)
    return parser.parse_args()


def proposers(name: str) -> dict[str, Proposer]:
    """The two engines that search a study."""
    return {"nsga2": NSGA2[name], "front": Proposer(name="front")}


def asked(name: str, engine: str, seed: int, settings: list[str]) -> Study:
    """A study as it is to be searched."""
    study = load_study(name, settings)
    proposer = proposers(name)[engine]
    with_starts = {field: getattr(proposer, field) for field in ("name", "sampler", "population", "starts")}
    return study.with_settings(
        seed=seed, confirm=None, engine=Proposer(**with_starts, warm_start=study.engine.warm_start), description=f"{study.description}, by {engine}"
    )


def folder_of(folder: Path, name: str, engine: str, seed: int) -> Path:
    """Of a search."""
    return folder / name / f"seed{seed}-{engine}"


def search(study: Study, folder: Path, options: argparse.Namespace) -> None:
    """Train a study's trials, as far as they have not been."""
    if (folder / STUDY_FILE).exists() and sum(bool(trial.ended) for trial in Ledger.open(folder).trials()) >= study.trials:
        return
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    meter = CpuMeter(folder / CPU_FILE)

    def watcher(progress: Progress) -> None:
        meter(progress)
        if progress.activity.startswith("measuring") and "front" in progress.activity:
            raise Enough

    try:
        run_study(study, folder, RunSettings(backend=options.backend, workers=options.workers, command="benchmarks/live.py"), watcher).close()
    except Enough:
        pass
    print(f"{folder}: {time.perf_counter() - began:.0f} s, load average {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


class CpuMeter:
    """Writes, as each trial ends, what CPU-seconds the workers and this process took since the one before.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._before, self._searching = path, self._spent(), False

    def __call__(self, progress: Progress) -> None:
        """Take in what is told."""
        if progress.activity == "searching" and not self._searching:
            self._searching, self._before = True, self._spent()
        if progress.ended is None:
            return
        spent = self._spent()
        row = {"trial": progress.ended.number} | {who: spent[who] - self._before[who] for who in spent}
        self._before = spent
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    @staticmethod
    def _spent() -> dict[str, float]:
        """CPU-seconds until now of the workers, the ended ones included, and of this process."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        workers = ended.ru_utime + ended.ru_stime
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            workers += times.user + times.system
        return {"workers": workers, "search": time.process_time()}


if __name__ == "__main__":
    main()
