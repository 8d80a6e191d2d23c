"""KerasTuner's oracles as an engine drives them: in memory, silent, told scores to minimise, never ended by what cannot be trained.

The one package of a search that imports keras, for KerasTuner does; what computes here is NumPy, so no device is looked for or taken.
What is overridden is where KerasTuner writes files, counts failures, or takes a space for exhausted; how an oracle chooses is its own.

driven           what all share: trials in memory, begun and ended by the engine
random_and_grid  those that look at no outcome
bayesian         a Gaussian process over the scores
hyperband        few epochs first, more for the best
"""

from collections.abc import Callable

from fvsearch.engines._oracles.bayesian import Bayesian
from fvsearch.engines._oracles.driven import Driven
from fvsearch.engines._oracles.hyperband import Hyperband
from fvsearch.engines._oracles.random_and_grid import Grid, Random


def _random(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Random(sizes, seed, max_trials=None)


def _grid(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Grid(sizes, seed, max_trials=None)


def _bayesian(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Bayesian(sizes, seed)


ORACLES: dict[str, Callable[[dict[str, int], int, int], Driven]] = {
    "random": _random,
    "bayesian": _bayesian,
    "hyperband": Hyperband,
    "grid": _grid,
}
"""By the name in a study: (choices by name, seed, epochs of the full training) to the oracle."""
