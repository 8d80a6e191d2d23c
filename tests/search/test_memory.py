"""What a coordinator keeps of trials that have ended."""

import functools
import gc
import tracemalloc
from pathlib import Path

import pytest

from fvsearch import RunSettings, load_study, run_study
from fvsearch.search.watching import Progress
from fvsearch.testing.simulated import SimulatedPool

SETTINGS = ("data.source=shapes", "data.num_classes=8", "recipe.epochs=10", "recipe.warmup_epochs=1", "engine.name=optuna")
FIRST, LAST = 100, 300
MOST = 1_000
"""Bytes a trial, where dictionaries that grow by leaps count in; a record alone is more than two thousand."""


@pytest.mark.slow
def test_of_an_ended_trial_no_record_is_kept(tmp_path: Path) -> None:
    study = load_study("reinvestment", [*SETTINGS, f"trials={LAST}"])
    held: dict[int, int] = {}

    def watcher(progress: Progress) -> None:
        if progress.ended is not None and progress.done in (FIRST, LAST):
            gc.collect()
            held[progress.done] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        run_study(study, tmp_path, RunSettings(backend="jax", workers=2, pool=functools.partial(SimulatedPool)), watcher).close()
    finally:
        tracemalloc.stop()
    assert (held[LAST] - held[FIRST]) / (LAST - FIRST) < MOST
