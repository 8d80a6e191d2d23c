"""Commands about this device: what archs cost on it, measured, and predicted from measurements."""

import platform
from pathlib import Path
from typing import Any

import click

from fvsearch.cli.common import INTERRUPTED, backend_option, echo_json, print_renderable, seconds_option, set_backend, step_options


@click.command()
@click.argument("arch")
@click.option("--against", metavar="ARCH", help="Compare with this arch, measured in turns with it.")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Images per step; a few suit a CPU.")
@step_options
@click.option("--optimizer", type=click.Choice(["adamw", "sgd"]), default="adamw", show_default=True, help="Of the training step.")
@click.option("--phase", type=click.Choice(["both", "training", "inference"]), default="both", show_default=True)
@seconds_option(10.0, "arch and phase")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def measure(arch: str, against: str | None, backend: str | None, as_json: bool, **settings: Any) -> None:
    """Measure what ARCH costs on this device: memory and images/s, training and inference.

    ARCH is a layout such as "B6(197)-6(99)", a name such as vit-b16, or a TOML file. The step is the one that training runs, with its
    loss, metrics and optimizer, on a batch of noise. Medians come with their 95% interval, and the ratio to the other arch is taken
    round by round.
    """
    from fvsearch.report.measure import measure_document, measure_requests, measure_table

    requests = measure_requests(arch, against, **settings)
    chosen = set_backend(backend)
    from fvsearch.progress import watch_measuring
    from fvsearch.search.comparing import measure_in_worker
    from fvsearch.training.environment import num_cores

    try:
        with watch_measuring(sum(len(request.archs) + 1 for request in requests)) as on_activity:
            measured = measure_in_worker(requests, chosen, on_activity)
    except KeyboardInterrupt:
        click.echo("stopped before the measurement was done; nothing of it is kept", err=True)
        raise SystemExit(INTERRUPTED) from None
    machine = {"architecture": platform.machine(), "system": platform.system(), "cores": num_cores()}
    document = measure_document(requests, measured, machine)
    if as_json:
        echo_json(document)
    else:
        print_renderable(measure_table(document))


@click.command()
@click.argument("study")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change the study, as with `run`: recipe.batch_size=32.")
@click.option("--archs", type=click.IntRange(5), default=25, show_default=True, help="To measure, the baseline counted in.")
@seconds_option(4.0, "arch")
@backend_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Keep the calibration here. [default: in the user's cache]")
@click.option("--again", is_flag=True, help="Measure anew what is kept already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate(study: str, settings: tuple[str, ...], backend: str | None, as_json: bool, **others: Any) -> None:
    """Fit this device's predictors of memory and throughput to measured archs of STUDY, and say how far they err.

    STUDY is a name of `fvsearch list studies` or a TOML file. `fvsearch run` of the same study uses what is kept here. The archs are
    spread over the study's stage patterns and costs; an error is of patterns that took no part in the fit. Interrupted, the same command
    goes on where it was.
    """
    from fvsearch.library import load_study

    defined = load_study(study, settings)
    chosen = set_backend(backend)
    from fvsearch.calibrating import CalibrationSettings, calibrate
    from fvsearch.progress import watch_calibrating
    from fvsearch.report.calibration import calibration_document, calibration_table

    how = CalibrationSettings(backend=chosen, **others)
    with watch_calibrating() as on_progress:
        found = calibrate(defined, how, on_progress)
    if as_json:
        echo_json(calibration_document(found))
    else:
        print_renderable(calibration_table(found))
