"""Commands about one arch, or about what ships: no study is needed."""

from typing import Any

import click

from fvsearch.cli.common import echo_json, print_renderable, step_options


@click.command("list")
@click.argument("kind", type=click.Choice(["spaces", "studies", "recipes", "archs"]), required=False)
def list_(kind: str | None) -> None:
    """List the spaces, studies, recipes and archs that ship, one line each."""
    from fvsearch.archs.arch import NAMED_ARCHS
    from fvsearch.library import load_recipe, load_space, load_study, load_transfer, shipped
    from fvsearch.units import show_count

    if kind in (None, "studies"):
        for name in shipped("studies"):
            study = load_study(name)
            click.echo(f"study  {name:<20} {study.description} ({study.trials} trials on {study.data.source})")
        for name in shipped("transfers"):
            transfer = load_transfer(name)
            click.echo(f"study  {name:<20} {transfer.description} ({transfer.num_runs} trainings on {transfer.pretraining.data.source})")
    if kind in (None, "spaces"):
        for name in shipped("spaces"):
            space = load_space(name)
            click.echo(f"space  {name:<20} {space.description} ({show_count(space.size())} archs)")
    if kind in (None, "recipes"):
        for name in shipped("recipes"):
            recipe = load_recipe(name)
            click.echo(
                f"recipe {name:<20} {recipe.optimizer}, learning rate {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}, "
                f"{recipe.epochs:,} epochs, batch {recipe.batch_size:,}"
            )
    if kind in (None, "archs"):
        for name, arch in NAMED_ARCHS.items():
            stage = arch.stages[0]
            click.echo(
                f"arch   {name:<20} depth {stage.depth}, width {stage.width}, mlp_dim {stage.mlp_dim}, num_heads {stage.num_heads}, "
                f"patch_size {arch.patch_size}"
            )


@click.command()
@click.argument("arch")
@click.option("--against", metavar="ARCH", help="Compare with this arch.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images per step.")
@step_options
@click.option("--phase", default="training", show_default=True, help="training or inference.")
@click.option("--optimizer", default="adamw", show_default=True, help="adamw or sgd (with momentum); it has memory of its own.")
@click.option("--attention", default="kept", show_default=True, help="kept, or fused where a device keeps no attention scores.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cost(arch: str, against: str | None, image_size: int, patch_size: int, as_json: bool, **settings: Any) -> None:
    """Predict what ARCH costs: parameters, macs, memory. By formula: no model is built.

    ARCH is a layout such as "B6(197)-6(99)", a name such as vit-b16, or a TOML file.
    """
    from fvsearch.report.cost import cost_document, cost_table

    document = cost_document(arch, against, image_size=image_size, patch_size=patch_size, **settings)
    if as_json:
        echo_json(document)
    else:
        print_renderable(cost_table(document))
