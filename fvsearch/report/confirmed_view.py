"""How a confirmed front reads: its sentence, its table's lines, its figure."""

import math
from typing import Any

import plotly.graph_objects as go

from fvsearch.report import words
from fvsearch.report.confirmed import Confirmed, Fresh
from fvsearch.report.look import LIGHT, empty_figure, learned_axis
from fvsearch.report.numbers import Summary
from fvsearch.units import show_seconds

VERDICTS = {
    "kept": "kept",
    "dropped": "luck: no longer on the front",
    "tied": "luck: ties with trial {cheaper}, which is cheaper",
}

MIB = 2.0**20


def lines(summary: Summary) -> list[dict[str, Any]]:
    """A line for each arch that was trained again; none before there is any."""
    return [_line(row, summary) for row in summary.confirmed.rows] if summary.confirmed else []


def _line(row: Fresh, summary: Summary) -> dict[str, Any]:
    name, fresh = summary.learned, row.mean
    assert summary.confirmed is not None, "it has this row"
    # An accuracy has bounds that Student's interval does not know.
    bound = 1.0 if name in ("top1", "top5") else math.inf
    ends = [words.objective(name, min(max(0.0, end), bound)) for end in (fresh.low, fresh.high) if end is not None] if fresh else []
    on_front = row.trial in summary.confirmed.front
    place = "on the front by fresh means" if on_front else "not on the front by fresh means" if row.mean else ""
    return {
        "trial": words.NONE if row.trial is None else str(row.trial),
        "layout": row.layout,
        "is_baseline": row.is_baseline,
        "is_front": row.place == "front",
        "searched": words.NONE if row.searched is None else words.objective(name, row.searched),
        "searched_seeds": words.plural(row.searched_seeds, "seed") if row.searched_seeds else "",
        "mean": words.NONE if fresh is None else words.objective(name, fresh.value),
        "interval": " \N{EN DASH} ".join(ends),
        "fresh_seeds": str(len(row.values)) + (f", {row.failed} failed" if row.failed else ""),
        "seeds": str(row.seeds),
        "ties": ", ".join(map(str, row.ties)) or words.NONE,
        "verdict": VERDICTS[row.verdict].format(cheaper=row.cheaper) if row.verdict else place,
        "is_luck": row.verdict in ("dropped", "tied"),
    }


def method(confirmed: Confirmed) -> str:
    """What the numbers are and what they are not."""
    return (
        "A search keeps the best of many values, and those are good by their seeds too (the winner’s curse): means and Student’s 95% "
        "intervals here are of fresh seeds alone. Two tie where Welch’s 95% interval of the difference of their means holds 0; each pair "
        f"is compared by itself. It took {show_seconds(confirmed.seconds)} of device time."
    )


def figure(summary: Summary) -> go.Figure:
    """Fresh means with their intervals against memory, and where the search saw each; no data before anything was trained again."""
    drawn = empty_figure()
    rows = [row for row in summary.confirmed.rows if row.mean and row.memory] if summary.confirmed else []
    if not rows:
        return drawn
    for row in rows:
        if row.searched is not None and row.mean:
            drawn.add_scatter(
                x=[_x(row)] * 2,
                y=[row.searched, row.mean.value],
                mode="lines",
                line={"color": LIGHT["grid"], "width": 2},
                hoverinfo="skip",
                showlegend=False,
            )
    seen = [row for row in rows if row.searched is not None]
    drawn.add_scatter(
        x=[_x(row) for row in seen],
        y=[row.searched for row in seen],
        mode="markers",
        name="as the search saw it",
        marker={"symbol": "circle-open", "size": 8, "color": LIGHT["dominated"]},
        hoverinfo="text",
        hovertext=[_hover(row, summary) for row in seen],
    )
    groups = {
        "front, kept": ("circle", LIGHT["front"], [row for row in rows if row.verdict == "kept"]),
        "front, luck": ("circle", LIGHT["infeasible"], [row for row in rows if row.verdict in ("dropped", "tied")]),
        "others": ("diamond", LIGHT["ink"], [row for row in rows if not row.verdict]),
    }
    for name, (symbol, colour, group) in groups.items():
        if group:
            drawn.add_trace(_means(group, name, symbol, colour, summary))
    drawn.update_xaxes(title_text="peak memory, MiB", rangemode="tozero", tickformat=",~f")
    drawn.update_yaxes(learned_axis(summary))
    return drawn


def _means(rows: list[Fresh], name: str, symbol: str, colour: str, summary: Summary) -> go.Scatter:
    estimates = [row.mean for row in rows if row.mean]
    most = max(_x(row) for row in (summary.confirmed.rows if summary.confirmed else rows))
    above = [0.0 if one.high is None else one.high - one.value for one in estimates]
    return go.Scatter(
        x=[_x(row) for row in rows],
        y=[one.value for one in estimates],
        mode="markers+text",
        name=name,
        text=["baseline" if row.is_baseline else "" if row.trial is None else f"#{row.trial}" for row in rows],
        # On the right the plot ends, and a phone's screen with it.
        textposition=["middle left" if _x(row) > 0.8 * most else "middle right" for row in rows],
        textfont={"size": 12, "color": LIGHT["soft"]},
        cliponaxis=False,
        marker={"symbol": symbol, "size": 10, "color": colour},
        error_y={"type": "data", "array": above, "color": colour, "thickness": 1.2, "width": 4, "visible": any(above)},
        hoverinfo="text",
        hovertext=[_hover(row, summary) for row in rows],
    )


def _x(row: Fresh) -> float:
    return (row.memory or 0.0) / MIB


def _hover(row: Fresh, summary: Summary) -> str:
    name = summary.learned
    head = f"trial {row.trial}" if row.trial is not None else "not a trial"
    said = [f"<b>{head}</b>{' (baseline)' if row.is_baseline else ''}", row.layout.replace("-", "-<br>")]
    if row.searched is not None:
        said.append(f"the search saw {words.objective(name, row.searched)}")
    if row.mean:
        said.append(f"fresh seeds: {words.estimate(name, row.mean)} ({len(row.values)})")
    return "<br>".join(said)
