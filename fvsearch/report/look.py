"""How the figures look: colours, axes, and what a hover says."""

import html
import textwrap

import plotly.graph_objects as go

from fvsearch.report import words
from fvsearch.report.numbers import Row, Summary
from fvsearch.study import LEARNED, Direction
from fvsearch.units import show_count

LIGHT = {
    "ink": "#1b2330",
    "soft": "#5b6675",
    "grid": "#e4e8ee",
    "ground": "#ffffff",
    "front": "#0b5fc0",
    "dominated": "#98a2b0",
    "infeasible": "#c2500a",
    "knee": "#0a7f62",
    "fastest": "#8b3fb8",
    "smallest": "#b8306e",
}
DARK = {
    "ink": "#e8ecf2",
    "soft": "#a3aebd",
    "grid": "#2c3644",
    "ground": "#161c25",
    "front": "#69aefc",
    "dominated": "#6f7b8b",
    "infeasible": "#f59a52",
    "knee": "#45cfa3",
    "fastest": "#cd93f2",
    "smallest": "#f07fb0",
}
"""By role; "ground" is what the plots stand on."""

HOVER_WIDTH = 40
"""Characters in a line of a hover label: what a phone shows."""


def empty_figure() -> go.Figure:
    """An empty figure in the page's look; its ground is the page's."""
    axis = {
        "gridcolor": LIGHT["grid"],
        "linecolor": LIGHT["soft"],
        "tickfont": {"color": LIGHT["soft"]},
        "title": {"font": {"color": LIGHT["soft"]}, "standoff": 8},
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": LIGHT["grid"],
    }
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": LIGHT["ink"]},
            "hoverlabel": {
                "bgcolor": LIGHT["ground"],
                "bordercolor": LIGHT["soft"],
                "align": "left",
                "font": {"color": LIGHT["ink"], "size": 13},
            },
            "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "y": 1.03, "yanchor": "bottom", "entrywidth": 0, "font": {"color": LIGHT["soft"]}},
            "margin": {"l": 10, "r": 16, "t": 10, "b": 10},
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def learned_axis(summary: Summary) -> dict[str, object]:
    """The axis of the first learned objective."""
    shares = summary.learned in ("top1", "top5")
    within = {"clipmin": 0, "clipmax": 1.005} if shares else {}
    return {"title_text": words.NAMES[summary.learned], "tickformat": "~%" if shares else "", "autorangeoptions": within}


def count_axis(title: str, most: int) -> dict[str, object]:
    """An axis of whole numbers."""
    return {"title_text": title, "tickformat": ",~f", "dtick": 1 if most <= 12 else None}


def direction(summary: Summary) -> Direction:
    """Of the first learned objective."""
    return next(o.direction for o in summary.facts.objectives if o.name == summary.learned)


def hover(row: Row, summary: Summary, first: str = "") -> str:
    """What a hover says of a trial, escaped, in short lines."""
    marks = ", ".join([row.place, *(["baseline"] if row.is_baseline else []), *row.picks])
    lines = [f"<b>trial {row.number}</b> ({marks})", *(html.escape(line) for line in _folded(row.layout, "-")), *([first] if first else [])]
    lines += [f"{words.NAMES[name]} {words.learned(row, name)}" for name in row.values if name in LEARNED]
    for kind, q in (("memory", row.memory), ("throughput", row.throughput)):
        lines.append(f"{kind}: measured {words.with_ratio(kind, q.measured, q.measured_ratio)}")
        lines.append(f"{' ' * 8}predicted {words.with_ratio(kind, q.predicted, q.predicted_ratio)}")
    if row.num_params is not None and row.macs is not None:
        lines.append(f"{show_count(row.num_params)} parameters, {show_count(row.macs)} macs")
    lines += [html.escape(line) for line in textwrap.wrap(row.reason, HOVER_WIDTH)]
    return "<br>".join(lines)


def _folded(text: str, separator: str) -> list[str]:
    """Text in lines of at most HOVER_WIDTH characters, where it has separators to break after."""
    lines = [""]
    for part in text.replace(separator, f"{separator}\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > HOVER_WIDTH:
            lines.append("")
        lines[-1] += part
    return lines
