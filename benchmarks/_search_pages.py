"""The figures of benchmarks/search.py: tables for docs/search.md, and the plot."""

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _landscapes import LANDSCAPES, fit_quality, table
from _pages import markdown, replace_figures
from _scores import feasible_share
from _variants import VARIANTS
from numpy.typing import NDArray

Won = dict[str, list[float]]
"""Of a replay, hypervolume after each trial, over the optimum's: "seen", "trained", "believed", as `_scores.Score` has them."""

Found = dict[str, list[Won]]
"""By engine, of each repeat."""

COLUMNS = (10, 16, 33, 100)
"""Trials of which the tables tell."""

TARGETS = ("nsga2", "nsga2+refusal")
"""Whose hypervolume at the end others are timed by."""

NO_RIVALS = ("front", "oracle", *VARIANTS)
"""Who is none of the others that `front` is held against."""

TITLES = {
    "table": "Digits: trained archs, half of them feasible",
    "fitted-25": "Digits: whole space, fitted, 25% feasible",
    "network": "Whole space, a random network, 25% feasible",
    "shapes-table": "Shapes (held out): trained archs, half feasible",
    "shapes-fitted-25": "Shapes (held out): whole space, fitted, 25% feasible",
}

STYLES = {
    "random": ("0.6", "--"),
    "nsga2": ("tab:blue", "--"),
    "nsga2+refusal": ("tab:blue", "-"),
    "tpe+refusal": ("tab:green", "-"),
    "gp+refusal": ("tab:purple", "-"),
    "spread": ("tab:olive", "-."),
    "front": ("tab:red", "-"),
    "oracle": ("black", ":"),
}
"""Color and line of the engines that the plot shows."""


def shown(engines: Found, trials: int) -> str:
    """A line an engine: median and quartiles at some trials, and the first trial at which its median has what NSGA-II had at the end."""
    columns = [column for column in COLUMNS if column <= trials]
    targets = {name: _quartiles(engines[name], "seen")[1, -1] for name in TARGETS if name in engines}
    rows = []
    for name, runs in engines.items():
        for label, what in _fronts(name, runs):
            found, trained = _quartiles(runs, what), _quartiles(runs, "trained")[1]
            told = [_told(found[:, column - 1]) if column <= found.shape[1] else "" for column in columns]
            most = [_number(trained[column - 1]) if column <= len(trained) else "" for column in columns[-2:]]
            rows.append([label, str(len(runs)), *told, *most, *(_reached(found[1], target) for target in targets.values())])
    header = ["engine", "repeats", *(f"at {column}" for column in columns), *(f"trained by {column}" for column in columns[-2:])]
    return markdown([*header, *(f"has {name}'s at" for name in targets)], rows)


def _fronts(name: str, runs: list[Won]) -> list[tuple[str, str]]:
    """The fronts of an engine, as they are called and what they are made of."""
    return [(name, "believed"), (f"{name}, as observed", "seen")] if "believed" in runs[0] else [(name, "seen")]


def _quartiles(runs: list[Won], what: str) -> NDArray[np.float64]:
    """(quartiles, trials): lower quartile, median, upper quartile."""
    return np.asarray(np.quantile(np.array([won[what] for won in runs]), [0.25, 0.5, 0.75], axis=0))


def _told(quartiles: NDArray[np.float64]) -> str:
    low, middle, high = map(_number, quartiles)
    return f"**{middle}** {low}–{high}"


def _number(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _reached(median: NDArray[np.float64], target: float) -> str:
    """The first trial at which the median is there."""
    there = np.flatnonzero(median >= target)
    return str(there[0] + 1) if len(there) else f"> {len(median)}"


def write_page(page: Path, found: dict[str, Found], trials: int) -> None:
    """Put what is known into the page."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("optuna", "numpy", "scipy", "scikit-learn"))
    of = dict.fromkeys(LANDSCAPES[name][0] for name in found)
    parts = [*map(_about, of), f"Replays: {versions}; Python {platform.python_version()}.", "### All of them", _summary(found, trials)]
    if parts_of := {name: engines for name, engines in found.items() if engines.keys() & set(VARIANTS)}:
        parts += ["### Without its parts", _without_parts(parts_of, trials)]
    for name, engines in found.items():
        share, engines = feasible_share(name), {engine: runs for engine, runs in engines.items() if engine not in VARIANTS}
        parts += [f"### {name}", f"{share:.0%} feasible." if share < 1 else "No budget.", shown(engines, trials)]
    replace_figures(page, "search", parts)


def _summary(found: dict[str, Found], trials: int) -> str:
    """A line a landscape: when `front` has what NSGA-II had at the end, and its median beside the best of the others."""
    columns = (COLUMNS[-2], trials)
    rows = []
    for name, engines in found.items():
        if "front" not in engines:
            continue
        ours = _quartiles(engines["front"], "believed")[1]
        ends = [_quartiles(engines[target], "seen")[1, -1] for target in TARGETS if target in engines]
        knowing = _quartiles(engines["oracle"], "seen")[1] if "oracle" in engines else None
        row = [name, *(_reached(ours, end) for end in ends), _reached(knowing, ends[-1]) if knowing is not None and ends else ""]
        for column in columns:
            others = {
                engine: _quartiles(runs, "seen")[1, column - 1]
                for engine, runs in engines.items()
                if engine not in NO_RIVALS and len(runs[0]["seen"]) >= column
            }
            best = max(others, key=lambda engine: others[engine], default="")
            row += [_number(ours[column - 1]), f"{_number(others[best])} {best}" if best else ""]
        rows.append(row)
    header = ["landscape", *(f"front has {target}'s end at" for target in TARGETS), "an oracle has it at"]
    return markdown([*header, *(text for column in columns for text in (f"front at {column}", f"best other at {column}"))], rows)


def _without_parts(found: dict[str, Found], trials: int) -> str:
    """A line for the engine and for each of its variants: medians at some trials, by landscape; over the repeats that all have."""
    columns = [column for column in COLUMNS[1:] if column <= trials]
    names = [name for name in ("front", *VARIANTS) if any(name in engines for engines in found.values())]
    counts = [min(len(engines[name]) for name in names if name in engines) for engines in found.values()]
    rows = []
    for name in names:
        row = [name]
        for engines, count in zip(found.values(), counts, strict=True):
            middle = _quartiles(engines[name][:count], "believed")[1] if name in engines else None
            row.append(" / ".join(_number(middle[column - 1]) for column in columns) if middle is not None else "")
        rows.append(row)
    return markdown(["engine", *(f"{name}, {count} repeats" for name, count in zip(found, counts, strict=True))], rows)


def _about(name: str) -> str:
    """Where a table is from, and how well it is fitted."""
    known, quality = table(name), fit_quality(name)
    made = known.provenance[-1]
    trained = ", ".join(f"{library} {number}" for library, number in made["versions"].items() if library != "fvsearch")
    means = known.top1.mean(axis=1)
    return (
        f"Table {name}: {len(known.archs)} archs, {known.top1.shape[1]} trainings each ({trained}; {made['processor']}; {made['date']}). "
        f"Validation top-1 from {means.min():.2f} to {means.max():.2f}; standard deviation between archs {known.spread:.3f}, between seeds "
        f"{known.noise:.3f}. Of archs that it has not seen, the fitted landscape explains {quality:.0%} of the variance (ten folds; "
        f"{_ceiling(name):.0%} of it is not noise)."
    )


def _ceiling(name: str) -> float:
    """The share of the variance of the archs' means that is not noise."""
    known = table(name)
    return known.spread**2 / float(known.top1.mean(axis=1).var(ddof=1))


def plot(path: Path, found: dict[str, Found], trials: int) -> None:
    """Hypervolume over trials: a panel a landscape, medians as lines, quartiles as bands."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(len(found), 3)
    rows = -(-len(found) // columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 3.5 * rows), sharey=True, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for axis in axes[len(found) :]:
        axis.set_axis_off()
    for axis, (name, engines) in zip(axes, found.items(), strict=False):
        for engine, (color, line) in STYLES.items():
            if engine not in engines:
                continue
            ((_, what), *_) = _fronts(engine, engines[engine])
            low, middle, high = _quartiles(engines[engine], what)
            steps = np.arange(1, len(middle) + 1)
            axis.plot(steps, middle, color=color, linestyle=line, label=engine, linewidth=2.4 if engine == "front" else 1.6)
            axis.fill_between(steps, low, high, color=color, alpha=0.12, linewidth=0)
        axis.set_title(TITLES.get(name, name), fontsize=9)
        axis.set_xscale("log")
        axis.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
        axis.set_xlim(1, trials)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("trials")
        axis.grid(alpha=0.25)
    for row in grid:
        row[0].set_ylabel("hypervolume of the front / best there is")
    axes[len(found) - 1].legend(fontsize=8, loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
