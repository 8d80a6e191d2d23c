"""Keeps `fvsearch.__init__` honest: few names, each lazy, each there, each documented."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fvsearch

SOURCE = Path(fvsearch.__file__).read_text(encoding="utf-8")


def names_for_type_checkers() -> dict[str, str]:
    """Name -> module, of the imports in the TYPE_CHECKING block."""
    block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_all_is_sorted_and_short() -> None:
    assert list(fvsearch.__all__) == sorted(set(fvsearch.__all__))
    assert len(fvsearch.__all__) <= 25


def test_type_checkers_are_told_the_same_names_from_the_same_modules() -> None:
    assert names_for_type_checkers() == {name: f"fvsearch.{module}" for name, module in fvsearch._HOMES.items()}
    assert set(fvsearch._HOMES) == set(fvsearch.__all__)


@pytest.mark.parametrize("name", fvsearch.__all__)
def test_a_public_name_is_defined_where_it_is_said_to_be_and_documented(name: str) -> None:
    value = getattr(fvsearch, name)
    home = f"fvsearch.{fvsearch._HOMES[name]}"
    assert value is getattr(importlib.import_module(home), name)
    assert f"{value.__module__}.".startswith(f"{home}.")
    assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Architecture'"):
        fvsearch.Architecture  # noqa: B018


def test_dir_lists_the_public_names_before_any_is_used() -> None:
    code = "import fvsearch; print(set(fvsearch.__all__) <= set(dir(fvsearch)), 'fvsearch.archs.arch' in __import__('sys').modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]
