"""How often the front engine's 95% intervals hold what they are of: on both tables of trained archs, and on truths that are made up.

    python benchmarks/intervals.py [--draws 30] [--trials 10 20 40 80]

The surrogate is told one training each of so many archs, drawn at random. Of a table, its interval of an arch's own value, widened by the
noise of one training of an arch of that size, is then held against the arch's other training: of the archs that it was told, and of 30
others. Of a made-up truth its interval is held against the truth: one as the model has it ("process"), and one of waves along a few
directions, bounded above, that it cannot follow ("waves"), of eight features, the noise .1 and .6 of the archs' spread.

A table on stderr, one JSON document on stdout.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable

import numpy as np
from _pages import markdown
from _table import TABLES, Table, read_table
from numpy.typing import NDArray

from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.mixture import Mixture
from fvsearch.engines.front.surrogate import Evidence, Surrogate

Numbers = NDArray[np.float64]

OTHERS = 30
"""Archs that it was not told of."""


def main() -> None:
    """Draw, believe, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 20, 40, 80])
    options = parser.parse_args()
    found = []
    for name in TABLES:
        table = read_table(name)
        encoder = Encoder(table.study)
        for count in options.trials:
            held = np.mean([_held(table, encoder, count, np.random.default_rng(draw)) for draw in range(options.draws)], axis=0)
            found.append({"table": name, "trials": count, "told": float(held[0]), "others": float(held[1])})
    for (name, truth), noise, count in itertools.product(TRUTHS.items(), NOISES, options.trials):
        shares = [_held_of_truth(truth, noise, count, np.random.default_rng(draw)) for draw in range(options.draws)]
        held = np.mean(shares, axis=0)
        found.append({"table": f"{name}, noise {noise}", "trials": count, "told": float(held[0]), "others": float(held[1])})
    rows = [[row["table"], str(row["trials"]), f"{row['told']:.1%}", f"{row['others']:.1%}"] for row in found]
    print(markdown(["table", "trials", "held, of archs told", "held, of others"], rows), file=sys.stderr)
    print(json.dumps(found))


def _held(table: Table, encoder: Encoder, count: int, rng: np.random.Generator) -> tuple[float, float]:
    """The share of intervals that hold the other training: of archs that were told, and of others."""
    rows = rng.permutation(len(table.archs))[: count + OTHERS]
    told, others = (_evidence(table, encoder, some) for some in (rows[:count], rows[count:]))
    surrogate, calming = Mixture(told), Surrogate(told).hyper["calming"]
    mean, covariance = surrogate.observed()
    known = mean, np.sqrt(np.maximum(np.diag(covariance), 0.0))
    shares = []
    for some, (middle, deviation), evidence in ((rows[:count], known, told), (rows[count:], surrogate.posterior(others.inputs), others)):
        noise = surrogate.noise * np.exp(-calming * evidence.sizes)
        low, high = surrogate.interval(middle, np.hypot(deviation, noise))
        other = -table.top1[some, 1]
        shares.append(float(((low <= other) & (other <= high)).mean()))
    return shares[0], shares[1]


def _process(rng: np.random.Generator, inputs: Numbers) -> Numbers:
    """(archs,) of a truth as the model has it, at about the middle of its priors."""
    linear, residual, length, own = 0.8, 0.5, 0.7, 0.2
    inner = inputs @ inputs.T / inputs.shape[1]
    squares = np.diag(inner)
    root = np.sqrt(5 * np.maximum(0.0, (squares[:, None] + squares[None, :] - 2 * inner) / 2)) / length
    smooth = residual**2 * (1 + root + root**2 / 3) * np.exp(-root)
    return np.asarray(
        rng.multivariate_normal(np.zeros(len(inputs)), linear**2 * inner + smooth + own**2 * np.eye(len(inputs)), method="cholesky")
    )


def _waves(rng: np.random.Generator, inputs: Numbers) -> Numbers:
    """(archs,) of a truth that the model does not have."""
    waves = [np.sin(inputs @ rng.standard_normal(inputs.shape[1]) / 2 + rng.uniform(0, 6)) for _ in range(4)]
    return np.asarray(np.minimum(np.sum(waves, axis=0), 1.0))


TRUTHS: dict[str, Callable[[np.random.Generator, Numbers], Numbers]] = {"process": _process, "waves": _waves}
NOISES = (0.1, 0.6)
FEATURES = 8


def _held_of_truth(
    truth: Callable[[np.random.Generator, Numbers], Numbers], noise: float, count: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The share of intervals that hold the truth: of archs that were told, and of others."""
    inputs = rng.standard_normal((count + OTHERS, FEATURES))
    values = truth(rng, inputs)
    surrogate = Mixture(Evidence.of(inputs[:count], values[:count] + noise * values.std() * rng.standard_normal(count)))
    mean, covariance = surrogate.observed()
    known, others = (mean, np.sqrt(np.maximum(np.diag(covariance), 0.0))), surrogate.posterior(inputs[count:])
    shares = []
    for (middle, deviation), true in ((known, values[:count]), (others, values[count:])):
        low, high = surrogate.interval(middle, deviation)
        shares.append(float(((low <= true) & (true <= high)).mean()))
    return shares[0], shares[1]


def _evidence(table: Table, encoder: Encoder, rows: NDArray[np.int64]) -> Evidence:
    """The first training of each of these archs."""
    return encoder.evidence([Observation(table.archs[row], -float(table.top1[row, 0])) for row in rows])


if __name__ == "__main__":
    main()
