"""What an import loads, asked of a fresh process: import-linter reads the source, this asks the interpreter."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BACKENDS = {"keras", "jax", "tensorflow", "torch"}
HEAVY = BACKENDS | {"numpy", "optuna", "pandas", "plotly", "scipy", "sklearn"}

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))


def floors() -> list[str]:
    """The package's modules from the top floor down, as import-linter is told them."""
    (contract,) = (contract for contract in PROJECT["tool"]["importlinter"]["contracts"] if contract["id"] == "floors")
    names = [name for layer in contract["layers"] for name in re.findall(r"\w+", layer)]
    return [name for name in names if importlib.util.find_spec(f"fvsearch.{name}")]


def with_submodules(name: str) -> list[str]:
    """A module, and all that is in it where it is a package, however deep; none of them is imported for that."""
    found = importlib.util.find_spec(f"fvsearch.{name}")
    if not found or not found.origin or not found.submodule_search_locations:
        return [name]
    folder = Path(found.origin).parent
    files = (file.parent if file.name == "__init__.py" else file.with_suffix("") for file in folder.rglob("*.py"))
    return sorted(".".join((name, *file.relative_to(folder).parts)) for file in files)


FLOORS = floors()
BELOW_THE_KERAS_LINE = [inner for name in FLOORS[FLOORS.index("meters") + 1 :] for inner in with_submodules(name)]
COORDINATOR = [name for name in FLOORS[: FLOORS.index("training")] if name not in ("testing", "explain", "hypermodel")]
# KerasTuner's oracles are the one exception: they import keras, once an engine of theirs is made.
WITHOUT_KERAS = [
    *(inner for name in COORDINATOR for inner in with_submodules(name) if not inner.startswith("engines._oracles")),
    "training.segment",
    "training.measuring",
]


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after `code`."""
    script = f"import sys\n{code}\nimport json; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_loaded_by_sees_a_heavy_import() -> None:
    assert "numpy" in loaded_by("import numpy.linalg")


def test_importing_the_package_loads_nothing_but_the_standard_library() -> None:
    assert loaded_by("import fvsearch") - set(sys.stdlib_module_names) <= loaded_by("") | {"fvsearch"}


@pytest.mark.parametrize("module", BELOW_THE_KERAS_LINE)
def test_below_the_keras_line_nothing_heavy_is_loaded(module: str) -> None:
    assert loaded_by(f"import fvsearch.{module}") & (HEAVY | {"rich", "click"}) == set()


@pytest.mark.parametrize("module", WITHOUT_KERAS)
def test_the_coordinator_and_its_readers_load_no_keras(module: str) -> None:
    assert loaded_by(f"import fvsearch.{module}") & BACKENDS == set()


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import fvsearch.cli") & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["cost", "vit-b16", "--json"]], ids=" ".join)
def test_a_light_command_loads_nothing_heavy(arguments: list[str]) -> None:
    call = "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    code = f"sys.argv[1:] = {arguments}\nfrom fvsearch.cli import main\n{call}"
    assert loaded_by(code) & HEAVY == set()
