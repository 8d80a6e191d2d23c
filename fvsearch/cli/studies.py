"""Commands about a study: search, look, export."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fvsearch.cli import transfers
from fvsearch.cli.common import (
    Where,
    backend_option,
    echo_json,
    make_run_settings,
    pool_options,
    print_renderable,
    set_backend,
    shared_settings,
)

if TYPE_CHECKING:
    from fvsearch.ledger import Ledger


@click.command()
@click.argument("study")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the study. [default: runs/NAME]")
@click.option("--trials", type=click.IntRange(1), help="Distinct archs to evaluate, baseline counted in.")
@click.option("--time-budget", metavar="T", help="Start no trial after this long: 90s, 20m, 8h.")
@click.option("--trial-timeout", metavar="T", help="Give up a trial that trains for longer than this, or hangs: 90s, 20m, 8h.")
@pool_options
@backend_option
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change the study: recipe.epochs=5, budget.memory=0.5x.")
@click.option(
    "--calibration",
    metavar="FILE|none",
    help="Predict by this file of `fvsearch calibrate`, or by formula alone. [default: what is kept for this study and device]",
)
@click.option(
    "--tensorboard", is_flag=True, help="Write each trial's epochs for TensorBoard, as they end: tensorboard --logdir DIR/tensorboard"
)
@click.option("--force-backend", is_flag=True, help="Go on under another backend than the study's trials ran on.")
@click.option(
    "--storage",
    metavar="URL",
    envvar="FVSEARCH_STORAGE",
    show_envvar=True,
    help="Share the study with other coordinators, in this database: postgresql://USER@HOST/NAME.",
)
@click.option("--heartbeat", metavar="T", help="With --storage: how often to say that this coordinator lives.  [default: 10s]")
@click.option("--lease", metavar="T", help="With --storage: silence after which others take its trials over.  [default: 60s]")
@click.option("--dry-run", is_flag=True, help="Say the size of the space, the feasible share and the work ahead; train nothing.")
def run(
    study: str,
    out: Path | None,
    trials: int | None,
    time_budget: str | None,
    trial_timeout: str | None,
    workers: int | None,
    pool: Where,
    ray_address: str | None,
    backend: str | None,
    settings: tuple[str, ...],
    calibration: str | None,
    tensorboard: bool,
    force_backend: bool,
    storage: str | None,
    heartbeat: str | None,
    lease: str | None,
    dry_run: bool,
) -> None:
    """Search. STUDY is a name of `fvsearch list studies` or a TOML file; on a folder that stands, the search goes on.

    A transfer study, which names archs in place of a space, trains each of them and fine-tunes each as each.
    """
    from fvsearch.library import is_transfer, load_study
    from fvsearch.units import parse_duration

    if is_transfer(study):
        transfers.refuse_search_options(click.get_current_context().params)
        if dry_run:
            transfers.dry_run(study, settings)
        else:
            transfers.run(study, out, workers, pool, ray_address, backend, settings)
        return

    defined = load_study(study, settings)
    if trials is not None:
        defined = defined.with_settings(trials=trials)
    limits = {
        "time_budget": parse_duration(time_budget) if time_budget else None,
        "trial_timeout": parse_duration(trial_timeout) if trial_timeout else None,
    }
    if dry_run:
        from fvsearch.report.dry_run import dry_run_table

        if calibration is not None:
            from fvsearch.calibrating.choose import check_wanted

            check_wanted(calibration, defined, set_backend(backend))
        print_renderable(dry_run_table(defined, calibration))
        return
    from fvsearch.progress import watch
    from fvsearch.search.loop import run_study
    from fvsearch.search.watching import Watcher, together

    run_settings = make_run_settings(
        backend,
        workers,
        pool,
        ray_address,
        defined.resources,
        **limits,
        calibration=calibration,
        force_backend=force_backend,
        **shared_settings(storage, heartbeat, lease),
    )
    folder = out or Path("runs") / defined.name
    others: list[Watcher] = []
    if tensorboard:
        from fvsearch.tensorboard import EventWriter

        others.append(EventWriter(folder))
    with watch(defined, folder) as watcher:
        ledger = run_study(defined, folder, run_settings, together(watcher, *others))
    from fvsearch.report.page import write_report

    page = write_report(ledger)
    _print_front(ledger)
    click.echo(f"report: {page}\nnext:   fvsearch export {folder} --pick knee -o run.toml && fvsearch train run.toml")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--seeds", type=click.IntRange(1), help="Fresh trainings of each in all; those that stand count. [default: the study's, else 3]"
)
@pool_options
@click.option("--backend", metavar="NAME", help="That of the search; no other can confirm its numbers.")
def confirm(folder: Path, seeds: int | None, workers: int | None, pool: Where, ray_address: str | None, backend: str | None) -> None:
    """Train the front of the study in DIR, its baseline and what its [confirm] names again, with fresh seeds: intervals, ties, luck."""
    from fvsearch.ledger import Ledger
    from fvsearch.progress import watch_confirming
    from fvsearch.report.page import write_report
    from fvsearch.search.confirming import confirm_study

    ledger = Ledger.open(folder)
    searched = [invocation.backend for invocation in ledger.invocations()]
    chosen = backend or os.environ.get("KERAS_BACKEND") or (searched[-1] if searched else None)
    settings = make_run_settings(chosen, workers, pool, ray_address, ledger.study.resources)
    with watch_confirming(ledger.study) as watcher:
        confirm_study(folder, settings, seeds, watcher)
    page = write_report(ledger)
    _print_front(ledger)
    click.echo(f"report: {page}")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(folder: Path, as_json: bool) -> None:
    """Say how far the study in DIR is."""
    from fvsearch.study.transfer import is_transfer_folder

    if is_transfer_folder(folder):
        transfers.show_status(folder, as_json)
        return
    from fvsearch.ledger import Ledger
    from fvsearch.report import tables

    ledger = Ledger.open(folder)
    if as_json:
        echo_json(tables.status_document(ledger))
    else:
        print_renderable(tables.status_table(ledger))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
def front(folder: Path, as_json: bool, as_csv: bool) -> None:
    """Show the Pareto front of the study in DIR, predicted and measured costs side by side."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other: give one.")
    from fvsearch.ledger import Ledger
    from fvsearch.report import tables

    if as_json:
        echo_json(tables.front_document(Ledger.open(folder)))
    elif as_csv:
        click.echo(tables.front_csv(Ledger.open(folder)), nl=False)
    else:
        _print_front(Ledger.open(folder))


@click.command()
@click.argument("first", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("second", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write one HTML page that works offline.")
def compare(first: Path, second: Path, as_json: bool, output: Path | None) -> None:
    """Set two studies beside each other: fronts, and hypervolumes over trials and training time from one reference point."""
    from fvsearch.ledger import Ledger
    from fvsearch.report import compare_view
    from fvsearch.report.compare import compare as compared

    comparison = compared(Ledger.open(first), Ledger.open(second))
    if output is not None:
        compare_view.write_comparison(comparison, output)
    if as_json:
        click.echo(comparison.to_json())
        return
    print_renderable(compare_view.compare_table(comparison))
    if output is not None:
        click.echo(f"page: {output}")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write the report of the study in DIR: one HTML page that works offline, and its numbers as JSON."""
    from fvsearch.study.transfer import is_transfer_folder

    if is_transfer_folder(folder):
        click.echo(transfers.write_report(folder))
        return
    from fvsearch.ledger import Ledger
    from fvsearch.report.page import write_report

    click.echo(write_report(Ledger.open(folder)))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--trial", type=click.IntRange(0), help="This trial, on the front or not.")
@click.option("--pick", type=click.Choice(["knee", "best", "fastest", "smallest"]), help="A point of the front. [default: knee]")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("run.toml"), show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Train this long instead of as long as the search did.")
@click.option("--force", is_flag=True, help="Overwrite the output file.")
def export(folder: Path, trial: int | None, pick: str | None, output: Path, epochs: int | None, force: bool) -> None:
    """Turn a front point of the study in DIR into a training run."""
    if trial is not None and pick is not None:
        raise click.UsageError("--trial and --pick exclude each other: give one.")
    from fvsearch.export import export_run, write_run
    from fvsearch.ledger import Ledger

    write_run(export_run(Ledger.open(folder), trial=trial, pick=pick or "knee", epochs=epochs), output, overwrite=force)
    click.echo(f"{output}: train it with `fvsearch train {output}`")


def _print_front(ledger: "Ledger") -> None:
    from fvsearch.report import tables

    print_renderable(tables.front_table(ledger))
