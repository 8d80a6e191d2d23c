"""What benchmarks share: figures as a Markdown table, and their place on a page of docs/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures of {script}: begin -->", "<!-- end -->"
"""A page holds a script's figures between these."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_figures(page: Path, script: str, parts: Sequence[str]) -> None:
    """Put paragraphs and tables in the place of those that the page holds of a script.

    Raises:
        SystemExit: The page has no place for them.
    """
    begin = BEGIN.format(script=script)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{page} must hold {begin!r} and {END!r}, to say where the figures go")
    page.write_text("\n\n".join([f"{before}{begin}", *parts, f"{END}{after}"]), encoding="utf-8")


def write_runs(
    page: Path, script: str, document: dict[str, Any], runs: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]
) -> None:
    """Put a table for each run, with its title, in the place of those that the page holds of a script.

    Args:
        page: Of docs/.
        script: Whose figures they are.
        document: What the script printed; says by which command, and how busy the machine was.
        runs: A title, a header and rows each.

    Raises:
        SystemExit: The page has no place for them.
    """
    parts = [f"    {document['command']}", f"Load average when it began: {document['load_before']} (a quiet machine's is near 0)."]
    for title, header, rows in runs:
        parts += [f"### {title}", markdown(header, rows)]
    replace_figures(page, script, parts)


def print_run(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
    """A run's table on a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for column in header:
        table.add_column(column.replace(": ", "\n"), justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)
