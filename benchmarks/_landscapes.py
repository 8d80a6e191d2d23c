"""What benchmarks/search.py searches: archs whose true accuracy and costs are known, and the noise that a training adds.

`table` is the real thing: a table's archs and no others, their trainings as they went. The others are of the whole space that the table's
archs were drawn from:

    fitted         a Gaussian process through the table's accuracies; the whole space, no budget
    fitted-25      the same, where the memory budget leaves a quarter of the archs; all that follow have this budget
    linear         the hypervolume counts costs as they are and not their logarithms
    noisy          the seeds' noise doubled
    off-10, off-30 true costs lie off the predicted ones by 10 or 30 percent, each arch's by itself
    network        accuracy is a random network of the params, with as much of a trend that rises in each: no log, parameters or macs in it
    unstructured   every arch's accuracy by itself: nothing can be learned; of five draws, in turn
    steps          plateaus with jumps between them, by a random regression tree over the params; of twenty draws, in turn

There are two tables (_table.py). These names are of the first, digits; `shapes-table`, `shapes-fitted-25` and so on are of the second.
"""

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from _table import TABLES, Table, read_table
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
from sklearn.model_selection import KFold, cross_val_predict

from fvsearch.archs.arch import Arch
from fvsearch.costs.predictor import Predictor
from fvsearch.study import Proposer, Study
from fvsearch.study.budgets import Budget

Numbers = NDArray[np.float64]

LEAST, MOST = 0.1, 0.99
"""Accuracies that there can be: chance, and nearly all."""


class Landscape(NamedTuple):
    """Archs and the truth about them.

    Attributes:
        table: That it is of, by name.
        study: Its space, or its list of archs, with objectives and budget.
        archs: All of them.
        rows: Of each arch, by its hash.
        top1: (archs,) without noise.
        memory, throughput: (archs,) true ones, in the predictor's units.
        noise: Standard deviation of a training's top1; none where trainings are known.
        trainings: (archs, repeats) top1 of trainings.
        logarithmic: Whether the hypervolume counts the logarithms of costs.
    """

    table: str
    study: Study
    archs: Sequence[Arch]
    rows: dict[str, int]
    top1: Numbers
    memory: Numbers
    throughput: Numbers
    noise: float = 0.0
    trainings: Numbers | None = None
    logarithmic: bool = True

    def observed(self, row: int, repeat: int) -> float:
        """The top1 that a repeat of the benchmark sees of an arch, whoever proposes it."""
        draw = chance(self.archs[row], f"training {repeat}")
        if self.trainings is not None:
            return float(self.trainings[row, int(draw * self.trainings.shape[1])])
        return float(np.clip(self.top1[row] + self.noise * norm.ppf(draw), 0.0, 1.0))


def chance(arch: Arch, what: str) -> float:
    """A number between 0 and 1, an arch's own."""
    return (int.from_bytes(hashlib.sha256(f"{what}/{arch.arch_hash}".encode()).digest()[:6], "big") + 0.5) / 2**48


class Whole(NamedTuple):
    """The whole space, enumerated.

    Attributes:
        inputs: (archs, params) in 0 to 1; 0 where inactive.
        costs: (archs,) by name.
    """

    study: Study
    archs: list[Arch]
    rows: dict[str, int]
    inputs: Numbers
    costs: dict[str, Numbers]


@functools.cache
def table(name: str) -> Table:
    """By name."""
    return read_table(name)


@functools.cache
def whole(name: str) -> Whole:
    """A table's space, some hundred thousand archs."""
    study = table(name).study
    assert study.space is not None
    archs, predictor = list(study.space.archs()), Predictor(study)
    costs = [predictor.costs(arch) for arch in archs]
    return Whole(
        study=study,
        archs=archs,
        rows={arch.arch_hash: row for row, arch in enumerate(archs)},
        inputs=inputs(study, archs),
        costs={name: np.array([cost[name] for cost in costs], float) for name in costs[0]},
    )


def inputs(study: Study, archs: Sequence[Arch]) -> Numbers:
    """(archs, params): depth, width, MLP size, stride, pooling of each stage, as shares of the greatest; 0 where there is no such stage."""
    assert study.space is not None
    count = len(study.space.stages)
    found = np.zeros((len(archs), count, 5))
    for row, arch in enumerate(archs):
        for index, stage in enumerate(arch.stages):
            found[row, index] = stage.depth, stage.width, stage.mlp_dim, stage.pool_stride, stage.pooling == "max"
    flat = found.reshape(len(archs), -1)
    return np.asarray(flat / np.maximum(_greatest(study), 1))


def _greatest(study: Study) -> Numbers:
    assert study.space is not None
    choices = [stage.choices() for stage in study.space.stages]
    return np.array(
        [[max(map(int, stage[name])) for name in ("depth", "width", "mlp_dim", "pool_stride")] + [1] for stage in choices]
    ).ravel()


@functools.cache
def fitted(name: str) -> Numbers:
    """(archs,) the mean of a Gaussian process, a trend and what is smooth, over the params and the logarithms of parameters and macs."""
    features, known = _features(name), table(name)
    with _at_bounds():
        model = _gaussian_process(name).fit(features[_rows(name)], known.top1.mean(axis=1))
    parts = np.array_split(features, max(1, len(features) // 5000))
    return np.asarray(np.clip(np.concatenate([model.predict(part) for part in parts]), LEAST, MOST))


@functools.cache
def fit_quality(name: str) -> float:
    """Share of the variance of the table's means that the fit explains in archs left out of it, a tenth at a time."""
    means = table(name).top1.mean(axis=1)
    with _at_bounds():
        told = cross_val_predict(_gaussian_process(name), _features(name)[_rows(name)], means, cv=KFold(10, shuffle=True, random_state=0))
    return float(1 - np.square(told - means).sum() / np.square(means - means.mean()).sum())


@functools.cache
def _features(name: str) -> Numbers:
    """(archs, features) that accuracy is fitted by."""
    space = whole(name)
    return np.column_stack([space.inputs, *(_standard(np.log(space.costs[cost])) for cost in ("num_params", "macs"))])


@contextlib.contextmanager
def _at_bounds() -> Iterator[None]:
    """A length scale at its bound is a param that tells nothing, and no fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _rows(name: str) -> list[int]:
    """Of a table's archs in the whole space."""
    return [whole(name).rows[arch.arch_hash] for arch in table(name).archs]


def _gaussian_process(name: str) -> GaussianProcessRegressor:
    """One whose length scales are fitted by likelihood, and whose noise is that of the seeds."""
    known = table(name)
    # As a share of the variance of what is fitted, for that is standardised.
    noise = known.noise**2 / known.top1.shape[1] / known.top1.mean(axis=1).var()
    trend = ConstantKernel(1.0, (1e-3, 100)) * DotProduct(1.0, (1e-2, 10))
    smooth = ConstantKernel(0.3, (1e-3, 100)) * RBF(np.ones(_features(name).shape[1]), (0.5, 20))
    return GaussianProcessRegressor(trend + smooth, alpha=noise, normalize_y=True, random_state=0)


@functools.cache
def network(name: str) -> Numbers:
    """(archs,) a random network of two layers, plus concave functions that rise in depth, width and MLP size; spread as the table is."""
    space, rng = whole(name), np.random.default_rng(0)
    hidden = np.tanh(space.inputs @ rng.normal(0, 1.5, (space.inputs.shape[1], 32)) + rng.normal(0, 1, 32))  # (archs, 32)
    wiggle = np.tanh(hidden @ rng.normal(0, 0.4, (32, 16))) @ rng.normal(0, 1, 16)  # (archs,)
    rising = np.arange(space.inputs.shape[1]) % 5 < 3
    trend = space.inputs[:, rising] ** rng.uniform(0.2, 1, rising.sum()) @ rng.uniform(0, 1, rising.sum())  # (archs,)
    return _like_table(name, _standard(wiggle) + _standard(trend))


def unstructured(name: str, draw: int = 0) -> Numbers:
    """(archs,) by chance alone, spread as the table is."""
    return _like_table(name, norm.ppf([chance(arch, f"unstructured {draw}") for arch in whole(name).archs]))


def steps(name: str, draw: int = 0) -> Numbers:
    """(archs,) a random regression tree over the params, of depth 6: plateaus with jumps between them; spread as the table is."""
    params, rng = whole(name).inputs, np.random.default_rng(draw)
    values, leaves = np.empty(len(params)), [np.arange(len(params))]
    for _ in range(6):
        leaves = [part for rows in leaves for part in _split(params, rows, rng)]
    for rows in leaves:
        values[rows] = rng.standard_normal()
    return _like_table(name, values)


def _split(params: Numbers, rows: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Archs parted at a param's value, both by chance; whole where they are all alike."""
    differing = np.flatnonzero(np.ptp(params[rows], axis=0))
    if not len(differing):
        return [rows]
    column = params[rows, rng.choice(differing)]
    low = column <= rng.choice(np.unique(column)[:-1])
    return [rows[low], rows[~low]]


def _like_table(name: str, values: Numbers) -> Numbers:
    known = table(name)
    return np.asarray(np.clip(known.top1.mean() + known.spread * _standard(values), LEAST, MOST))


def _standard(values: Numbers) -> Numbers:
    return np.asarray((values - values.mean()) / values.std())


def _over_space(
    name: str,
    top1: Callable[[str], Numbers],
    *,
    feasible: float | None = 0.25,
    noise: float = 1.0,
    off: float = 0.0,
    logarithmic: bool = True,
) -> Landscape:
    space = whole(name)
    memory, throughput = space.costs["memory"], space.costs["throughput"]
    study, noise = space.study, noise * table(name).noise
    if feasible is not None:
        study = study.with_settings(budget=_budget(study, float(np.quantile(memory, feasible))))
    if off:
        memory, throughput = (
            values * np.exp(off * _deviates(name, kind)) for kind, values in (("memory", memory), ("throughput", throughput))
        )
    return Landscape(name, study, space.archs, space.rows, top1(name), memory, throughput, noise, logarithmic=logarithmic)


def _deviates(name: str, kind: str) -> Numbers:
    """(archs,) by chance; the baseline's cost is measured before a search, so it is as predicted."""
    space = whole(name)
    found = norm.ppf([chance(arch, f"true {kind}") for arch in space.archs])
    found[space.rows[space.study.baseline.arch_hash]] = 0.0
    return np.asarray(found)


def _budget(study: Study, memory: float) -> Budget:
    return Budget(memory=f"{memory / Predictor(study).baseline['memory']:.4f}x")


def _real(name: str, feasible: float = 0.5) -> Landscape:
    """A table; memory as measured, in the units of a prediction that is right for the baseline, and throughput as predicted."""
    known = table(name)
    study = known.study
    rows = {arch.arch_hash: row for row, arch in enumerate(known.archs)}
    predictor = Predictor(study)
    measured = known.memory * predictor.baseline["memory"] / known.memory[rows[study.baseline.arch_hash]]
    listed = study.with_settings(
        space=None,
        engine=Proposer(name="listed", archs=tuple(known.archs)),
        budget=_budget(study, float(np.quantile(measured, feasible))),
    )
    throughput = np.array([predictor.costs(arch)["throughput"] for arch in known.archs])
    return Landscape(name, listed, known.archs, rows, known.top1.mean(axis=1), measured, throughput, trainings=known.top1)


DRAWN: dict[str, tuple[Callable[..., Numbers], int]] = {"unstructured": (unstructured, 5), "steps": (steps, 20)}
"""Accuracies that are by chance alone, and how many draws of them are searched: in one some engine is lucky, or is not."""

KINDS: dict[str, Callable[[str], Landscape]] = {
    "table": _real,
    "fitted-25": lambda name: _over_space(name, fitted),
    "fitted": lambda name: _over_space(name, fitted, feasible=None),
    "network": lambda name: _over_space(name, network),
    "linear": lambda name: _over_space(name, fitted, logarithmic=False),
    "noisy": lambda name: _over_space(name, fitted, noise=2.0),
    "off-10": lambda name: _over_space(name, fitted, off=0.1),
    "off-30": lambda name: _over_space(name, fitted, off=0.3),
    **{kind: functools.partial(_over_space, top1=top1) for kind, (top1, _) in DRAWN.items()},
}
"""Each of any table, by the table's name."""

LANDSCAPES: dict[str, tuple[str, str]] = {
    kind if name == TABLES[0] else f"{name}-{kind}": (name, kind) for name in TABLES for kind in KINDS
}
"""By name: of which table, and what."""


def drawn(name: str, repeat: int) -> str:
    """The landscape that a repeat searches: where it is by chance alone, one of several draws."""
    kind = LANDSCAPES[name][1]
    return f"{name}#{repeat % DRAWN[kind][1]}" if kind in DRAWN else name


@functools.cache
def landscape(name: str) -> Landscape:
    """By name, or by the name of one of its draws; made once a process."""
    name, _, draw = name.partition("#")
    of, kind = LANDSCAPES[name]
    return _over_space(of, functools.partial(DRAWN[kind][0], draw=int(draw))) if draw else KINDS[kind](of)
