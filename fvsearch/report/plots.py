"""Plotly figures of a summary: accuracy against memory and throughput, hypervolume over trials, learning curves.

Where nothing can be drawn yet a figure has no data.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import plotly.graph_objects as go

from fvsearch import pareto
from fvsearch.report import words
from fvsearch.report.look import LIGHT, count_axis, direction, empty_figure, hover, learned_axis
from fvsearch.report.numbers import Quantity, Row, Summary

Kind = Literal["memory", "throughput"]

SYMBOLS = {"front": "circle", "dominated": "circle", "infeasible": "x", "baseline": "star"}
SIZES = {"front": 11, "dominated": 8, "infeasible": 9, "baseline": 15}
COLOURS = {"front": LIGHT["front"], "dominated": LIGHT["dominated"], "infeasible": LIGHT["infeasible"], "baseline": LIGHT["ink"]}
PLOTTED = ("dominated", "infeasible", "front")
"""Places that are drawn, the last on top."""

STRIP = 0.07
"""Height of the strip, as a share of the plot, for trials whose cost is known and whose accuracy is not."""


def tradeoff(summary: Summary, kind: Kind) -> go.Figure:
    """The first learned objective against a cost: the front joined by a line, dominated, infeasible and baseline marked.

    A filled mark stands at a measured cost, an open one at a predicted one. Trials that never trained, for they were over budget as
    measured, stand in a strip below. The figure has no data where no trained trial has such a cost.
    """
    rows = [row for row in summary.rows if row.place in PLOTTED and quantity(row, kind).value is not None]
    trained = [row for row in rows if summary.learned in row.values]
    untrained = [row for row in rows if summary.learned not in row.values]
    unit, scale = _unit(kind, [quantity(row, kind).value or 0.0 for row in rows])
    figure = empty_figure()
    if not trained:
        return figure
    line = joined([row for row in trained if row.place == "front"], kind, summary)
    if len(line) > 1:
        # A staircase: with the memory between two points one gets the left one, asking for the throughput between two the right one.
        shape = "hv" if kind == "memory" else "vh"
        xs, ys = [_x(row, kind, scale) for row in line], [row.values[summary.learned] for row in line]
        figure.add_scatter(
            x=xs, y=ys, mode="lines", line={"color": LIGHT["front"], "width": 1.5, "shape": shape}, hoverinfo="skip", showlegend=False
        )
    for place in PLOTTED:
        for source in ("measured", "predicted"):
            group = [row for row in trained if (row.place, quantity(row, kind).source) == (place, source) and not row.is_baseline]
            if group:
                name = place if source == "measured" else f"{place} (predicted)"
                figure.add_trace(_marks(group, kind, scale, summary, name, place))
    if summary.posterior:
        figure.add_trace(_beliefs([row for row in trained if row.place == "front"], summary, kind, scale))
    base = [row for row in trained if row.is_baseline]
    if base:
        name = "baseline" if quantity(base[0], kind).source == "measured" else "baseline (predicted)"
        figure.add_trace(_marks(base, kind, scale, summary, name, "baseline"))
    if untrained:
        _add_strip(figure, untrained, kind, scale, summary)
    _mark_limit(figure, summary, kind, scale, rows)
    title = f"peak memory, {unit}" if kind == "memory" else f"throughput, {unit}"
    figure.update_xaxes(title_text=title, rangemode="tozero", tickformat=",~f")
    figure.update_yaxes(learned_axis(summary), selector=0)
    return figure


def quantity(row: Row, kind: Kind) -> Quantity:
    """The row's memory or throughput."""
    return row.memory if kind == "memory" else row.throughput


def joined(front: Sequence[Row], kind: Kind, summary: Summary) -> list[Row]:
    """The front trials that no other front trial beats on the two axes of a plot, from left to right.

    With just these two objectives that is the whole front; with others, a trial may be on the front for a reason this plot does not show.
    """
    sign = 1 if kind == "memory" else -1
    turn = -1 if direction(summary) == "maximize" else 1
    points = [(sign * (quantity(row, kind).value or 0.0), turn * row.values[summary.learned]) for row in front]
    return sorted((front[index] for index in pareto.front(points)), key=lambda row: quantity(row, kind).value or 0.0)


def hypervolume_over_trials(summary: Summary) -> go.Figure:
    """The hypervolume after each ended trial; no data where there is none."""
    figure, won = empty_figure(), summary.hypervolume.over_trials
    if won:
        rises = [one.value > before for one, before in zip(won, [0.0, *(w.value for w in won)], strict=False)]
        said = [f"hypervolume {one.value:.4f} after {words.plural(one.ended, 'trial')}" for one in won]
        figure.add_scatter(
            x=[one.ended for one in won],
            y=[one.value for one in won],
            mode="lines+markers",
            line={"color": LIGHT["front"], "width": 2, "shape": "hv"},
            marker={"color": LIGHT["front"], "size": [8 if rose else 0 for rose in rises]},
            hoverinfo="text",
            hovertext=[hover(summary.row(one.trial), summary, text) for one, text in zip(won, said, strict=True)],
            showlegend=False,
        )
        figure.update_xaxes(count_axis("trials ended", len(won)), rangemode="tozero")
        figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    return figure


def learning_curves(summary: Summary) -> go.Figure:
    """The first learned objective after each epoch, of the front and the baseline; no data where no curve has two points."""
    figure = empty_figure()
    base = summary.baseline
    rows = [*reversed(summary.front), *([base] if base and base.place != "front" else [])]
    for row in rows:
        if len(row.curve) < 2:
            continue
        epochs = list(range(1, len(row.curve) + 1))
        values = [words.objective(summary.learned, value) for value in row.curve]
        colour = LIGHT["ink"] if row.is_baseline else LIGHT.get(row.picks[0], LIGHT["front"]) if row.picks else LIGHT["front"]
        picks = ", ".join([*row.picks, *(["baseline"] if row.is_baseline else [])])
        figure.add_scatter(
            x=epochs,
            y=row.curve,
            mode="lines",
            name=f"trial {row.number}{f' ({picks})' if picks else ''}",
            line={"color": colour, "width": 2.5 if picks else 1.2, "dash": "dot" if row.is_baseline else "solid"},
            opacity=1.0 if picks else 0.55,
            hoverinfo="text",
            hovertext=[hover(row, summary, f"{value} after epoch {epoch}") for epoch, value in zip(epochs, values, strict=True)],
            showlegend=bool(picks),
        )
    figure.update_xaxes(count_axis("epoch", max((len(row.curve) for row in rows), default=0)))
    figure.update_yaxes(learned_axis(summary))
    return figure


def _beliefs(rows: Sequence[Row], summary: Summary, kind: Kind, scale: float) -> go.Scatter:
    """What the front's trials are believed to reach, each with its 95% interval."""
    assert summary.posterior is not None, "there is one"
    known = [(row, belief) for row in rows if (belief := summary.posterior.trials.get(row.number))]
    said = [f"believed: {words.believed(row, summary)}" for row, _ in known]
    return go.Scatter(
        x=[_x(row, kind, scale) for row, _ in known],
        y=[belief.mean for _, belief in known],
        mode="markers",
        name="front, posterior",
        marker={"symbol": "line-ew", "size": 9, "line": {"color": LIGHT["soft"], "width": 2}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [belief.high - belief.mean for _, belief in known],
            "arrayminus": [belief.mean - belief.low for _, belief in known],
            "color": LIGHT["soft"],
            "thickness": 1,
            "width": 3,
        },
        hoverinfo="text",
        hovertext=[hover(row, summary, text) for (row, _), text in zip(known, said, strict=True)],
    )


def _marks(rows: Sequence[Row], kind: Kind, scale: float, summary: Summary, name: str, role: str) -> go.Scatter:
    """The marks of trials of one place, or of the baseline; picks are labelled, unless the front is one trial."""
    spreads, colour = [row.spread.get(summary.learned, 0.0) for row in rows], COLOURS[role]
    labels = ["<br>".join(row.picks) for row in rows] if len(summary.front) > 1 else []
    return go.Scatter(
        x=[_x(row, kind, scale) for row in rows],
        y=[row.values[summary.learned] for row in rows],
        mode="markers+text" if any(labels) else "markers",
        name=name,
        text=labels or None,
        textposition=_label_sides(rows, kind, summary),
        cliponaxis=False,
        textfont={"size": 12, "color": LIGHT["ink"]},
        marker={"symbol": [_symbol(row, kind, role) for row in rows], "size": SIZES[role], "color": colour},
        error_x=_interval(rows, kind, scale, colour),
        error_y={"type": "data", "array": spreads, "color": colour, "thickness": 1, "width": 3, "visible": any(spreads)},
        hoverinfo="text",
        hovertext=[hover(row, summary) for row in rows],
    )


def _symbol(row: Row, kind: Kind, role: str) -> str:
    return SYMBOLS[role] if quantity(row, kind).source == "measured" else f"{SYMBOLS[role]}-open"


def _label_sides(rows: Sequence[Row], kind: Kind, summary: Summary) -> list[str]:
    """Where a label stands: on the side of a front point where nothing can be, except where the plot ends there."""
    most = max(quantity(row, kind).value or 0.0 for row in summary.rows)
    better, worse = ("top", "bottom") if direction(summary) == "maximize" else ("bottom", "top")
    shares = [(quantity(row, kind).value or 0.0) / most for row in rows]
    if kind == "memory":
        return [f"{better} left" if share > 0.25 else f"{worse} right" for share in shares]
    return [f"{better} right" if share < 0.7 else f"{better} left" for share in shares]


def _interval(rows: Sequence[Row], kind: Kind, scale: float, colour: str) -> dict[str, object]:
    """Error bars from a measured quantity's confidence interval."""
    above, below = [0.0] * len(rows), [0.0] * len(rows)
    for index, q in enumerate(quantity(row, kind) for row in rows):
        if q.measured is not None and q.low is not None and q.high is not None:
            above[index], below[index] = (q.high - q.measured) / scale, (q.measured - q.low) / scale
    shown = {"color": colour, "thickness": 1, "width": 3, "visible": any(above) or any(below)}
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below} | shown


def _add_strip(figure: go.Figure, rows: Sequence[Row], kind: Kind, scale: float, summary: Summary) -> None:
    """Rows without accuracy, on an axis of their own below the plot's."""
    figure.add_scatter(
        x=[_x(row, kind, scale) for row in rows],
        y=[0] * len(rows),
        yaxis="y2",
        mode="markers",
        name="infeasible, not trained",
        marker={
            "symbol": [_symbol(row, kind, "baseline" if row.is_baseline else "infeasible") for row in rows],
            "size": SIZES["infeasible"],
            "color": LIGHT["infeasible"],
        },
        hoverinfo="text",
        hovertext=[hover(row, summary) for row in rows],
    )
    bare = {"showgrid": False, "showticklabels": False, "zeroline": False, "fixedrange": True}
    figure.update_layout(
        yaxis={"domain": [STRIP + 0.03, 1]}, yaxis2={"domain": [0, STRIP], "range": [-1, 1]} | bare, xaxis={"anchor": "y2"}
    )


def _mark_limit(figure: go.Figure, summary: Summary, kind: Kind, scale: float, rows: Iterable[Row]) -> None:
    """A line at the budget's limit, unless it lies far beyond every trial."""
    limit = summary.facts.limits.get(kind)
    if limit is None or limit > 1.5 * max(quantity(row, kind).value or 0.0 for row in rows):
        return
    figure.add_vline(
        x=limit / scale,
        line={"color": LIGHT["infeasible"], "width": 1, "dash": "dash"},
        annotation={
            "text": "budget",
            "font": {"color": LIGHT["infeasible"], "size": 12},
            "textangle": -90,
            "yanchor": "bottom",
            "xanchor": "right" if kind == "memory" else "left",
            "y": 0.12,
        },
    )


def _x(row: Row, kind: Kind, scale: float) -> float:
    return (quantity(row, kind).value or 0.0) / scale


def _unit(kind: Kind, values: Sequence[float]) -> tuple[str, float]:
    """The unit of an axis, and how many bytes or images/s it is."""
    if kind == "throughput":
        return "images/s", 1.0
    return ("GiB", 2.0**30) if max(values, default=0.0) >= 2**30 else ("MiB", 2.0**20)
