"""The report: one HTML page that needs nothing else, and front.json beside it.

The page's text is made here and in `words`, its shape in page.html.jinja, its look in page.css; jinja2 escapes whatever comes in, for
names and reasons are the user's.
"""

import shlex
from pathlib import Path
from typing import Any

import msgspec

from fvsearch.data import describe_source
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.ledger import Ledger
from fvsearch.report import words
from fvsearch.report.importance import figure as importance_figure
from fvsearch.report.importance import importance
from fvsearch.report.numbers import PLACES, Quantity, Row, Summary, summarise
from fvsearch.report.rendering import clock, render_page
from fvsearch.report.sketch import sketch
from fvsearch.units import show_count, show_seconds

REPORT_FILE = "report.html"
FRONT_FILE = "front.json"

PLACE_WORDS = {
    "front": "on the front",
    "dominated": "dominated",
    "infeasible": "over budget",
    "stopped": "stopped early",
    "failed": "failed",
    "running": "running",
}


def write_report(ledger: Ledger) -> Path:
    """Write report.html and front.json into the study's folder; the page's path.

    Raises:
        ConfigError: The folder cannot be written.
    """
    summary = msgspec.structs.replace(summarise(ledger), importance=importance(ledger.study, ledger.trials()))
    path = ledger.folder / REPORT_FILE
    page = render(summary)
    try:
        write_atomically(ledger.folder / FRONT_FILE, f"{summary.to_json()}\n".encode())
        write_atomically(path, page.encode())
    except OSError as error:
        raise ConfigError(f"the report must be written to the study's folder, but {ledger.folder} takes none: {error.strerror}") from None
    return path


def render(summary: Summary) -> str:
    """The page."""
    from fvsearch.report import confirmed_view, plots
    from fvsearch.report.findings_view import finding_lines

    deepest = max((one.arch.depth for one in summary.rows), default=0)
    figures = {
        "memory": plots.tradeoff(summary, "memory"),
        "throughput": plots.tradeoff(summary, "throughput"),
        "hypervolume": plots.hypervolume_over_trials(summary),
        "curves": plots.learning_curves(summary),
        "confirmed": confirmed_view.figure(summary),
        "importance": importance_figure(summary.importance),
    }
    return render_page(
        "page.html.jinja",
        figures,
        words=words,
        show_seconds=show_seconds,
        summary=summary,
        facts=_facts(summary),
        tiles=_tiles(summary),
        front=[_front_row(row, summary, deepest) for row in _with_baseline(summary)],
        rows=[_any_row(row, summary, deepest) for row in summary.rows],
        problems=[_any_row(row, summary, deepest) for row in (*summary.at("failed"), *summary.at("infeasible"))],
        others=[o.name for o in summary.facts.objectives if o.name not in (summary.learned, "memory", "throughput")],
        beside=[name for name in ("num_params", "macs") if all(o.name != name for o in summary.facts.objectives)],
        counts=[(PLACE_WORDS[place], summary.counts[place]) for place in PLACES if summary.counts[place]],
        rungs=_rungs(summary),
        confirmed=confirmed_view.lines(summary),
        findings=finding_lines(summary.findings),
        confirmed_method=confirmed_view.method(summary.confirmed) if summary.confirmed else "",
        bill=_bill(summary),
        folder=shlex.quote(summary.facts.folder),
    )


def _with_baseline(summary: Summary) -> tuple[Row, ...]:
    base = summary.baseline
    return (*summary.front, *([base] if base and base.place != "front" else []))


def _tiles(summary: Summary) -> list[dict[str, str]]:
    """The picks in a few words each; a trial that is several picks has one tile."""
    found = []
    for number in dict.fromkeys(summary.picks[pick] for pick in ("best", "knee", "smallest", "fastest") if pick in summary.picks):
        row = summary.row(number)
        sides = {"memory": row.memory, "throughput": row.throughput}
        costs = [f"{words.ratio(side.ratio)} {name}" for name, side in sides.items() if side.ratio is not None]
        note = " (predicted)" if row.throughput.ratio is not None and row.throughput.source == "predicted" else ""
        found.append(
            {
                "pick": " and ".join(row.picks) if len(summary.front) > 1 else "the whole front",
                "value": words.reached(row, summary),
                "costs": ", ".join(costs) + note,
                "trial": f"trial {row.number}{', the baseline' if row.is_baseline else ''}",
                "layout": row.layout,
            }
        )
    return found


def _front_row(row: Row, summary: Summary, deepest: int) -> dict[str, Any]:
    return _any_row(row, summary, deepest) | {
        "picks": row.picks,
        "believed": _believed(row, summary),
        "memory": _sides("memory", row.memory),
        "throughput": _sides("throughput", row.throughput),
        "others": [words.objective(o.name, row.values[o.name]) if o.name in row.values else words.NONE for o in _other_objectives(summary)],
        "counts": {name: words.NONE if count is None else show_count(count) for name, count in _counts(row).items()},
    }


def _believed(row: Row, summary: Summary) -> dict[str, str] | None:
    """What the posterior says of a trial, in words; none where there is none."""
    belief = summary.posterior.trials.get(row.number) if summary.posterior else None
    if belief is None:
        return None
    mean, low, high = (words.objective(summary.learned, value) for value in (belief.mean, belief.low, belief.high))
    sure = "" if belief.on_front is None else f"on the front: {words.percent(belief.on_front, 0)}"
    return {"mean": mean, "interval": f"{low} \N{EN DASH} {high}", "sure": sure}


def _counts(row: Row) -> dict[str, int | None]:
    """What is told beside the objectives, unless it is one of them."""
    return {"num_params": row.num_params, "macs": row.macs}


def _other_objectives(summary: Summary) -> list[Any]:
    return [o for o in summary.facts.objectives if o.name not in (summary.learned, "memory", "throughput")]


def _any_row(row: Row, summary: Summary, deepest: int) -> dict[str, Any]:
    return {
        "number": row.number,
        "place": row.place,
        "place_words": PLACE_WORDS[row.place],
        "is_baseline": row.is_baseline,
        "layout": row.layout,
        "sketch": sketch(row.arch, summary.facts.data.image_shape, deepest),
        "learned": words.learned(row, summary.learned),
        "memory_said": words.cost("memory", row.memory),
        "throughput_said": words.cost("throughput", row.throughput),
        "seconds": show_seconds(sum(row.seconds.values())) if row.seconds else words.NONE,
        "reason": words.why(row),
    }


def _sides(name: str, quantity: Quantity) -> list[dict[str, str]]:
    """Predicted and measured, each as a number and its ratio to the baseline."""
    sides = []
    for value, ratio in ((quantity.predicted, quantity.predicted_ratio), (quantity.measured, quantity.measured_ratio)):
        number = words.NONE if value is None else words.objective(name, value).removesuffix(" images/s")
        sides.append({"number": number, "ratio": words.ratio(ratio) if ratio is not None else "", "interval": ""})
    if quantity.low is not None and quantity.high is not None:
        low, high = (words.objective(name, value).removesuffix(" images/s") for value in (quantity.low, quantity.high))
        sides[1]["interval"] = f"{low} \N{EN DASH} {high}"
    return sides


def _bill(summary: Summary) -> list[dict[str, Any]]:
    """A line for each use of the device, with its share of the whole."""
    bill = summary.bill
    lines = [
        *((name, "", seconds) for name, seconds in bill.activities.items()),
        ("anchor", "the baseline, measured before the search", bill.anchor),
        ("quiet pass", "front and baseline, measured after it", bill.quiet_pass),
        *([("confirmation", "front and baseline, trained again with fresh seeds", bill.confirmation)] if bill.confirmation else []),
    ]
    return [
        {"name": name, "note": note, "time": show_seconds(seconds), "share": seconds / bill.total if bill.total else 0.0}
        for name, note, seconds in lines
    ]


def _rungs(summary: Summary) -> list[dict[str, Any]]:
    """A line for each rung that trials have reached."""
    return [
        {
            "epochs": words.plural(row.epochs, "epoch"),
            "share": words.percent(row.share, 0),
            "reached": row.reached,
            "stopped": row.stopped,
            "pairs": row.pairs,
            "tau": words.NONE if row.tau is None else f"{row.tau:.2f}",
            "interval": "" if row.low is None or row.high is None else f"{row.low:.2f} \N{EN DASH} {row.high:.2f}",
        }
        for row in summary.rungs
        if row.reached
    ]


def _facts(summary: Summary) -> list[tuple[str, str]]:
    """Names and values of the study's facts, in the order of the page."""
    facts = summary.facts
    data, recipe = facts.data, facts.recipe
    budget = {"memory": facts.budget.memory, "throughput": facts.budget.throughput}
    limits = [f"{words.NAMES[kind]} {text}" for kind, text in budget.items() if text]
    known = [f"{words.NAMES[kind]} {words.objective(kind, value)}" for kind, value in facts.limits.items()]
    height, width, channels = data.image_shape
    lines = {
        "Objectives": ", ".join(f"{o.direction} {words.NAMES[o.name]}" for o in facts.objectives),
        "Budget": ", ".join(limits) + (f" (as measured: {', '.join(known)})" if known else "") if limits else "none",
        "Costs are of": words.at_which(summary),
        "Space": f"{facts.space}, {facts.size:,} architectures",
        "Engine": facts.engine,
        "Trials asked for": f"{facts.trials:,}",
        "Seed": str(facts.seed),
        "Repeats": words.plural(facts.repeats, "training") + " per architecture",
        "Data": f"{describe_source(data)}, {height}x{width}x{channels}, {data.num_classes} classes; "
        f"{words.percent(data.validation, 0)} validates",
        "Recipe": words.recipe(recipe),
        "Baseline on this device": ", ".join(f"{words.NAMES[k]} {words.objective(k, v)}" for k, v in facts.anchor.items()),
        "Predictions": facts.predictions,
        "Backend": ", ".join(facts.backends),
        "Device": ", ".join(facts.devices),
        "Versions": ", ".join(f"{name} {' and '.join(found)}" for name, found in facts.versions.items()),
        "First start": clock(facts.started),
        "Last trial ended": clock(facts.ended),
        "Folder": facts.folder,
        "Ledger": facts.ledger,
    }
    return [(name, value) for name, value in lines.items() if value]
