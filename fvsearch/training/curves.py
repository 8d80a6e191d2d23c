"""curves.png: loss, top-1 and learning rate of a run by epoch, training and validation."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvsearch.files import write_atomically
from fvsearch.training.best import best_epoch
from fvsearch.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, RATE, INK, GRID = "#9aa5b1", "#1f6feb", "#7a5af8", "#24292f", "#e6e8eb"
"""Colours: the training split in grey behind the validation split, by which an epoch is judged."""

MARKED = 30
"""Epochs up to which each has a mark of its own."""


def draw_curves(name: str, epochs: Sequence[EpochMetrics], total: int, path: Path) -> None:
    """Draw the epochs so far, whole or not at all.

    Args:
        name: Of the run.
        epochs: At least one.
        total: Epochs that the recipe has: the axis is as long from the first drawing on.
        path: Of the PNG.
    """
    drawn = io.BytesIO()
    curves_figure(name, epochs, total).savefig(drawn, format="png")
    write_atomically(path, drawn.getvalue())


def curves_figure(name: str, epochs: Sequence[EpochMetrics], total: int) -> "Figure":
    """The figure that `draw_curves` draws: loss and top-1 above, the learning rate below."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    # A Figure of its own draws by Agg whatever the display, and no state of pyplot's stays behind.
    figure = Figure(figsize=(10, 5.4), dpi=150, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    loss, top1, rate = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    _pair(loss, "loss", epochs)
    _pair(top1, "top1", epochs)
    best = best_epoch(epochs)
    ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": VALIDATION, "markeredgewidth": 1.6}
    top1.plot([best.epoch + 1], [best.top1], "o", clip_on=False, label="_best", **ring)
    top1.set_title(f"best {best.top1:.2%} after epoch {best.epoch + 1}", loc="right", fontsize=9, color=VALIDATION)
    top1.yaxis.set_major_formatter(PercentFormatter(1))
    rate.plot([one.epoch + 1 for one in epochs], [one.learning_rate for one in epochs], color=RATE, label="learning rate", **_marks(epochs))
    rate.set_ylim(0, 1.1 * max(one.learning_rate for one in epochs) or 1)
    rate.set_xlabel("epoch")
    loss.legend(frameon=False, fontsize=9)
    for axes, title in ((loss, "loss"), (top1, "top-1"), (rate, "learning rate after the epoch")):
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set_xlim(0.5, max(total, len(epochs)) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(name, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def _pair(axes: "Axes", name: str, epochs: Sequence[EpochMetrics]) -> None:
    """A metric of the training split and of the validation split."""
    for prefix, label, colour, width in (("train_", "training", TRAIN, 1.4), ("", "validation", VALIDATION, 1.8)):
        values = [getattr(one, prefix + name) for one in epochs]
        axes.plot([one.epoch + 1 for one in epochs], values, color=colour, linewidth=width, label=label, **_marks(epochs))


def _marks(epochs: Sequence[EpochMetrics]) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3} if len(epochs) <= MARKED else {}
