"""What benchmarks share: figures as a Markdown table, and their place on a page of docs/."""

from collections.abc import Sequence
from pathlib import Path

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
