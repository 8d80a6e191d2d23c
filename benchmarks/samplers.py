"""CPU-seconds that Optuna's samplers take for a suggestion, by how many outcomes they have been told.

    OMP_NUM_THREADS=1 python benchmarks/samplers.py [--told 20 100] [--objectives 2 3] [--samplers nsga2 gp] [--asks 3]

One JSON document on stdout. Outcomes are of archs drawn from the shipped space "quickstart" (13 params) under a memory budget of half the
baseline's, by formula; the median of a few suggestions counts, each told before the next. It is CPU time: a loaded machine matters little.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import time
from importlib.metadata import version

from fvsearch import load_study
from fvsearch.archs.space import Params
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Infeasible, Suggestion
from fvsearch.engines._optuna import SAMPLERS, OptunaEngine
from fvsearch.study import Direction, Proposer, Sampler

COSTS = ("memory", "macs", "num_params")
"""Objectives beside the accuracy, as many as are wanted."""


def seconds_of_asking(sampler: Sampler, objectives: int, told: int, asks: int) -> float:
    """Median CPU-seconds of a suggestion after so many outcomes."""
    study = load_study("quickstart", ["budget.memory=0.5x"])
    predictor, space, rng = Predictor(study), study.space, random.Random(0)
    assert space is not None
    directions: list[Direction] = ["maximize", *("minimize" for _ in range(objectives - 1))]  # type: ignore[list-item]
    engine = OptunaEngine(Proposer(name="optuna", sampler=sampler), space.domains(), directions, 0, constraints=("memory",))

    def outcome(params: Params) -> Completed | Infeasible:
        costs = predictor.costs(space.arch(params))
        broken = predictor.violations(costs)
        if broken["memory"] > 0:
            return Infeasible(constraints=broken)
        # More work pays less and less.
        accuracy = costs["macs"] / (1e5 + costs["macs"])
        return Completed(values=(accuracy, *(costs[name] for name in COSTS[: objectives - 1])), constraints=broken)

    for _ in range(told):
        params = space.params(space.sample(rng))
        engine.tell(params, outcome(params))
    taken = []
    for _ in range(asks + 1):
        start = time.process_time()
        answer = engine.ask()
        taken.append(time.process_time() - start)
        assert isinstance(answer, Suggestion)
        engine.tell(answer.params, outcome(answer.params))
    # The first also imports PyTorch and fits its processes from nothing.
    return statistics.median(taken[1:])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--told", type=int, nargs="+", default=[20, 100], help="outcomes")
    parser.add_argument("--objectives", type=int, nargs="+", default=[2, 3], help="how many")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS), help="by name")
    parser.add_argument("--asks", type=int, default=3, help="suggestions of which the median counts")
    options = parser.parse_args()
    seconds = {
        f"{sampler}, {objectives} objectives, {told} told": round(seconds_of_asking(sampler, objectives, told, options.asks), 4)
        for sampler in options.samplers
        for objectives in options.objectives
        for told in options.told
    }
    packages = {name: version(name) for name in ("optuna", "torch", "numpy", "scipy")}
    print(json.dumps({"seconds": seconds, "machine": platform.processor() or platform.machine(), "versions": packages}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
