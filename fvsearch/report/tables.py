"""`fvsearch status` and `fvsearch front`: rich tables, plain documents for JSON, CSV. Nothing here prints."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.ledger import Ledger
from fvsearch.report import words
from fvsearch.report.facts import Bill
from fvsearch.report.live import Now, now_of
from fvsearch.report.numbers import Quantity, Row, Summary, summarise
from fvsearch.study import LEARNED
from fvsearch.underway import Underway
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table


def status_document(ledger: Ledger) -> dict[str, Any]:
    """What `fvsearch status --json` prints: counts by place, running trials with their epochs, the best of the front, the bill."""
    summary, now = summarise(ledger), now_of(ledger)
    return {
        "name": summary.facts.name,
        "folder": summary.facts.folder,
        "headline": words.headline(summary),
        "trials": summary.facts.trials,
        "counts": summary.counts,
        "alive": now.alive,
        "activity": now.activity,
        "refused": now.refused,
        "hypervolume": _hypervolume(summary, now),
        "seconds_left": now.seconds_left,
        "next": now.next,
        "running": msgspec.to_builtins(now.running),
        "feasible": now.feasible,
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
    """The status for a terminal: headline, counts, time, what happens next, running trials with their epochs."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    summary, now = summarise(ledger), now_of(ledger)
    facts, bill = summary.facts, summary.bill
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    told = {
        "study": f"{facts.name} in {facts.folder}",
        "now": now.activity or now.next,
        "trials": _trials(summary, now),
        "hypervolume": "" if (volume := _hypervolume(summary, now)) is None else f"{volume:.4g}",
        "best": _best(summary),
        "space": now.feasible,
        "predictions": facts.predictions,
        "time": _time(bill, now),
    }
    for name, text in told.items():
        if text:
            # Text, not markup: names and folders are the user's, and may hold brackets.
            lines.add_row(name, Text(text))
    parts: list[RenderableType] = [Text(words.headline(summary)), lines]
    if now.running:
        parts += ["", running_table(summary.learned, now.running, _running_word(now))]
    return Group(*parts)


def running_table(learned: str, running: Sequence[Underway], heading: str = "running") -> "RenderableType":
    """Trials that have not ended, with their epochs and what they have learned so far.

    Args:
        learned: The first learned objective.
        running: The trials.
        heading: Of their numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(heading, justify="right")
    table.add_column("epoch", no_wrap=True)
    table.add_column(f"{words.NAMES[learned]}\nso far", justify="right", no_wrap=True)
    table.add_column("layout", overflow="fold")
    for one in running:
        latest = words.NONE if one.latest is None else words.objective(learned, one.latest)
        table.add_row(f"#{one.number}", f"{one.epochs} of {one.of}", latest, Text(one.layout))
    return table


def _hypervolume(summary: Summary, now: Now) -> float | None:
    """As the search tells it while it works, and from the ledger otherwise."""
    return summary.hypervolume.value if now.hypervolume is None or not now.alive else now.hypervolume


def _trials(summary: Summary, now: Now) -> str:
    shares = [f"{count} {_running_word(now) if place == 'running' else place}" for place, count in summary.counts.items() if count]
    shares += [f"{now.refused} refused before training"] if now.refused else []
    taken = f", and {now.imported} taken over from another study" if now.imported else ""
    return f"{now.ended} of {summary.facts.trials} ended{taken}" + (f": {', '.join(shares)}" if shares else "")


def _running_word(now: Now) -> str:
    """Nothing runs in a search that does not work."""
    return "running" if now.alive else "unfinished"


def _best(summary: Summary) -> str:
    if not summary.picks:
        return ""
    best = summary.row(summary.picks["best"])
    return f"trial {best.number}, {best.layout}: {words.learned(best, summary.learned)} {words.NAMES[summary.learned]}"


def _time(bill: Bill, now: Now) -> str:
    left = f"; about {show_seconds(max(1, round(now.seconds_left)))} left" if now.seconds_left is not None else ""
    return f"{show_seconds(bill.wall)} in {words.plural(bill.starts, 'start')}; {show_seconds(bill.total)} on the device{left}"


def front_table(ledger: Ledger) -> "RenderableType":
    """The front for a terminal, best first, predicted and measured costs side by side; the baseline comes last where it is not on it."""
    from rich.console import Group
    from rich.text import Text

    summary = summarise(ledger)
    parts: list[RenderableType] = [Text(words.headline(summary))]
    base = summary.baseline
    rows = [*summary.front, *([base] if base and base.place != "front" else [])]
    if not rows:
        return parts[0]
    table = Fitting(_wide_front(rows, summary), _narrow_front(rows, summary), _front_list(rows, summary))
    notes = f"Costs are of {words.at_which(summary)}; x is times the baseline, from the same source. {words.caution(summary)}"
    if luck := words.luck(summary):
        notes = f"{notes} Fresh: mean over seeds that had no part in the selection, ± half of its 95% interval, and how many. {luck}"
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


class Fitting:
    """Renders as the first of several renderables that fits the terminal without cutting or breaking a number, else as the last."""

    def __init__(self, *choices: "RenderableType") -> None:
        self._choices = choices

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        # The terminal's width is the most that a measurement says.
        unbounded = options.update_width(10_000)
        fitting = (choice for choice in self._choices if console.measure(choice, options=unbounded).minimum <= options.max_width)
        yield next(fitting, self._choices[-1])


def _single_columns(rows: Sequence[Row], summary: Summary) -> dict[str, list[str]]:
    """By heading, what has one column: objectives, and what fresh seeds say where there are any."""
    names = [o.name for o in summary.facts.objectives if o.name not in ("memory", "throughput")]
    columns = {words.NAMES[name]: [words.learned(row, name) for row in rows] for name in names}
    if summary.confirmed:
        columns["fresh seeds"] = [words.fresh(row, summary) for row in rows]
    return columns


def _wide_front(rows: Sequence[Row], summary: Summary) -> "Table":
    """A line for each trial, predicted and measured in columns of their own."""
    from rich.table import Table
    from rich.text import Text

    columns = _single_columns(rows, summary)
    sides = {"memory": [_both("memory", row.memory) for row in rows], "images/s": [_both("throughput", row.throughput) for row in rows]}
    table = Table("trial")
    table.add_column("layout", overflow="fold", min_width=24)
    for name, cells in columns.items():
        _add_numbers(table, name, cells)
    for name, both in sides.items():
        _add_numbers(table, f"{name} predicted", [predicted for predicted, _ in both])
        _add_numbers(table, "measured", [measured for _, measured in both])
    table.add_column("")
    for index, row in enumerate(rows):
        cells = [column[index] for column in columns.values()]
        cells += [side for both in sides.values() for side in both[index]]
        table.add_row(f"{row.number:>5}", Text(row.layout), *cells, _note(row, summary), end_section=index + 1 == len(summary.front))
    return table


def _narrow_front(rows: Sequence[Row], summary: Summary) -> "Table":
    """Measured over predicted in one column, and what a trial is noted for under its layout."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = {heading.replace(" ", "\n"): cells for heading, cells in _single_columns(rows, summary).items()}
    for heading, name in (("memory\n(predicted)", "memory"), ("images/s\n(predicted)", "throughput")):
        both = [_both(name, row.memory if name == "memory" else row.throughput) for row in rows]
        columns[heading] = [f"{measured}\n({predicted.replace(' (', ', ').removesuffix(')')})" for predicted, measured in both]
    table = Table("trial", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("layout", overflow="fold", min_width=20)
    for heading, cells in columns.items():
        _add_numbers(table, heading, cells)
    for index, row in enumerate(rows):
        layout = Text(row.layout)
        if note := _note(row, summary):
            layout.append(f"\n{note}", style="dim")
        cells = [column[index] for column in columns.values()]
        table.add_row(f"{row.number:>5}", layout, *cells, end_section=index + 1 == len(summary.front))
    return table


def _front_list(rows: Sequence[Row], summary: Summary) -> "RenderableType":
    """A paragraph for each trial, where no table fits."""
    from rich.text import Text

    said = []
    columns = _single_columns(rows, summary)
    for index, row in enumerate(rows):
        note = f" ({_note(row, summary)})" if _note(row, summary) else ""
        values = [f"{heading} {cells[index]}" for heading, cells in columns.items()]
        costs = [f"{name} {words.cost(name, quantity)}" for name, quantity in (("memory", row.memory), ("throughput", row.throughput))]
        said.append(f"{row.number}{note}: {row.layout}; {'; '.join([*values, *costs])}")
    return Text("\n".join(said))


def _add_numbers(table: "Table", heading: str, cells: Sequence[str]) -> None:
    """A column that is never narrower than its numbers: rich itself would cut them."""
    width = max(len(line) for cell in (heading, *cells) for line in cell.splitlines())
    table.add_column(heading, justify="right", no_wrap=True, min_width=width)


def _both(name: str, quantity: Quantity) -> list[str]:
    """Predicted and measured."""
    sides = ((quantity.predicted, quantity.predicted_ratio), (quantity.measured, quantity.measured_ratio))
    return [words.with_ratio(name, value, ratio).replace(" images/s", "") for value, ratio in sides]


def _note(row: Row, summary: Summary) -> str:
    marks = [*row.picks, *(["baseline"] if row.is_baseline else [])]
    found = summary.confirmed.row(row.number) if summary.confirmed else None
    if found and found.verdict in ("dropped", "tied"):
        marks.append("luck" if found.verdict == "dropped" else f"luck: ties with {found.cheaper}")
    return ", ".join(marks if row.place == "front" else [*marks, row.place])


def _flat(row: Row, summary: Summary) -> dict[str, object]:
    found: dict[str, object] = {"trial": row.number, "layout": row.layout, "arch_hash": row.arch_hash}
    if summary.confirmed:
        again = summary.confirmed.row(row.number)
        estimate = again.mean if again else None
        found |= {f"fresh_{summary.learned}": estimate.value if estimate else None}
        found |= {"fresh_low": estimate.low if estimate else None, "fresh_high": estimate.high if estimate else None}
        found |= {"fresh_seeds": len(again.values) if again else 0, "verdict": again.verdict if again else ""}
    for name in (o.name for o in summary.facts.objectives if o.name in LEARNED):
        found |= {name: row.values.get(name), f"{name}_spread": row.spread.get(name)}
    for kind, quantity in (("memory", row.memory), ("throughput", row.throughput)):
        found |= {f"{kind}_{name}": value for name, value in msgspec.structs.asdict(quantity).items()}
    # Memory is read once: it has no interval.
    del found["memory_low"], found["memory_high"]
    return found | {"num_params": row.num_params, "macs": row.macs, "picks": " ".join(row.picks)}
