"""The front on a terminal, in the widest of four forms that fits: every number whole at every width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fvsearch.report import words
from fvsearch.report.numbers import Quantity, Row, Summary

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table


def fitting_front(rows: Sequence[Row], summary: Summary) -> "RenderableType":
    """The front's table, by the width of where it is rendered.

    Args:
        rows: The front, best first, and what is shown beside it.
        summary: They are of.
    """
    return Fitting(*(form(rows, summary) for form in (_wide, _narrow, _stacked, _listed)))


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
    """By heading, what has one column: objectives, and what is believed of them and what fresh seeds say, where that is known."""
    names = [o.name for o in summary.facts.objectives if o.name not in ("memory", "throughput")]
    columns = {words.NAMES[name]: [words.learned(row, name) for row in rows] for name in names}
    if summary.posterior:
        columns["posterior"] = [words.believed(row, summary) for row in rows]
    if summary.confirmed:
        columns["fresh seeds"] = [words.fresh(row, summary) for row in rows]
    return columns


def _wide(rows: Sequence[Row], summary: Summary) -> "Table":
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


def _folded_columns(rows: Sequence[Row], summary: Summary) -> dict[str, list[str]]:
    """By heading, both on several lines: measured over predicted in one column."""
    columns = {heading.replace(" ", "\n"): cells for heading, cells in _single_columns(rows, summary).items()}
    for heading, name in (("memory\n(predicted)", "memory"), ("images/s\n(predicted)", "throughput")):
        both = [_both(name, row.memory if name == "memory" else row.throughput) for row in rows]
        columns[heading] = [f"{measured}\n({predicted.replace(' (', ', ').removesuffix(')')})" for predicted, measured in both]
    return columns


def _narrow(rows: Sequence[Row], summary: Summary) -> "Table":
    """Measured over predicted in one column, and what a trial is noted for under its layout."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = _folded_columns(rows, summary)
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


def _stacked(rows: Sequence[Row], summary: Summary) -> "RenderableType":
    """The numbers as in the narrow table, and the layout on a line of its own below them."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    columns = {"trial": [f"#{row.number}" for row in rows]} | _folded_columns(rows, summary)
    parts: list[RenderableType] = [_numbers_line(columns, list(columns))]
    for index, row in enumerate(rows):
        parts.append(_numbers_line(columns, [column[index] for column in columns.values()]))
        layout = Text(row.layout)
        if note := _note(row, summary):
            layout.append(f" {note}", style="dim")
        parts.append(Padding(layout, (0, 0, 0, 4)))
    return Group(*parts)


def _numbers_line(columns: dict[str, list[str]], cells: Sequence[str]) -> "Table":
    """A line of numbers, aligned with every other of the same columns."""
    from rich.table import Table

    line = Table.grid(padding=(0, 2, 0, 0))
    for heading, known in columns.items():
        width = _width([heading, *known])
        line.add_column(justify="right", no_wrap=True, min_width=width, max_width=width)
    line.add_row(*cells)
    return line


def _listed(rows: Sequence[Row], summary: Summary) -> "RenderableType":
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
    table.add_column(heading, justify="right", no_wrap=True, min_width=_width([heading, *cells]))


def _width(cells: Sequence[str]) -> int:
    """Of the longest line in any of the cells."""
    return max(len(line) for cell in cells for line in cell.splitlines())


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
