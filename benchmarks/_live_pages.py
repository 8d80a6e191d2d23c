"""The figures of benchmarks/live.py: tables for docs/live.md, and the plot."""

import os
import platform
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from _live_searches import AXES, READINGS, Found, Search
from _pages import markdown, replace_figures

SHARES = (0.25, 0.5, 0.75)
"""Of NSGA-II's training-seconds, at which both are looked at."""

EARLY = 0.12
"""Share of the longest search from which on the plot has all curves in it."""

TITLES = {"observed": "as observed, one training each", "together": "at what all searches together tell"}
STYLES = {"nsga2": ("tab:blue", "--"), "front": ("tab:red", "-")}
UNITS = {"seconds": "training-seconds", "cpu": "CPU-seconds", "trials": "trials"}


def pairs(found: Found) -> list[tuple[Search, Search]]:
    """NSGA-II's search and front's, of each seed that has both."""
    by = {(one.engine, one.seed): one for one in found.searches}
    return [(by["nsga2", seed], by["front", seed]) for seed in sorted({one.seed for one in found.searches}) if ("nsga2", seed) in by]


def won_table(found: Found, reading: str) -> str:
    """A line a seed, and the medians of several: hypervolume of both, and what front had spent when it had NSGA-II's of the end."""
    rows, told = [], []
    for nsga2, front in pairs(found):
        end = nsga2.over["seconds"][-1]
        values = [(one.at(reading, share * end), other.at(reading, share * end)) for share in SHARES for one, other in [(nsga2, front)]]
        values.append((nsga2.won[reading][-1], front.won[reading][-1]))
        reached = [(front.reaches(reading, nsga2.won[reading][-1], axis), nsga2.over[axis][-1]) for axis in AXES]
        told.append((values, [at / whole if at is not None else float("inf") for at, whole in reached]))
        shown = [f"{at:.0f} of {whole:.0f}" if at is not None else "never" for at, whole in reached]
        rows.append([str(nsga2.seed), *(f"{a:.3f} / {b:.3f}" for a, b in values), *shown])
    middle = [tuple(statistics.median(one[0][column][side] for one in told) for side in (0, 1)) for column in range(len(SHARES) + 1)]
    shares = [statistics.median(one[1][column] for one in told) for column in range(len(AXES))]
    at = [f"{share:.0%}" if share < float("inf") else "never" for share in shares]
    if len(told) > 1:
        rows.append(["median", *(f"{a:.3f} / {b:.3f}" for a, b in middle), *at])
    header = ["seed", *(f"at {share:.0%}" for share in SHARES), "at its end", *(f"has nsga2's at: {UNITS[axis]}" for axis in AXES)]
    return markdown(header, rows)


def spent_table(found: Found) -> str:
    """A line a search: trials, and what they took."""
    rows = []
    for one in found.searches:
        others = {place: count for place, count in one.places.items() if place not in ("front", "dominated")}
        rows.append(
            [
                one.engine,
                str(one.seed),
                str(len(one.over["trials"])),
                ", ".join(f"{count} {place}" for place, count in others.items()) or "none",
                str(one.refused),
                f"{one.over['seconds'][-1]:.0f}",
                f"{one.lost:.0f}",
                f"{one.over['cpu'][-1]:.0f}",
                f"{one.proposing:.0f}",
            ]
        )
    header = ["engine", "seed", "trials", "without a value that counts", "refused", "training-seconds", "of these over budget"]
    return markdown([*header, "CPU-seconds of workers", "of the search itself"], rows)


def write_page(page: Path, found: dict[str, Found], document: dict[str, Any]) -> None:
    """Put tables into the page, and the plot beside it."""
    first = next(iter(found.values())).searches[0]
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    parts = [
        f"    {document['command']}",
        f"{', '.join(first.devices)}, {os.cpu_count()} cores, {platform.machine()}; {versions}.",
    ]
    for name, one in found.items():
        parts += [f"### {name}", spent_table(one)]
        for reading in READINGS:
            parts += [f"Hypervolume {TITLES[reading]}, nsga2 / front:", won_table(one, reading)]
        parts.append(
            f"{one.archs} archs were trained in all, {one.again} of them with the seeds of two searches or more; one training's standard "
            f"deviation about its arch's own value is {one.noise:.3f}, as the surrogate has it."
        )
    replace_figures(page, "live", parts)
    plot(page.with_suffix(".png"), found)


def plot(path: Path, found: dict[str, Found]) -> None:
    """Hypervolume: a column a study; observed over training-seconds, then together over CPU-seconds; of several seeds the medians too."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(found), figsize=(4.6 * len(found), 6.2), squeeze=False, layout="constrained")
    for column, (name, one) in zip(axes.T, found.items(), strict=True):
        for axis, reading, spent in zip(column, READINGS, ("seconds", "cpu"), strict=True):
            longest = max(search.over[spent][-1] for search in one.searches)
            for engine, (color, line) in STYLES.items():
                searches = [search for search in one.searches if search.engine == engine]
                for search in searches:
                    axis.step(search.over[spent], search.won[reading], where="post", color=color, linewidth=0.7, alpha=0.45)
                steps = np.linspace(0, max(search.over[spent][-1] for search in searches), 400)
                middle = [statistics.median(search.at(reading, step, spent) for search in searches) for step in steps]
                label = f"{engine}, median of {len(searches)}" if len(searches) > 1 else engine
                axis.plot(steps, middle, color=color, linestyle=line, linewidth=2.2, label=label)
            axis.set_title(f"{name}, {TITLES[reading]}", fontsize=9)
            axis.set_xlim(0, longest)
            # What the first trials win dwarfs what is searched for afterwards.
            axis.set_ylim(bottom=0.97 * min(search.at(reading, longest * EARLY, spent) for search in one.searches))
            axis.grid(alpha=0.25)
            axis.set_xlabel(UNITS[spent])
    for row in axes:
        row[0].set_ylabel("hypervolume")
    axes[0][0].legend(fontsize=8, loc="lower right", frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
