"""The command line: parses, sets KERAS_BACKEND, then imports the one thing it runs."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fvsearch.errors import FvsearchError

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


def main() -> None:
    """Run the command line; an error is one sentence, a traceback comes only with --debug."""
    debug = "--debug" in sys.argv
    # A scheduler's SIGTERM is as good as a Ctrl-C: stop the workers, keep what is there.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FvsearchError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("stopped; the same command goes on from here", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left; there is no one to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        click.echo(f"error: {type(error).__name__}: {error}; --debug shows where", err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="fvsearch")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def cli(debug: bool) -> None:
    """Architecture search for Funnel Vision Transformers, within a memory and throughput budget."""


def backend_option(command: F) -> F:
    """`--backend`, which wins over KERAS_BACKEND."""
    return click.option("--backend", metavar="NAME", help="jax, tensorflow or torch; else KERAS_BACKEND, else the one installed.")(command)


def _set_backend(wanted: str | None) -> str:
    from fvsearch.backend import choose_backend

    os.environ["KERAS_BACKEND"] = choose_backend(wanted)
    return os.environ["KERAS_BACKEND"]


@cli.command("list")
@click.argument("kind", type=click.Choice(["spaces", "studies", "archs"]), required=False)
def list_(kind: str | None) -> None:
    """List the spaces, studies and archs that ship, one line each."""
    from fvsearch.arch import NAMED_ARCHS
    from fvsearch.library import load_space, load_study, shipped
    from fvsearch.units import show_count

    if kind in (None, "studies"):
        for name in shipped("studies"):
            study = load_study(name)
            click.echo(f"study  {name:<14} {study.description} ({study.trials} trials on {study.data.source})")
    if kind in (None, "spaces"):
        for name in shipped("spaces"):
            space = load_space(name)
            click.echo(f"space  {name:<14} {space.description} ({show_count(space.size())} archs)")
    if kind in (None, "archs"):
        for name, arch in NAMED_ARCHS.items():
            stage = arch.stages[0]
            click.echo(
                f"arch   {name:<14} depth {stage.depth}, width {stage.width}, mlp_dim {stage.mlp_dim}, num_heads {stage.num_heads}, "
                f"patch_size {arch.patch_size}"
            )


@cli.command()
@click.argument("arch")
@click.option("--against", metavar="ARCH", help="Compare with this arch.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images per step.")
@click.option("--image-size", type=click.IntRange(1), default=224, show_default=True, help="Pixels per image edge.")
@click.option("--channels", type=click.IntRange(1), default=3, show_default=True, help="Of an image.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True, help="Of the head.")
@click.option("--patch-size", type=click.IntRange(1), default=16, show_default=True, help="Of a layout, which does not say it.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or mixed_bfloat16.")
@click.option("--phase", default="training", show_default=True, help="training or inference.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cost(arch: str, against: str | None, image_size: int, patch_size: int, as_json: bool, **settings: Any) -> None:
    """Predict what ARCH costs: parameters, macs, memory. By formula: no model is built.

    ARCH is a layout such as "B6(197)-6(99)", a name such as vit-b16, or a TOML file.
    """
    from fvsearch.report.cost import cost_document, cost_table

    document = cost_document(arch, against, image_size=image_size, patch_size=patch_size, **settings)
    if as_json:
        _echo_json(document)
    else:
        _print(cost_table(document))


@cli.command()
@click.argument("study")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the study. [default: runs/NAME]")
@click.option("--trials", type=click.IntRange(1), help="Distinct archs to evaluate, baseline counted in.")
@click.option("--time-budget", metavar="T", help="Start no trial after this long: 90s, 20m, 8h.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Trainings at a time. [default: one for every core, two at most]")
@click.option(
    "--pool", type=click.Choice(["local", "inline"]), default="local", show_default=True, help="inline: in this process, to debug."
)
@backend_option
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change the study: recipe.epochs=5, budget.memory=0.5x.")
@click.option("--dry-run", is_flag=True, help="Say the size of the space, the feasible share and the work ahead; train nothing.")
def run(
    study: str,
    out: Path | None,
    trials: int | None,
    time_budget: str | None,
    workers: int | None,
    pool: str,
    backend: str | None,
    settings: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Search. STUDY is a name of `fvsearch list studies` or a TOML file; on a folder that stands, the search goes on."""
    from fvsearch.library import load_study

    defined = load_study(study, settings)
    if trials is not None:
        defined = defined.with_settings(trials=trials)
    if dry_run:
        from fvsearch.report.dry_run import dry_run_table

        _print(dry_run_table(defined))
        return
    from fvsearch.progress import watch
    from fvsearch.search import RunSettings, run_study
    from fvsearch.units import parse_duration

    run_settings = RunSettings(
        backend=_set_backend(backend),
        workers=workers or min(2, os.cpu_count() or 1),
        pool="inline" if pool == "inline" else "local",
        time_budget=parse_duration(time_budget) if time_budget else None,
        command=" ".join(["fvsearch", *sys.argv[1:]]),
    )
    folder = out or Path("runs") / defined.name
    with watch(defined) as watcher:
        ledger = run_study(defined, folder, run_settings, watcher)
    from fvsearch.report.page import write_report

    page = write_report(ledger)
    _print_front(folder)
    click.echo(f"report: {page}\nnext:   fvsearch export {folder} --pick knee -o run.toml && fvsearch train run.toml")


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(folder: Path, as_json: bool) -> None:
    """Say how far the study in DIR is."""
    from fvsearch.ledger import Ledger
    from fvsearch.report import tables

    ledger = Ledger.open(folder)
    if as_json:
        _echo_json(tables.status_document(ledger))
    else:
        _print(tables.status_table(ledger))


@cli.command()
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
        _echo_json(tables.front_document(Ledger.open(folder)))
    elif as_csv:
        click.echo(tables.front_csv(Ledger.open(folder)), nl=False)
    else:
        _print_front(folder)


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write the report of the study in DIR: one HTML page that works offline, and front.json."""
    from fvsearch.ledger import Ledger
    from fvsearch.report.page import write_report

    click.echo(write_report(Ledger.open(folder)))


@cli.command()
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


@cli.command()
@click.argument("run_file", metavar="RUN.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run. [default: runs/NAME]")
@backend_option
def train(run_file: Path, out: Path | None, backend: str | None) -> None:
    """Train an exported run to its end: model.keras, metrics, and the test split's score, read once."""
    from fvsearch.records import from_toml
    from fvsearch.training.run import Run

    run = from_toml(run_file, Run)
    _set_backend(backend)
    from fvsearch.progress import watch_training
    from fvsearch.training.run import train_run

    folder = out or Path("runs") / run.name
    with watch_training(run) as on_epoch:
        summary = train_run(run, folder, on_epoch)
    click.echo(f"validation: top-1 {summary.last.top1:.2%}, top-5 {summary.last.top5:.2%}, loss {summary.last.loss:.4f}")
    if summary.test:
        score = summary.test
        click.echo(f"test:       top-1 {score.top1:.2%}, top-5 {score.top5:.2%}, loss {score.loss:.4f} ({score.images} images, read once)")
    for note in summary.notes:
        click.echo(f"note:       {note}")
    click.echo(f"model:      {summary.model}")


def _print_front(folder: Path) -> None:
    from fvsearch.ledger import Ledger
    from fvsearch.report import tables

    _print(tables.front_table(Ledger.open(folder)))


def _print(renderable: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        # There is no width to fit: let no column be cut.
        console.width = 200
    console.print(renderable)


def _echo_json(document: Any) -> None:
    import json

    click.echo(json.dumps(document, indent=2))
