"""What the commands share: the backend's option, and how a table or a document is printed."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

F = TypeVar("F", bound=Callable[..., Any])


def backend_option(command: F) -> F:
    """`--backend`, which wins over KERAS_BACKEND."""
    return click.option("--backend", metavar="NAME", help="jax, tensorflow or torch; else KERAS_BACKEND, else the one installed.")(command)


def set_backend(wanted: str | None) -> str:
    """Choose the backend, and tell Keras before it is imported."""
    from fvsearch.backend import choose_backend

    os.environ["KERAS_BACKEND"] = choose_backend(wanted)
    return os.environ["KERAS_BACKEND"]


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
