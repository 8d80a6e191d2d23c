"""How often the front engine's 95% intervals hold what another training of the arch came to, on both tables of trained archs.

    python benchmarks/intervals.py [--draws 30] [--trials 10 20 40 80]

The surrogate is told one training each of so many archs, drawn at random. Its interval of an arch's own value, widened by the noise of one
training of an arch of that size, is then held against the arch's other training: of the archs that it was told, and of 30 others.

A table on stderr, one JSON document on stdout.
"""

import argparse
import json
import sys

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


def _evidence(table: Table, encoder: Encoder, rows: NDArray[np.int64]) -> Evidence:
    """The first training of each of these archs."""
    return encoder.evidence([Observation(table.archs[row], -float(table.top1[row, 0])) for row in rows])


if __name__ == "__main__":
    main()
