"""How two studies read beside each other: a table for a terminal, and one HTML page that works offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import plotly.graph_objects as go

from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.report import words
from fvsearch.report.compare import Comparison, Point, Side
from fvsearch.report.look import LIGHT, empty_figure, hover, learned_axis
from fvsearch.report.rendering import render_page
from fvsearch.study import LEARNED
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS = (("circle", LIGHT["front"]), ("diamond", LIGHT["infeasible"]))
"""Symbol and colour of the first study and the second."""


def numbers(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Line by line, what stands for each study."""
    shorter = comparison.shorter
    lines = {
        "trials ended": [str(sum(side.summary.counts.values()) - side.summary.counts["running"]) for side in comparison.sides],
        "on the front": [str(side.summary.counts["front"]) for side in comparison.sides],
        "of these dominated by the other's front": [str(sum(point.dominated for point in side.front)) for side in comparison.sides],
        f"best {words.NAMES[comparison.first.summary.learned]}": [_best(side) for side in comparison.sides],
        "time spent on training": [show_seconds(side.train_seconds) for side in comparison.sides],
        "hypervolume": [_volume(side.volume.value) for side in comparison.sides],
        "hypervolume of the front by fresh seeds": [_volume(side.fresh) for side in comparison.sides],
    }
    if shorter is not None:
        lines[f"hypervolume after {show_seconds(shorter)} of training"] = [_volume(side.at_shorter) for side in comparison.sides]
        lines["the other's hypervolume was reached after"] = [_reached(side, comparison) for side in comparison.sides]
    return [(name, texts) for name, texts in lines.items() if set(texts) != {words.NONE}]


def _best(side: Side) -> str:
    summary = side.summary
    if not summary.picks:
        return words.NONE
    best = summary.row(summary.picks["best"])
    fresh = words.fresh(best, summary)
    return words.learned(best, summary.learned) + (f"; fresh seeds {fresh}" if fresh != words.NONE else "")


def _volume(value: float | None) -> str:
    return words.NONE if value is None else f"{value:.4f}"


def _reached(side: Side, comparison: Comparison) -> str:
    other = comparison.second if side is comparison.first else comparison.first
    if not other.volume.value:
        return words.NONE
    return "never" if side.reaches is None else f"{show_seconds(side.reaches)} of training"


def compare_table(comparison: Comparison) -> "RenderableType":
    """Both studies for a terminal: numbers, then both fronts, cheapest first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("")
    for side in comparison.sides:
        # Text, not markup: folders are the user's, and may hold brackets.
        table.add_column(Text(side.label), justify="right")
    for name, texts in numbers(comparison):
        table.add_row(name, *texts)
    names = list(comparison.reference.point)
    fronts = Table("study", "trial", title="Both fronts", title_justify="left")
    fronts.add_column("layout", overflow="fold", min_width=24)
    for name in names:
        fronts.add_column(words.NAMES[name], justify="right", no_wrap=True)
    fronts.add_column("")
    for side in comparison.sides:
        for point in side.front:
            cells = [_cell(name, point.values[name]) for name in names]
            fronts.add_row(Text(side.label), str(point.row.number), Text(point.row.layout), *cells, "dominated" if point.dominated else "")
    notes = [*comparison.differences, words.reference_point(comparison.reference), caution(comparison)]
    parts: list[RenderableType] = [table]
    if any(side.front for side in comparison.sides):
        parts.append(fronts)
    return Group(*parts, Text("\n".join(notes), style="dim"))


def caution(comparison: Comparison) -> str:
    """How far the values can be trusted."""
    if all(side.summary.confirmed for side in comparison.sides):
        return "Fronts are as the searches saw them; what fresh seeds say is beside them."
    return "Fronts are as the searches saw them, each flattered by its own selection; fvsearch confirm trains it again with fresh seeds."


def _cell(name: str, value: float) -> str:
    return words.objective(name, value) if name in LEARNED else words.ratio(value)


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page; its path.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        write_atomically(path, render(comparison).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another file with -o") from None
    return path


def render(comparison: Comparison) -> str:
    """The page."""
    figures = {
        **{kind: fronts(comparison, kind) for kind in comparison.reference.point if kind not in LEARNED},
        "trials": volumes(comparison, "trials"),
        "seconds": volumes(comparison, "seconds"),
    }
    names = list(comparison.reference.point)
    return render_page(
        "compare.html.jinja",
        figures,
        words=words,
        comparison=comparison,
        numbers=numbers(comparison),
        names=names,
        costs=[name for name in names if name not in LEARNED],
        cell=_cell,
        caution=caution(comparison),
    )


def fronts(comparison: Comparison, cost: str) -> go.Figure:
    """Both fronts: the first learned objective against multiples of the baseline's cost; crossed where the other's front dominates."""
    figure = empty_figure()
    for side, (symbol, colour) in zip(comparison.sides, MARKS, strict=True):
        points = sorted(side.front, key=lambda point: point.values[cost])
        if points:
            learned = side.summary.learned
            figure.add_scatter(
                x=[point.values[cost] for point in points],
                y=[point.values[learned] for point in points],
                mode="markers",
                name=side.label,
                marker={"color": colour, "size": 11, "symbol": [f"{symbol}-x-open" if point.dominated else symbol for point in points]},
                error_y=_fresh_bars(side, points, colour),
                hoverinfo="text",
                hovertext=[hover(point.row, side.summary, f"of {side.label}") for point in points],
            )
    figure.update_xaxes(title_text=f"{words.NAMES[cost]}, multiples of the baseline’s", rangemode="tozero", ticksuffix="x")
    figure.update_yaxes(learned_axis(comparison.first.summary))
    return figure


def _fresh_bars(side: Side, points: list[Point], colour: str) -> dict[str, object]:
    """From each value to the mean over fresh seeds, where there is one."""
    down, up = [0.0] * len(points), [0.0] * len(points)
    for index, point in enumerate(points):
        row = side.summary.confirmed.row(point.row.number) if side.summary.confirmed else None
        if row and row.mean:
            change = row.mean.value - point.values[side.summary.learned]
            down[index], up[index] = max(0.0, -change), max(0.0, change)
    shown = {"color": colour, "thickness": 1, "width": 5, "visible": any(down) or any(up)}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down} | shown


def volumes(comparison: Comparison, over: Literal["trials", "seconds"]) -> go.Figure:
    """Both hypervolumes over ended trials, or over training-seconds."""
    figure = empty_figure()
    longest = max((side.train_seconds for side in comparison.sides), default=0.0)
    unit, scale = ("hours", 3600.0) if longest >= 7200 else ("minutes", 60.0) if longest >= 120 else ("seconds", 1.0)
    for side, (_, colour) in zip(comparison.sides, MARKS, strict=True):
        won = side.volume.over_trials
        if won:
            figure.add_scatter(
                x=[one.ended if over == "trials" else one.train_seconds / scale for one in won],
                y=[one.value for one in won],
                mode="lines",
                name=side.label,
                line={"color": colour, "width": 2, "shape": "hv"},
                hoverinfo="text",
                hovertext=[f"{one.value:.4f} after trial {one.trial}, {show_seconds(one.train_seconds)} of training" for one in won],
            )
    title = "trials ended" if over == "trials" else f"{unit} of training, summed over workers and repeats"
    figure.update_xaxes(title_text=title, rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    return figure
