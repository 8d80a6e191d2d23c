"""`fvsearch status` and `fvsearch front`: rich tables, plain documents for JSON, CSV. Nothing here prints."""

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.ledger import Ledger
from fvsearch.report import words
from fvsearch.report.live import progress
from fvsearch.report.numbers import Quantity, Row, Summary, summarise
from fvsearch.study import LEARNED
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType


def status_document(ledger: Ledger) -> dict[str, Any]:
    """What `fvsearch status --json` prints: counts by place, running trials with their epochs, the best of the front, the bill."""
    summary = summarise(ledger)
    return {
        "name": summary.facts.name,
        "folder": summary.facts.folder,
        "headline": words.headline(summary),
        "trials": summary.facts.trials,
        "counts": summary.counts,
        "running": msgspec.to_builtins(progress(ledger)),
        "predictions": summary.facts.predictions,
        "picks": summary.picks,
        "best": msgspec.to_builtins(summary.row(summary.picks["best"])) if summary.picks else None,
        "bill": msgspec.to_builtins(summary.bill),
    }


def front_document(ledger: Ledger) -> dict[str, Any]:
    """What `fvsearch front --json` prints and front.json holds: the whole Summary; the front is under "front", best first."""
    found: dict[str, Any] = msgspec.to_builtins(summarise(ledger))
    return found


def status_table(ledger: Ledger) -> "RenderableType":
    """The status for a terminal: headline, counts, time, running trials with their epochs."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    summary, running = summarise(ledger), progress(ledger)
    facts, bill, counts = summary.facts, summary.bill, summary.counts
    ended = sum(counts.values()) - counts["running"]
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold")
    lines.add_column()
    # Text, not markup: names and folders are the user's, and may hold brackets.
    lines.add_row("study", Text(f"{facts.name} in {facts.folder}"))
    shares = ", ".join(f"{count} {place}" for place, count in counts.items() if count)
    lines.add_row("trials", Text(f"{ended} of {facts.trials} ended" + (f": {shares}" if shares else "")))
    if summary.picks:
        best = summary.row(summary.picks["best"])
        reached = f"{words.learned(best, summary.learned)} {words.NAMES[summary.learned]}"
        lines.add_row("best", Text(f"trial {best.number}, {best.layout}: {reached}"))
    if facts.predictions:
        lines.add_row("predictions", Text(facts.predictions))
    starts = words.plural(bill.starts, "start")
    lines.add_row("time", Text(f"{show_seconds(bill.wall)} in {starts}; {show_seconds(bill.total)} on the device"))
    parts: list[RenderableType] = [Text(words.headline(summary)), lines]
    if running:
        table = Table("trial", "layout", "epochs", f"{words.NAMES[summary.learned]} by now", "since", title="Running", title_justify="left")
        for one in running:
            latest = words.objective(summary.learned, one.latest) if one.latest is not None else words.NONE
            table.add_row(str(one.number), Text(one.layout), f"{one.epochs} of {one.of}", latest, Text(one.started))
        parts.append(table)
    return Group(*parts)


def front_table(ledger: Ledger) -> "RenderableType":
    """The front for a terminal, best first, predicted and measured costs side by side; the baseline comes last where it is not on it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    summary = summarise(ledger)
    parts: list[RenderableType] = [Text(words.headline(summary))]
    base = summary.baseline
    rows = [*summary.front, *([base] if base and base.place != "front" else [])]
    if not rows:
        return parts[0]
    names = [o.name for o in summary.facts.objectives if o.name not in ("memory", "throughput")]
    table = Table()
    table.add_column("trial", justify="right")
    table.add_column("layout", overflow="fold", min_width=24)
    for name in names:
        table.add_column(words.NAMES[name], justify="right")
    for heading in ("memory predicted", "measured", "images/s predicted", "measured"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for index, row in enumerate(rows, start=1):
        cells = [words.learned(row, name) for name in names]
        cells += [*_both("memory", row.memory), *_both("throughput", row.throughput)]
        table.add_row(str(row.number), Text(row.layout), *cells, _note(row), end_section=index == len(summary.front))
    notes = f"Costs are of {words.at_which(summary)}; x is times the baseline, from the same source. {words.caution(summary)}"
    if still := words.unfinished(summary):
        notes = f"{still} {notes}"
    return Group(*parts, table, Text(notes, style="dim"))


def front_csv(ledger: Ledger) -> str:
    """The front as CSV with a header line, best first: bytes, images/s and shares, unrounded."""
    summary = summarise(ledger)
    rows = [_flat(row, summary) for row in summary.front]
    file = io.StringIO()
    columns = list(rows[0]) if rows else ["trial", "layout"]
    writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _both(name: str, quantity: Quantity) -> list[str]:
    """Predicted and measured."""
    sides = ((quantity.predicted, quantity.predicted_ratio), (quantity.measured, quantity.measured_ratio))
    return [words.with_ratio(name, value, ratio).replace(" images/s", "") for value, ratio in sides]


def _note(row: Row) -> str:
    marks = [*row.picks, *(["baseline"] if row.is_baseline else [])]
    return ", ".join(marks if row.place == "front" else [*marks, row.place])


def _flat(row: Row, summary: Summary) -> dict[str, object]:
    found: dict[str, object] = {"trial": row.number, "layout": row.layout, "arch_hash": row.arch_hash}
    for name in (o.name for o in summary.facts.objectives if o.name in LEARNED):
        found |= {name: row.values.get(name), f"{name}_spread": row.spread.get(name)}
    for kind, quantity in (("memory", row.memory), ("throughput", row.throughput)):
        found |= {f"{kind}_{name}": value for name, value in msgspec.structs.asdict(quantity).items()}
    # Memory is read once: it has no interval.
    del found["memory_low"], found["memory_high"]
    return found | {"num_params": row.num_params, "macs": row.macs, "picks": " ".join(row.picks)}
