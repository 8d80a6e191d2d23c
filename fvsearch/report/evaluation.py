"""What `fvsearch evaluate` says and writes: the split's scores, the classes, and their confusion as a table, CSV or picture."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.files import write_atomically
from fvsearch.training.evaluation import ClassScore, Evaluation

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

FEW = 12
"""Classes whose confusion is printed as a table; of more it is a file, and the classes that fare worst are printed."""
PAIRS = 5
"""Pairs of classes that are named for being confused most."""


def evaluation_document(found: Evaluation) -> dict[str, Any]:
    """What `fvsearch evaluate --json` prints."""
    document: dict[str, Any] = msgspec.to_builtins(found)
    return document


def evaluation_table(found: Evaluation) -> "RenderableType":
    """An evaluation for a terminal."""
    from rich.console import Group
    from rich.text import Text

    said = f"{found.split}: top-1 {found.top1:.2%}, top-5 {found.top5:.2%}, loss {found.loss:.4f} ({found.images} images)"
    parts: list[RenderableType] = [Text(said, style="bold"), _classes(found)]
    if len(found.classes) <= FEW:
        parts += [Text("confusion: images of the row's class that are taken for the column's"), _confusion(found)]
    pairs = confused(found)
    if pairs:
        names = [called(one) for one in found.classes]
        worst = ", ".join(f"{names[true]} for {names[taken]} ({count})" for count, true, taken in pairs)
        parts.append(Text(f"confused most, class for class: {worst}"))
    return Group(*parts)


def called(one: ClassScore) -> str:
    """A class's name, or its label where it has none."""
    return one.name or str(one.label)


def confused(found: Evaluation) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: (images, class, class it is taken for), the most frequent first."""
    mistakes = [
        (count, true, taken) for true, row in enumerate(found.confusion) for taken, count in enumerate(row) if count and true != taken
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake[0], *mistake[1:]))[:PAIRS]


def write_confusion(folder: Path, found: Evaluation) -> list[Path]:
    """The confusion of many classes as CSV and picture, `confusion-SPLIT`; of few, which are printed, nothing. The paths."""
    if len(found.classes) <= FEW:
        return []
    table, picture = (folder / f"confusion-{found.split}.{suffix}" for suffix in ("csv", "png"))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = [called(one) for one in found.classes]
    rows.writerow(["class", *names])
    rows.writerows([name, *row] for name, row in zip(names, found.confusion, strict=True))
    write_atomically(table, text.getvalue().encode())
    write_atomically(picture, _drawn(found))
    return [table, picture]


def _classes(found: Evaluation) -> "Table":
    from rich.table import Table
    from rich.text import Text

    shown = found.classes
    title = ""
    if len(shown) > FEW:
        shown = tuple(sorted((one for one in shown if one.top1 is not None), key=lambda one: (one.top1, one.label))[:FEW])
        title = f"the {len(shown)} of {len(found.classes)} classes that fare worst"
    table = Table(title=title or None, title_justify="left")
    for heading in ("class", "images", "top-1", "top-5", "precision"):
        table.add_column(heading, justify="right")
    for one in shown:
        table.add_row(Text(called(one)), str(one.images), *_shares(one))
    return table


def _shares(one: ClassScore) -> list[str]:
    return ["-" if share is None else f"{share:.1%}" for share in (one.top1, one.top5, one.precision)]


def _confusion(found: Evaluation) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("class", justify="right")
    for one in found.classes:
        table.add_column(Text(called(one)), justify="right")
    for one, row in zip(found.classes, found.confusion, strict=True):
        cells = [Text(str(count) if count else "·", style="bold" if taken == one.label else "") for taken, count in enumerate(row)]
        table.add_row(Text(called(one)), *cells)
    return table


def _drawn(found: Evaluation) -> bytes:
    """A PNG: each row in shares of its class, so that a rare class is seen as well as a frequent one."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    shares = [[count / max(1, sum(row)) for count in row] for row in found.confusion]
    figure = Figure(figsize=(7.4, 6.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    # The square root shows a few percent of mistakes beside a diagonal near one.
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    figure.colorbar(picture, ax=axes, format=PercentFormatter(1), label="share of the class's images", shrink=0.85)
    for axis, label in ((axes.xaxis, "taken for class"), (axes.yaxis, "class")):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        axis.set_label_text(label)
    axes.set_title(f"confusion on {found.split}, {found.images} images, top-1 {found.top1:.2%}", loc="left", fontsize=10)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
