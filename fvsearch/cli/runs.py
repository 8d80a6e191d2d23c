"""Commands about a run: one full training of an arch, and what came of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from fvsearch.cli.common import backend_option, distribution_options, echo_json, make_distribution, print_renderable, set_backend

if TYPE_CHECKING:
    from fvsearch.training.run import Run

F = TypeVar("F", bound=Callable[..., Any])

_OF_A_TRAINING = (
    click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run. [default: runs/NAME]"),
    click.option("--keep", type=click.Choice(["last", "best"]), help="The epoch that model.keras is of. [default: the run's, else last]"),
    click.option("--tensorboard", is_flag=True, help="Write epochs as they end for TensorBoard, to DIR/tensorboard."),
    distribution_options,
    backend_option,
)


def training_options(command: F) -> F:
    """What `train` and `finetune` share."""
    for option in reversed(_OF_A_TRAINING):
        command = option(command)
    return command


@click.command()
@click.argument("run_file", metavar="RUN.toml", type=click.Path(path_type=Path))
@training_options
def train(run_file: Path, out: Path | None, **settings: Any) -> None:
    """Train a run to its end: model.keras, metrics, curves, and the test split's score, read once.

    RUN.toml is an exported run, or the folder of one that was begun, to go on with it.
    """
    from fvsearch.training.folder import RUN_FILE
    from fvsearch.training.run import load_run

    path = run_file / RUN_FILE if run_file.is_dir() else run_file
    run = load_run(path)
    if out is None and path.name == RUN_FILE and (path.parent / "training.json").exists():
        out = path.parent
    _train(run, out, **settings)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--arch", metavar="ARCH", help="Train this arch: a layout at the new image size, a name or a file. [default: the model's]")
@click.option("--image-size", type=click.IntRange(1), help="Pixels per image edge. [default: the model's]")
@click.option("--recipe", metavar="RECIPE", help="A recipe's name or TOML file. [default: the run's]")
@click.option("--epochs", type=click.IntRange(1), help="To train. [default: the recipe's]")
@click.option(
    "--data", metavar="DATA", help="A TOML file, or a source such as folder:photos. [default: the run's; an imported model needs it]"
)
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change the new run: recipe.learning_rate=0.001.")
@training_options
def finetune(
    folder: Path,
    arch: str | None,
    image_size: int | None,
    recipe: str | None,
    epochs: int | None,
    data: str | None,
    settings: tuple[str, ...],
    **others: Any,
) -> None:
    """Train the model in DIR further, at another resolution, as another arch, by another recipe or on other data.

    DIR is what `fvsearch train` or `fvsearch import` left. Of its weights the new model takes what fits; positions are resized to its grid.
    The new run is a folder of its own, named by the model's, ARCH and the image size: the same command, or `fvsearch train` on it, goes on
    with it.
    """
    from fvsearch.finetuning import finetune_run

    run = finetune_run(folder, arch=arch, image_size=image_size, recipe=recipe, epochs=epochs, data=data, settings=settings)
    _train(run, others.pop("out") or Path("runs") / run.name, **others)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="validation",
    show_default=True,
    help="test reads the test split once more: for a number to report, not to choose by.",
)
@click.option(
    "--data", metavar="DATA", help="A TOML file, or a source such as folder:photos. [default: the run's; an imported model needs it]"
)
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change the data: data.options.samples=500.")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def evaluate(folder: Path, split: Any, data: str | None, settings: tuple[str, ...], backend: str | None, as_json: bool) -> None:
    """Evaluate the model in DIR: top-1, top-5, loss, each class, and which classes are taken for which."""
    from fvsearch.data import prepare_source
    from fvsearch.errors import ConfigError
    from fvsearch.training.trained import chosen_data, read_trained

    trained = read_trained(folder)
    chosen = chosen_data(trained, data, settings)
    set_backend(backend)
    from fvsearch.report.evaluation import evaluation_document, evaluation_table, write_confusion
    from fvsearch.training.evaluation import evaluate_model, keep_evaluation

    prepare_source(chosen, lambda activity: click.echo(activity, err=True))
    found = evaluate_model(trained, chosen, split)
    if as_json:
        echo_json(evaluation_document(found))
    else:
        print_renderable(evaluation_table(found))
    try:
        written = [keep_evaluation(folder, found), *write_confusion(folder, found)]
    except ConfigError as error:
        # Of a model that others may only read, what was found is printed all the same.
        click.echo(f"not kept: {error}", err=True)
        written = []
    if as_json:
        return
    for note in found.notes:
        click.echo(f"note:   {note}")
    if split == "test":
        click.echo("note:   the test split was read again, as you asked; what is chosen by this number is no longer tested by it")
    if written:
        click.echo(f"kept:   {', '.join(map(str, written))}")


def _train(
    run: "Run",
    out: Path | None,
    *,
    keep: Any,
    tensorboard: bool,
    distribute: Literal["data", "model"] | None,
    devices: int | None,
    backend: str | None,
) -> None:
    """Train a run and say what came of it."""
    import msgspec

    distribution = make_distribution(distribute, devices)
    if keep is not None:
        run = msgspec.structs.replace(run, keep=keep)
    folder = out or Path("runs") / run.name
    writer = None
    if tensorboard:
        from fvsearch.tensorboard import RunEventWriter

        writer = RunEventWriter(run, folder)
    set_backend(backend)
    from fvsearch.data import prepare_source
    from fvsearch.progress import watch_training
    from fvsearch.training.distribute import check_distribution
    from fvsearch.training.run import train_run

    if distribution is not None:
        check_distribution(distribution, run.arch, run.recipe)
    prepare_source(run.data, lambda activity: click.echo(activity, err=True))
    with watch_training(run) as show:

        def on_epoch(metrics: dict[str, float]) -> None:
            if writer is not None:
                writer(metrics)
            show(metrics)

        summary = train_run(run, folder, on_epoch, distribution)
    if writer is not None:
        writer.write()
    last, best = summary.last, summary.best
    click.echo(f"validation: top-1 {last.top1:.2%}, top-5 {last.top5:.2%}, loss {last.loss:.4f}")
    if best.epoch != last.epoch:
        click.echo(
            f"best:       top-1 {best.top1:.2%}, top-5 {best.top5:.2%}, loss {best.loss:.4f} after epoch {best.epoch + 1}, in best.npz"
        )
    if summary.test:
        score = summary.test
        of = "best epoch's model, " if run.keep == "best" else ""
        images = f"({of}{score.images} images, read once)"
        click.echo(f"test:       top-1 {score.top1:.2%}, top-5 {score.top5:.2%}, loss {score.loss:.4f} {images}")
    if summary.input_pace is not None:
        click.echo(f"images:     {summary.input_pace.describe()}")
    if summary.joules:
        from fvsearch.units import show_joules

        click.echo(f"energy:     {', '.join(f'{name} {show_joules(joules)}' for name, joules in summary.joules.items())}, of this start")
    for note in summary.notes:
        click.echo(f"note:       {note}")
    click.echo(f"curves:     {folder / 'curves.png'}")
    click.echo(f"model:      {summary.model}")
