"""What `fvsearch calibrate` says: how far the predictors err, on which archs, under which conditions, and where they are kept."""

from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.calibrating import Calibrated
from fvsearch.costs.calibration import Calibration, Error, Sampled
from fvsearch.units import show_bytes, show_throughput

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def calibration_document(found: Calibrated) -> dict[str, Any]:
    """What `fvsearch calibrate --json` prints: the calibration as it is kept, where that is, and whether it was measured now."""
    document: dict[str, Any] = msgspec.to_builtins(found)
    return document


def calibration_table(found: Calibrated) -> "RenderableType":
    """The calibration for a terminal: the errors, the sample, then conditions and place."""
    from rich.console import Group
    from rich.text import Text

    calibration = found.calibration
    lines = [*_notes(calibration), f"{'kept in' if found.measured else 'kept already, measured anew with --again, in'} {found.path}"]
    return Group(_errors(calibration), _sample(calibration), *(Text(line, style="dim") for line in lines))


def _errors(calibration: Calibration) -> "Table":
    from rich.table import Table

    table = Table(title=f"error on {calibration.left_out} left out of the fit", title_justify="left")
    for heading in ("", "mean", "worst", "Kendall's tau", "margin", "used by `run`"):
        table.add_column(heading, justify="left" if heading in ("", "used by `run`") else "right")
    for name, fit in {"memory": calibration.memory, "step time": calibration.step_time}.items():
        for source, error in (("regression", fit.regression_error), ("formula", fit.formula_error)):
            said = (f"{fit.margin:.1%}", "yes") if fit.source == source else ("", "no: errs more")
            table.add_row(f"{name}, {source}", *_error(error), *said, end_section=source == "formula")
    return table


def _error(error: Error) -> tuple[str, str, str]:
    return f"{error.mape:.1%}", f"{error.worst:.1%}", f"{error.tau:.3f}"


def _sample(calibration: Calibration) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="the sample: predicted with its pattern left out, and measured", title_justify="left")
    table.add_column("layout", overflow="fold", min_width=24)
    for heading in ("memory predicted", "measured", "error", "images/s to the baseline's predicted", "measured (95% interval)", "error"):
        table.add_column(heading, justify="right")
    times, memories = calibration.step_time.left_out, calibration.memory.left_out
    for arch, memory, time in zip(calibration.sample, memories, times, strict=True):
        table.add_row(
            Text(arch.layout),
            show_bytes(memory),
            show_bytes(arch.memory),
            f"{memory / arch.memory - 1:+.1%}",
            f"{1 / time:.3f}x",
            _ratio(arch),
            f"{1 / time / arch.ratio - 1:+.1%}",
        )
    return table


def _ratio(arch: Sampled) -> str:
    return f"{arch.ratio:.3f}x ({arch.ratio_low:.3f} to {arch.ratio_high:.3f})"


def _notes(calibration: Calibration) -> list[str]:
    conditions, machine, baseline = calibration.conditions, calibration.machine, calibration.sample[0]
    height, width, channels = conditions.image_shape
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    drops = f"dropout {conditions.dropout:g}, stochastic depth {conditions.stochastic_depth:g}"
    widths = sorted(arch.half_width for arch in calibration.sample[1:])
    return [
        f"valid for: space {conditions.space}, {height}x{width}x{channels}, {conditions.num_classes} classes, {conditions.phase} at batch "
        f"{conditions.batch_size}, {conditions.dtype}, {conditions.optimizer}, {drops}{', clipped' if conditions.clip else ''}",
        f"measured {calibration.made} on {machine.text}, {conditions.backend}, {versions}",
        f"the baseline: {show_bytes(baseline.memory)}, {show_throughput(baseline.throughput)}; the measurement's own interval: "
        f"\N{PLUS-MINUS SIGN}{widths[len(widths) // 2]:.1%} in the median, {widths[-1]:.1%} at most",
        "margin: nine of ten archs err less; `run` refuses an arch only where it is predicted over budget by more",
        *(f"skipped: {arch.layout}: {arch.reason}" for arch in calibration.skipped),
    ]
