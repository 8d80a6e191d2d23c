"""environment.json: on what a run was trained, one entry for each time that it was started or gone on with."""

import datetime
import importlib.metadata
import platform
from pathlib import Path

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.records import Record, from_json
from fvsearch.training.environment import num_cores

ENVIRONMENT_FILE = "environment.json"


class Started(Record, frozen=True, kw_only=True):
    """One start of a training.

    Attributes:
        started: When, in UTC.
        from_epoch: Epochs done before.
        command: That started the process.
        backend, device: That it trains on.
        cores: Of the processor, that the process may use.
        python, system: Their versions.
        packages: The version of every installed package, by name.
    """

    started: str
    from_epoch: int
    command: str
    backend: str
    device: str
    cores: int
    python: str
    system: str
    packages: dict[str, str]


class Environment(Record, frozen=True, kw_only=True):
    """All starts of a training, the first first."""

    starts: tuple[Started, ...] = ()

    @property
    def begun(self) -> datetime.datetime | None:
        """When the training was first started."""
        return datetime.datetime.fromisoformat(self.starts[0].started) if self.starts else None


def read_environment(folder: Path) -> Environment:
    """What a run's folder tells of its starts; none where the file is not there, or broken."""
    try:
        environment: Environment = from_json(folder / ENVIRONMENT_FILE, Environment)
        return environment
    except ConfigError:
        return Environment()


def add_start(folder: Path, from_epoch: int, command: str) -> None:
    """Note that this process begins, or goes on, to train: a training that is begun leaves the starts of an earlier one behind.

    Args:
        folder: Of the run.
        from_epoch: Epochs done before.
        command: That the user gave; this process may be one that it started.
    """
    earlier = read_environment(folder).starts if from_epoch else ()
    found = Environment(starts=(*earlier, _this_process(from_epoch, command)))
    write_atomically(folder / ENVIRONMENT_FILE, msgspec.json.format(msgspec.json.encode(found)))


def _this_process(from_epoch: int, command: str) -> Started:
    import keras

    from fvsearch.training.device import device_name

    # What pip left of an interrupted installation has no name.
    packages = {name: found.version for found in importlib.metadata.distributions() if (name := found.metadata["Name"])}
    return Started(
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        from_epoch=from_epoch,
        command=command,
        backend=keras.backend.backend(),
        device=device_name(),
        cores=num_cores(),
        python=platform.python_version(),
        system=platform.platform(),
        packages=dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    )
