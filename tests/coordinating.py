"""A coordinator in a process of its own, with simulated workers.

python coordinating.py URL FOLDER TRIALS SECONDS LEASE [KEY=VALUE ...]
"""

import functools
import sys
from pathlib import Path

from fvsearch.ledger import Address
from fvsearch.ledger.crew import Lease
from fvsearch.library import load_study
from fvsearch.search.loop import run_study
from fvsearch.search.workers import RunSettings
from fvsearch.testing.simulated import SimulatedPool


def settings(url: str, seconds: float, lease: float, workers: int = 2) -> RunSettings:
    return RunSettings(
        backend="jax",
        workers=workers,
        pool=functools.partial(SimulatedPool, seconds=seconds),
        storage=Address(url),
        lease=Lease(heartbeat=lease / 5, length=lease),
        command="fvsearch run",
    )


def main() -> None:
    url, folder, trials, seconds, lease, *changes = sys.argv[1:]
    study = load_study("quickstart", [f"trials={trials}", "recipe.epochs=4", "recipe.warmup_epochs=1", *changes])
    run_study(study, Path(folder), settings(url, float(seconds), float(lease)))


if __name__ == "__main__":
    main()
