"""Recipes by name, and what a study or a run says on top of one."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fvsearch.errors import ConfigError
from fvsearch.library._files import locate
from fvsearch.library._settings import apply
from fvsearch.records import from_builtins, read_toml
from fvsearch.study.recipe import WARMUPS, Recipe


def load_recipe(source: str, beside: Path | None = None) -> Recipe:
    """A recipe by shipped name or path.

    Args:
        source: A name such as "vit-pretrain", or a path to a TOML file.
        beside: Folder that a relative path starts from.

    Raises:
        ConfigError: There is none, or it breaks a law.
    """
    path = locate("recipes", source, beside)
    return from_builtins(read_toml(path), Recipe, source=str(path))


def resolve_recipe(content: dict[str, Any], path: Path, settings: Sequence[tuple[str, Any]] = ()) -> None:
    """Put the recipe that a study's or a run's content names in its place, with what the content says itself on top.

    `recipe = "vit-pretrain"`, or a table with `base = "vit-pretrain"` and what is to differ from it.

    Args:
        content: Of the file.
        path: Of the file: a relative path to a recipe starts beside it.
        settings: Dotted keys and values that go on top of all: ("recipe.epochs", 5), ("recipe", "vit-finetune").

    Raises:
        ConfigError: The named recipe does not exist, or breaks a law.
    """
    layers = [content["recipe"]] if "recipe" in content else []
    for key, value in settings:
        layer: dict[str, Any] = {}
        apply(layer, key, value)
        layers = [*(layers if key != "recipe" else ()), layer["recipe"]]
    layers = [{"base": layer} if isinstance(layer, str) else layer for layer in layers]
    wrong = [layer for layer in layers if not isinstance(layer, dict)]
    if wrong or not layers:
        content |= {"recipe": wrong[0]} if wrong else {}
        return  # The law that a recipe is there, and a table, speaks for itself.
    table = functools.reduce(_on_top, layers)
    base = table.pop("base", None)
    if base is not None:
        if not isinstance(base, str):
            raise ConfigError(f"`base` must be a recipe's name or path, but got {base!r} at recipe in {path}")
        named = locate("recipes", base, path.parent, f" at recipe in {path}")
        found = read_toml(named)
        from_builtins(found, Recipe, source=str(named))  # Its faults are told at its own file.
        table = _on_top(found, table)
    content["recipe"] = table


def _on_top(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Two tables of a recipe as one: what the upper says holds, in tables of tables too."""
    gone = {key for key in WARMUPS if key in lower and any(other in upper for other in WARMUPS)}
    table = {key: value for key, value in lower.items() if key not in gone}
    for key, value in upper.items():
        below = table.get(key)
        table[key] = _on_top(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return table
