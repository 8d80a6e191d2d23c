"""What all tests share: a backend, hypothesis's profile, and which tests every backend runs.

The suite runs once a backend, as KERAS_BACKEND says (`nox -s tests`). Tests of packages that run a backend, and those marked
`every_backend`, take part each time; the others carry the mark `once` and stay out of all runs but jax's (`-m "not once"`).
"""

import importlib.util
import os
from pathlib import Path

import hypothesis
import pytest

from fvsearch.training.environment import set_environment

os.environ.setdefault("KERAS_BACKEND", "jax")

# Two processes of tests share two cores: one thread each, and none that spins while it waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
set_environment()

# What this user has calibrated is no part of a test.
os.environ["FVSEARCH_CALIBRATIONS"] = str(Path(__file__).parent / "no-calibrations")

ABOVE_THE_KERAS_LINE = {"models", "training", "weights", "meters"}
HERE = Path(__file__).parent

# Needs Chromium and its driver, which `nox -s report` brings.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]

# No deadline: two cores under load would break it, and a first call compiles. In CI the same examples each time.
hypothesis.settings.register_profile("fvsearch", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("fvsearch")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "once: set by conftest on tests that no backend changes; they run with jax alone")


@pytest.hookimpl(tryfirst=True)  # before -m looks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("soak")])
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    for item in items:
        above = item.path.relative_to(HERE).parts[0] in ABOVE_THE_KERAS_LINE or item.get_closest_marker("every_backend")
        if not above or item.get_closest_marker("cross_backend"):
            item.add_marker("once")
