"""Commands about a run: one full training of an exported arch."""

from pathlib import Path

import click

from fvsearch.cli.common import backend_option, set_backend


@click.command()
@click.argument("run_file", metavar="RUN.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run. [default: runs/NAME]")
@backend_option
def train(run_file: Path, out: Path | None, backend: str | None) -> None:
    """Train an exported run to its end: model.keras, metrics, and the test split's score, read once."""
    from fvsearch.records import from_toml
    from fvsearch.training.run import Run

    run = from_toml(run_file, Run)
    set_backend(backend)
    from fvsearch.data import prepare_source
    from fvsearch.progress import watch_training
    from fvsearch.training.run import train_run

    prepare_source(run.data, lambda activity: click.echo(activity, err=True))
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
