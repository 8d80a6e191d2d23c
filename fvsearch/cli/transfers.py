"""What the study commands do where the study is a transfer study, which trains all that it names and searches nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fvsearch.cli.common import Where, make_run_settings, print_renderable

OF_A_SEARCH = ("trials", "time_budget", "trial_timeout", "calibration", "tensorboard", "force_backend", "storage", "heartbeat", "lease")
"""Options of `fvsearch run` that a transfer study has no use for."""


def run(
    source: str,
    out: Path | None,
    workers: int | None,
    pool: Where,
    ray_address: str | None,
    backend: str | None,
    settings: tuple[str, ...],
) -> None:
    """Train all that is left of a transfer study, measure what its archs cost, write its report."""
    from fvsearch.library import load_transfer
    from fvsearch.progress import watch_transferring
    from fvsearch.search.transferring import run_transfer

    study = load_transfer(source, settings)
    run_settings = make_run_settings(backend, workers, pool, ray_address, study.resources)
    folder = out or Path("runs") / study.name
    with watch_transferring() as watcher:
        run_transfer(study, folder, run_settings, watcher)
    from fvsearch.report.transferred import summarise_transfer
    from fvsearch.report.transferred_view import transfer_table, write_transfer_report

    transferred = summarise_transfer(folder)
    page = write_transfer_report(transferred, folder)
    print_renderable(transfer_table(transferred))
    click.echo(f"report: {page}")


def refuse_search_options(given: Mapping[str, Any]) -> None:
    """The law that no option is given that only a search has.

    Raises:
        UsageError: One is.
    """
    told = click.get_current_context().get_parameter_source
    for name in OF_A_SEARCH:
        # What the environment says is for the studies that have a use for it.
        if given[name] not in (None, False) and told(name) is not click.core.ParameterSource.ENVIRONMENT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} is of a search, and a transfer study trains all that it names; --set seeds=5 trains more of it."
            )


def dry_run(source: str, settings: tuple[str, ...]) -> None:
    """Say what a transfer study would train."""
    from fvsearch.library import load_transfer
    from fvsearch.report.transferred_view import plan_table

    print_renderable(plan_table(load_transfer(source, settings)))


def write_report(folder: Path) -> Path:
    """Write the report of a transfer study's folder; the page's path."""
    from fvsearch.report.transferred import summarise_transfer
    from fvsearch.report.transferred_view import write_transfer_report

    return write_transfer_report(summarise_transfer(folder), folder)


def show_status(folder: Path, as_json: bool) -> None:
    """Print how far a transfer study is, and what it has found so far."""
    from fvsearch.report.transferred import summarise_transfer
    from fvsearch.report.transferred_view import transfer_table

    transferred = summarise_transfer(folder)
    if as_json:
        click.echo(transferred.to_json())
    else:
        print_renderable(transfer_table(transferred))
