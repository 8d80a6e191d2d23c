"""How a transfer study reads: a table for a terminal, and one HTML page that works offline."""

from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fvsearch.archs.arch import Arch
from fvsearch.costs.formula import predict
from fvsearch.data import describe_source, obstacle
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.report import words
from fvsearch.report.findings_view import estimate
from fvsearch.report.intervals import Estimate
from fvsearch.report.look import LIGHT, count_axis, empty_figure
from fvsearch.report.rendering import render_page
from fvsearch.report.transferred import ArchRow, Cost, Transferred, WayRow
from fvsearch.report.verdicts import Verdict
from fvsearch.study.transfer import Training, TransferStudy
from fvsearch.units import show_bytes, show_count

if TYPE_CHECKING:
    from rich.console import RenderableType

REPORT_FILE, JSON_FILE = "report.html", "transfer.json"

COLOURS = tuple(LIGHT[role] for role in ("front", "infeasible", "knee", "fastest", "smallest", "dominated"))

AGAINST_FIRST: dict[Verdict, str] = {"found": "above", "not found": "below", "tie": "tie", "cannot tell": "cannot tell"}
"""What a difference to the first way says, as a reader sees it."""


def headline(transferred: Transferred) -> str:
    """What was found, in a sentence."""
    if transferred.done < transferred.total:
        return f"{transferred.done} of {words.plural(transferred.total, 'training')} ended; the same command goes on."
    first = transferred.ways[0]
    others = [f"{way.name}: {AGAINST_FIRST[way.verdict]}" for way in transferred.ways[1:] if way.verdict]
    return f"Validation top-1 against {first.name}: {'; '.join(others) or 'no other way'}."


def method(transferred: Transferred) -> str:
    """What the numbers are and what they are not."""
    return (
        "Means are over seeds, with Student’s 95% interval; differences have Welch’s. Above and below: the interval holds no 0; a tie: all "
        "of it is within a point either way. Training top-1 is of the last epoch’s steps. The test split was read once by each "
        "fine-tuning, at its end. Intervals are of one comparison each, not corrected for their number. Memory is of the "
        "device’s training step, and steps/s are the optimizer’s, measured side by side with nothing else running."
    )


def cells(way: WayRow) -> list[str]:
    """A way's numbers: seeds, training, validation, difference, verdict, test, then what was published."""
    return [
        str(way.seeds),
        _mean(way, "train_top1"),
        _mean(way, "top1"),
        words.NONE if way.differs is None else estimate("validation top-1", way.differs, signed=True),
        AGAINST_FIRST[way.verdict] if way.verdict else words.NONE,
        _mean(way, "test_top1"),
        _published(way),
        way.agrees or words.NONE,
    ]


def _published(way: WayRow) -> str:
    """`71.53% (+0.58)`."""
    if way.published is None:
        return words.NONE
    differs = "" if way.published_differs is None else f" ({100 * way.published_differs:+.2f})"
    return words.percent(way.published.top1, 2) + differs


COLUMNS = (
    "seeds",
    "training top-1",
    "validation top-1",
    "less the first way's",
    "verdict",
    "test top-1",
    "published",
    "found here",
)


def _mean(row: WayRow | ArchRow, name: str) -> str:
    found = row.means.get(name)
    return words.NONE if found is None else words.estimate("top1", found)


def cost_cells(row: ArchRow) -> list[str]:
    """Memory and steps/s of an arch, in pre-training and in fine-tuning."""
    return [text for cost in row.costs or () for text in (_memory(cost), _steps(cost))] or [words.NONE] * 4


def _memory(cost: Cost) -> str:
    return f"{show_bytes(cost.memory)} ({words.ratio(cost.memory_ratio)})"


def _steps(cost: Cost) -> str:
    return f"{cost.steps.value:.3g} steps/s ({words.ratio(cost.steps_ratio.value)})"


def transfer_table(transferred: Transferred) -> "RenderableType":
    """Ways and archs for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    ways = Table("pre-trained, then fine-tuned as", title=headline(transferred), title_justify="left")
    for name in COLUMNS:
        ways.add_column(name, justify="right")
    for way in transferred.ways:
        ways.add_row(way.name, *cells(way))
    archs = Table("arch", "seeds", "pre-trained: validation top-1", title="What each is and costs, measured", title_justify="left")
    for name in ("pre-training: memory", "steps", "fine-tuning: memory", "steps"):
        archs.add_column(name, justify="right")
    for row in transferred.archs:
        archs.add_row(f"{row.name} {row.layouts[0]}", str(row.seeds), _mean(row, "top1"), *cost_cells(row))
    failed = [f"{way.name}, {reason}" for way in transferred.ways for reason in way.failed]
    return Group(ways, archs, Text("\n".join([*failed, method(transferred)]), style="dim"))


def plan_table(study: TransferStudy) -> "RenderableType":
    """What a transfer study would train: archs, phases, trainings, and what a step costs by formula.

    Raises:
        ConfigError: There is no such kind of data source.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("phase", "trainings", "images", "epochs", "batch", title=study.description, title_justify="left")
    for name in study.archs:
        table.add_column(f"{name}: macs, memory by formula", justify="right")
    for name, phase, count in (
        ("pre-training", study.pretraining, study.seeds * len(study.archs)),
        ("fine-tuning", study.finetuning, study.seeds * len(study.ways)),
    ):
        height, width, channels = phase.data.image_shape
        table.add_row(
            name,
            str(count),
            f"{describe_source(phase.data)} at {height}x{width}x{channels}",
            str(phase.recipe.epochs),
            str(phase.recipe.batch_size),
            *(_predicted(arch, phase) for arch in study.archs.values()),
        )
    missing = dict.fromkeys(obstacle(phase.data) for phase in (study.pretraining, study.finetuning))
    notes = [f"{words.plural(study.num_runs, 'training')} in all; nothing was trained.", *(f"Not ready: {one}." for one in missing if one)]
    return Group(table, Text("\n".join(notes), style="dim"))


def _predicted(arch: Arch, phase: Training) -> str:
    cost = predict(
        arch,
        image_shape=phase.data.image_shape,
        num_classes=phase.data.num_classes,
        batch_size=phase.recipe.step_batch_size,
        dtype=phase.recipe.dtype,
        optimizer=phase.recipe.optimizer,
        ema=phase.recipe.ema is not None,
        accumulates=phase.recipe.accumulate > 1,
    )
    return f"{show_count(cost.macs)}, {show_bytes(cost.memory)}"


def write_transfer_report(transferred: Transferred, folder: Path) -> Path:
    """Write report.html and transfer.json into the study's folder; the page's path.

    Raises:
        ConfigError: The folder cannot be written.
    """
    path = folder / REPORT_FILE
    page = render(transferred)
    try:
        write_atomically(folder / JSON_FILE, f"{transferred.to_json()}\n".encode())
        write_atomically(path, page.encode())
    except OSError as error:
        raise ConfigError(f"the report must be written to the study's folder, but {folder} takes none: {error.strerror}") from None
    return path


def render(transferred: Transferred) -> str:
    """The page."""
    figures = {"differences": differences(transferred), "curves": curves(transferred)}
    return render_page(
        "transferred.html.jinja",
        figures,
        words=words,
        transferred=transferred,
        study=transferred.study,
        headline=headline(transferred),
        method=method(transferred),
        columns=COLUMNS,
        cells=cells,
        cost_cells=cost_cells,
        mean=_mean,
        sources=[describe_source(phase.data) for phase in (transferred.study.pretraining, transferred.study.finetuning)],
    )


def differences(transferred: Transferred) -> go.Figure:
    """What each way differs by from the first, in points, with its interval; the published difference as an open diamond."""
    figure = empty_figure()
    ways = [way for way in transferred.ways if way.differs]
    if not ways:
        return figure
    found = [way.differs for way in ways if way.differs]
    figure.add_scatter(
        x=[100 * one.value for one in found],
        y=[way.name for way in ways],
        mode="markers",
        name="this study",
        marker={"color": LIGHT["front"], "size": 11},
        error_x={"type": "data", "symmetric": False, "color": LIGHT["front"], "thickness": 2, "width": 6} | _reach(found),
    )
    known = [way for way in ways if way.published_differs is not None]
    if known:
        figure.add_scatter(
            x=[100 * (way.published_differs or 0.0) for way in known],
            y=[way.name for way in known],
            mode="markers",
            name="published",
            marker={"color": LIGHT["infeasible"], "size": 11, "symbol": "diamond-open"},
        )
    figure.add_vline(x=0, line={"color": LIGHT["soft"], "width": 1})
    figure.update_xaxes(title_text=f"validation top-1 less that of {transferred.ways[0].name}, points")
    figure.update_yaxes(autorange="reversed")
    return figure


def _reach(found: list[Estimate]) -> dict[str, list[float]]:
    """From each value to the ends of its interval."""
    return {
        "array": [100 * ((one.value if one.high is None else one.high) - one.value) for one in found],
        "arrayminus": [100 * (one.value - (one.value if one.low is None else one.low)) for one in found],
    }


def curves(transferred: Transferred) -> go.Figure:
    """Mean validation top-1 over the epochs of fine-tuning, a line a way."""
    figure = empty_figure()
    for index, way in enumerate(transferred.ways):
        if way.curve:
            figure.add_scatter(
                x=list(range(1, len(way.curve) + 1)),
                y=list(way.curve),
                mode="lines+markers",
                name=way.name,
                line={"color": COLOURS[index % len(COLOURS)], "width": 2},
            )
    figure.update_xaxes(count_axis("epochs of fine-tuning", max((len(way.curve) for way in transferred.ways), default=0)))
    figure.update_yaxes(title_text="validation top-1, mean over seeds", tickformat="~%")
    return figure
