"""Which Keras backend to use, decided before keras is imported."""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path

from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.records import suggest

BACKENDS = ("jax", "tensorflow", "torch")


def choose_backend(wanted: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The backend to use: the one wanted, else KERAS_BACKEND, else the one Keras's config file names, else the first installed.

    The config file only prefers: Keras writes it with a default that may not be installed.

    Raises:
        ConfigError: An unknown backend is wanted.
        MissingBackendError: The one wanted, or every one, is not installed.
    """
    wanted = wanted or environment.get("KERAS_BACKEND")
    if wanted:
        if wanted not in BACKENDS:
            raise ConfigError(f"the backend must be one of {', '.join(BACKENDS)}, but got {wanted!r}{suggest(wanted, BACKENDS)}")
        if not is_installed(wanted):
            raise MissingBackendError(f'the backend {wanted} is not installed; `pip install "fvsearch[{wanted}]"` installs it')
        return wanted
    for backend in (_configured(environment), *BACKENDS):
        if backend in BACKENDS and is_installed(backend):
            return backend
    raise MissingBackendError('no backend is installed; `pip install "fvsearch[jax]"` (or [tensorflow], [torch]) installs one')


def is_installed(backend: str) -> bool:
    """Whether the backend's package can be found; it is not imported."""
    return importlib.util.find_spec(backend) is not None


def _configured(environment: Mapping[str, str]) -> str:
    """The backend of Keras's config file; empty without one."""
    folder = Path(environment.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        content = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("backend", "")) if isinstance(content, dict) else ""
