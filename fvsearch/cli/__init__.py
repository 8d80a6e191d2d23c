"""The command line: parses, sets KERAS_BACKEND, then imports the one thing it runs.

A module holds the commands of one thing: archs, this device, studies, runs, weights.
"""

import os
import signal
import sys
from types import FrameType

import click

from fvsearch.cli import archs, devices, runs, studies, weights
from fvsearch.cli.common import INTERRUPTED
from fvsearch.errors import FvsearchError
from fvsearch.files import no_room
from fvsearch.records import plain_text


class Terminated(KeyboardInterrupt):
    """A signal that ends a program came; it is as good as a Ctrl-C: stop the workers, keep what is there.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> None:
    """Run the command line; an error is one sentence, a traceback comes only with --debug."""
    debug = "--debug" in sys.argv
    for number in (signal.SIGTERM, signal.SIGHUP):  # a scheduler's, and a terminal's that closes
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's choice stands
            signal.signal(number, _terminate)
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FvsearchError as error:
        if debug:
            raise
        click.echo(f"error: {plain_text(str(error))}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        click.echo("stopped; the same command goes on from here", err=True)
        # click makes an Abort of it.
        cause = error.__cause__ if isinstance(error, click.exceptions.Abort) else error
        sys.exit(128 + cause.number if isinstance(cause, Terminated) else INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left; there is no one to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        click.echo(plain_text(f"error: {no_room(error) or f'{type(error).__name__}: {error}; --debug shows where'}"), err=True)
        sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="fvsearch")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def cli(debug: bool) -> None:
    """Architecture search for Funnel Vision Transformers, within a memory and throughput budget."""


for _command in (
    archs.list_,
    archs.cost,
    devices.measure,
    devices.calibrate,
    studies.run,
    studies.confirm,
    studies.status,
    studies.front,
    studies.report,
    studies.compare,
    studies.export,
    runs.train,
    runs.finetune,
    runs.evaluate,
    weights.import_,
    weights.convert,
):
    cli.add_command(_command)
