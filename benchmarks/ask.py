"""CPU-seconds that the front engine takes for a proposal, by how many archs it chooses from and how many outcomes it was told.

    python benchmarks/ask.py [--candidates 20000 100000 1000000] [--told 20 100] [--costs 1 2] [--asks 3]

One JSON document on stdout. The archs are of three stages and all of them are candidates, for there is no budget. Before the first proposal
the space is listed, and its costs and features are computed: `seconds_to_begin` has that too. The median of a few proposals counts, each
told before the next; `on_front` are those of the told that no other dominates. It is CPU time of one core, which is what the engine takes:
a loaded machine matters little.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import time
from importlib.metadata import version

from fvsearch import Space, StageSpace, Study, load_study
from fvsearch.archs.space import Params
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Engine, Suggestion, make_engine
from fvsearch.pareto import front
from fvsearch.study import Direction, Objective, ObjectiveName, Proposer
from fvsearch.study.budgets import Budget

COSTS: tuple[ObjectiveName, ...] = ("memory", "throughput", "num_params")
DIRECTIONS: dict[ObjectiveName, Direction] = {"memory": "minimize", "throughput": "maximize", "num_params": "minimize"}


def space_of(size: int) -> Space:
    """A space of about so many archs, at most: three stages, the third of as many MLP sizes as there is room for."""
    depths, widths = (1, 2, 3, 4), (16, 32, 64, 96)
    mlps = tuple(range(32, 32 + 32 * 12, 32))

    def build(first: int, second: int, third: int) -> Space:
        return Space(
            name="asked",
            patch_size=4,
            head_dim=16,
            stages=(
                StageSpace(depth=depths, width=widths, mlp_dim=mlps[:first]),
                StageSpace(depth=(0, *depths), width=widths, mlp_dim=mlps[:second], pool_stride=(2, 4), pooling=("mean", "max")),
                StageSpace(depth=(0, 1, 2), width=widths, mlp_dim=mlps[:third], pool_stride=(2, 4)),
            ),
        )

    choices = [build(first, second, third) for first in range(1, 13) for second in range(1, 13) for third in range(1, 13)]
    return max((space for space in choices if space.size() <= size), key=Space.size)


def seconds_of_asking(size: int, costs: int, told: int, asks: int) -> dict[str, float]:
    """Median CPU-seconds of a proposal after so many outcomes, and what came before the first."""
    objectives = (
        Objective(name="top1", direction="maximize"),
        *(Objective(name=name, direction=DIRECTIONS[name]) for name in COSTS[:costs]),
    )
    base = load_study("reinvestment-shapes")
    study: Study = base.with_settings(space=space_of(size), budget=Budget(), objectives=objectives, engine=Proposer(name="front"))
    space, predictor, rng = study.space, Predictor(study), random.Random(0)
    assert space is not None
    engine = make_engine(study, predictor)
    points: list[tuple[float, ...]] = []

    def tell(params: Params) -> None:
        known = predictor.costs(space.arch(params))
        # More work pays less and less, and seeds differ.
        accuracy = known["macs"] / (2e6 + known["macs"]) + rng.gauss(0, 0.02)
        values = (accuracy, *(known[name] for name in COSTS[:costs]))
        points.append(
            tuple(value if objective.direction == "minimize" else -value for objective, value in zip(objectives, values, strict=True))
        )
        engine.tell(params, Completed(values=values))

    begin = _timed(engine)[0]
    for _ in range(told):
        tell(space.params(space.sample_evenly(rng)))
    _timed(engine)
    taken = []
    for _ in range(asks):
        seconds, params = _timed(engine)
        taken.append(seconds)
        tell(params)
    return {
        "archs": space.size(),
        "on_front": len(front(points)),
        "seconds_to_begin": round(begin, 3),
        "seconds": round(statistics.median(taken), 3),
    }


def _timed(engine: Engine) -> tuple[float, Params]:
    start = time.process_time()
    answer = engine.ask()
    taken = time.process_time() - start
    assert isinstance(answer, Suggestion)
    return taken, answer.params


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidates", type=int, nargs="+", default=[20_000, 100_000, 1_000_000], help="archs, about")
    parser.add_argument("--told", type=int, nargs="+", default=[20, 100], help="outcomes")
    parser.add_argument("--costs", type=int, nargs="+", default=[1, 2], help="costs among the objectives")
    parser.add_argument("--asks", type=int, default=3, help="proposals of which the median counts")
    options = parser.parse_args()
    found = {
        f"{size:,} archs, {costs} costs, {told} told": seconds_of_asking(size, costs, told, options.asks)
        for size in options.candidates
        for costs in options.costs
        for told in options.told
    }
    packages = {name: version(name) for name in ("numpy", "scipy")}
    print(json.dumps({"cpu_seconds": found, "machine": platform.processor() or platform.machine(), "versions": packages}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
