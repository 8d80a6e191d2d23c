"""What the commands share: the backend's option, and how a table or a document is printed."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import click

if TYPE_CHECKING:
    from fvsearch.search.workers import RunSettings
    from fvsearch.training.distribute import Distribution

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

Where = Literal["local", "ray", "inline"]
"""Of `--pool`."""

F = TypeVar("F", bound=Callable[..., Any])


def backend_option(command: F) -> F:
    """`--backend`, which wins over KERAS_BACKEND."""
    return click.option("--backend", metavar="NAME", help="jax, tensorflow or torch; else KERAS_BACKEND, else the one installed.")(command)


_OF_A_POOL = (
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Trainings at a time. [default: one for every GPU, else for every core, two at most; on a Ray cluster as many as fit]",
    ),
    click.option(
        "--pool",
        type=click.Choice(get_args(Where)),
        default="local",
        show_default=True,
        help="local: processes on this machine; ray: on a Ray cluster's; inline: in this process, to debug.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Of the cluster's head. [default: RAY_ADDRESS, else the cluster on this machine, else a new one]",
    ),
)


def pool_options(command: F) -> F:
    """`--workers`, `--pool` and `--ray-address`, which `make_run_settings` takes."""
    for option in reversed(_OF_A_POOL):
        command = option(command)
    return command


def timeout_option(command: F) -> F:
    """`--trial-timeout`, which `make_run_settings` takes."""
    return click.option("--trial-timeout", metavar="T", help="Give up a training that takes longer than this, or hangs: 90s, 20m, 8h.")(
        command
    )


def distribution_options(command: F) -> F:
    """`--distribute` and `--devices`; `make_distribution` makes of them what a training takes."""
    for option in (
        click.option("--devices", type=click.IntRange(2), help="How many to distribute over. [default: all accelerators]"),
        click.option(
            "--distribute",
            type=click.Choice(["data", "model"]),
            help="Train on several devices of this machine: each takes its share of every batch (data), or of every layer (model, jax).",
        ),
    ):
        command = option(command)
    return command


def make_distribution(distribute: Literal["data", "model"] | None, devices: int | None) -> "Distribution | None":
    """What the two options say; nothing where there is one device."""
    from fvsearch.errors import ConfigError
    from fvsearch.training.distribute import Distribution

    if distribute is not None:
        return Distribution(shared=distribute, devices=devices)
    if devices is not None:
        raise ConfigError(f"--devices needs --distribute, but got --devices {devices} alone; add --distribute data")
    return None


_OF_A_STEP = (
    click.option("--image-size", type=click.IntRange(1), default=224, show_default=True, help="Pixels per image edge."),
    click.option("--channels", type=click.IntRange(1), default=3, show_default=True, help="Of an image."),
    click.option("--classes", type=click.IntRange(2), default=1000, show_default=True, help="Of the head."),
    click.option("--patch-size", type=click.IntRange(1), default=16, show_default=True, help="Of a layout, which does not say it."),
    click.option("--dtype", default="float32", show_default=True, help="float32 or mixed_bfloat16."),
)


def step_options(command: F) -> F:
    """What a step is of, where no study says it: images, classes, patches, dtype."""
    for option in reversed(_OF_A_STEP):
        command = option(command)
    return command


def seconds_option(default: float, each: str) -> Callable[[F], F]:
    """`--seconds`, of measuring each of what is measured: "arch", say."""
    return click.option(
        "--seconds",
        type=click.FloatRange(0, min_open=True),
        default=default,
        show_default=True,
        help=f"Measure no longer than this per {each}, once compiled; a median with an interval may need more.",
    )


def set_backend(wanted: str | None) -> str:
    """Choose the backend, and tell Keras before it is imported."""
    from fvsearch.backend import choose_backend

    os.environ["KERAS_BACKEND"] = choose_backend(wanted)
    return os.environ["KERAS_BACKEND"]


def make_run_settings(
    backend: str | None,
    workers: int | None,
    pool: Where,
    ray_address: str | None,
    resources: Mapping[str, float],
    trial_timeout: str | None = None,
    **others: Any,
) -> "RunSettings":
    """How a study's trainings are run, by the options of its command; the backend is chosen, and Keras told.

    Args:
        resources: That the study gives each worker of a Ray cluster.
    """
    from fvsearch.search.workers import RunSettings
    from fvsearch.units import parse_duration

    if ray_address is not None and pool != "ray":
        raise click.UsageError(f"--ray-address is for --pool ray, but got it with --pool {pool}.")
    return RunSettings(
        backend=set_backend(backend),
        workers=workers or _num_workers(pool, ray_address, resources),
        pool=pool,
        ray_address=ray_address,
        trial_timeout=parse_duration(trial_timeout) if trial_timeout else None,
        command=" ".join(["fvsearch", *(_without_password(argument) for argument in sys.argv[1:])]),
        **others,
    )


def _num_workers(pool: str, ray_address: str | None, resources: Mapping[str, float]) -> int:
    """As many as there is room for."""
    if pool == "ray":
        from fvsearch.pools import count_places

        return count_places(resources, ray_address)
    if pool == "inline":
        return 1
    from fvsearch.training.gpus import visible_gpus

    return len(visible_gpus()) or min(2, os.cpu_count() or 1)


def shared_settings(storage: str | None, heartbeat: str | None, lease: str | None) -> dict[str, Any]:
    """What the options about a shared ledger say, as RunSettings' fields.

    Raises:
        ConfigError: They are no URL, no durations, or a lease that is too short for its heartbeat.
    """
    from fvsearch.ledger.address import VARIABLE, Address
    from fvsearch.ledger.crew import HEARTBEAT, LEASE, Lease
    from fvsearch.units import parse_duration

    terms = Lease(heartbeat=parse_duration(heartbeat) if heartbeat else HEARTBEAT, length=parse_duration(lease) if lease else LEASE)
    if not storage:
        return {"lease": terms}
    address = Address(storage)
    # The folder keeps no password, and what this process does later opens the folder.
    os.environ[VARIABLE] = storage
    if address.has_password and any(storage in argument for argument in sys.argv):
        click.echo(f"note: others on this machine see a password on a command line; {VARIABLE}, PGPASSWORD or ~/.pgpass hide it", err=True)
    return {"storage": address, "lease": terms}


def _without_password(argument: str) -> str:
    """An argument of the command line, as it may be kept."""
    if "://" not in argument:
        return argument
    from fvsearch.errors import ConfigError
    from fvsearch.ledger import Address

    option, _, url = argument.rpartition("=") if argument.startswith("--storage=") else ("", "", argument)
    try:
        return f"{option}={Address(url).shown}" if option else Address(url).shown
    except ConfigError:
        return argument


def print_renderable(renderable: Any) -> None:
    """Print what rich can render, as wide as the terminal."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        # There is no width to fit: let no column be cut.
        console.width = 200
    console.print(renderable)


def echo_json(document: Any) -> None:
    """Print one JSON document."""
    import json

    click.echo(json.dumps(document, indent=2))
