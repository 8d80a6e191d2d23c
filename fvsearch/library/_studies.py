"""Spaces and studies: by name or path, with settings on top, every name in them resolved."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fvsearch.archs.arch import NAMED_ARCHS
from fvsearch.archs.space import Space
from fvsearch.errors import ConfigError
from fvsearch.library._archs import resolved_arch
from fvsearch.library._files import has_phases, locate
from fvsearch.library._recipes import resolve_recipe
from fvsearch.library._settings import apply, read_setting
from fvsearch.records import from_builtins, read_toml, to_builtins
from fvsearch.study import Study


def load_space(source: str, beside: Path | None = None) -> Space:
    """A space by shipped name or path.

    Args:
        source: A name such as "quickstart", or a path to a TOML file.
        beside: Folder that a relative path starts from.

    Raises:
        ConfigError: There is none, or it breaks a law.
    """
    path = locate("spaces", source, beside)
    return from_builtins(read_toml(path), Space, source=str(path))


def load_study(source: str, settings: Sequence[str] = ()) -> Study:
    """A study by shipped name or path, with settings on top, every name in it resolved.

    Args:
        source: A name such as "quickstart", or a path to a TOML file.
        settings: `key=value` with a dotted key and a TOML value: `recipe.epochs=5`, `space.stages.0.depth=[2, 4]`.

    Raises:
        ConfigError: There is none, it is a space, a setting does not read, or a law is broken.
    """
    path = locate("studies", source, None)
    content = read_toml(path)
    if "stages" in content:
        raise ConfigError(
            f'{path} is a space, and a study is wanted, which says also what is trained and how: write one with `space = "{path.stem}"`, '
            "as those of `fvsearch list studies` do"
        )
    if has_phases(content):
        raise ConfigError(f"{path} is a transfer study, which trains all that it names, and a study that searches a space is wanted here")
    changes = [read_setting(text) for text in settings]
    # The data first: a space's rules count tokens at its image size.
    first = [(key, value) for key, value in changes if key == "space" or key.partition(".")[0] == "data"]
    for key, value in first:
        apply(content, key, value)
    if isinstance(content.get("space"), str):
        content["space"] = _named_space(content["space"], path.parent, content.get("data"))
    recipe = [(key, value) for key, value in changes if key.partition(".")[0] == "recipe"]
    for key, value in changes:
        if (key, value) not in (*first, *recipe):
            apply(content, key, value)
    resolve_recipe(content, path, recipe)
    _fill_image_size(content.get("space"), content.get("data"))
    _resolve_archs(content, path)
    return from_builtins(content, Study, source=str(path))


def _named_space(source: str, beside: Path, data: Any) -> dict[str, Any]:
    """The table of a space that a study names, checked as it will be used."""
    path = locate("spaces", source, beside)
    table = read_toml(path)
    # What the space's file says is for the space by itself.
    if isinstance(rules := table.get("rules"), dict):
        rules.pop("image_size", None)
    _fill_image_size(table, data)
    checked: dict[str, Any] = to_builtins(from_builtins(table, Space, source=str(path)))
    return checked


def _fill_image_size(space: Any, data: Any) -> None:
    """Where a space's rules count tokens and do not say at which image size, it is the data's."""
    rules = space.get("rules") if isinstance(space, dict) else None
    if isinstance(rules, dict) and "min_tokens" in rules and isinstance(data, dict) and "image_size" in data:
        rules.setdefault("image_size", data["image_size"])


def _resolve_archs(content: dict[str, Any], path: Path) -> None:
    """Turn the study's baseline and the archs that it lists from layouts and names into tables."""
    data = content.get("data")
    image_size = data.get("image_size") if isinstance(data, dict) else None
    space = content.get("space")
    patch_size = space.get("patch_size", 16) if isinstance(space, dict) else None
    baseline = content.get("baseline")
    if patch_size is None and isinstance(baseline, str) and baseline in NAMED_ARCHS:
        patch_size = NAMED_ARCHS[baseline].patch_size

    def resolve(value: Any, place: str) -> Any:
        return resolved_arch(value, f"{place} in {path}", patch_size, image_size)

    if baseline is not None:
        content["baseline"] = resolve(baseline, "baseline")
    for table, key in (("engine", "archs"), ("engine", "warm_start"), ("confirm", "archs")):
        holder = content.get(table)
        listed = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(listed, list):
            holder[key] = [resolve(value, f"{table}.{key}[{index}]") for index, value in enumerate(listed)]
