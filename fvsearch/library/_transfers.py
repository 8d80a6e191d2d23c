"""Transfer studies: by name or path, with settings on top, every name in them resolved."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fvsearch.library._archs import resolved_arch
from fvsearch.library._files import files, has_phases, locate
from fvsearch.library._recipes import resolve_recipe
from fvsearch.library._settings import apply, read_setting
from fvsearch.records import from_builtins, read_toml
from fvsearch.study.transfer import TransferStudy

PHASES = ("pretraining", "finetuning")


def is_transfer(source: str) -> bool:
    """Whether a name or a path is a transfer study's; no other says so, and what is none at all is for `load_study` to refuse.

    Raises:
        ConfigError: A file that is not TOML.
    """
    path = files("studies").get(source, Path(source))
    return os.path.isfile(path) and has_phases(read_toml(path))


def load_transfer(source: str, settings: Sequence[str] = ()) -> TransferStudy:
    """A transfer study by shipped name or path, with settings on top; what its fine-tuning does not say of the data is the pre-training's.

    Args:
        source: A name such as "transfer-shapes", or a path to a TOML file.
        settings: `key=value`, as for `load_study`: `seeds=5`, `finetuning.recipe.epochs=3`.

    Raises:
        ConfigError: There is none, a setting does not read, or a law is broken.
    """
    path = locate("transfers", source, None)
    content = read_toml(path)
    changes = [read_setting(text) for text in settings]
    of_recipes = {phase: [change for change in changes if change[0].startswith(f"{phase}.recipe")] for phase in PHASES}
    for change in changes:
        if not any(change in recipes for recipes in of_recipes.values()):
            apply(content, *change)
    for phase, recipes in of_recipes.items():
        if isinstance(content.get(phase), dict):
            resolve_recipe(content[phase], path, [(key.removeprefix(f"{phase}."), value) for key, value in recipes])
    data = _table(content, "pretraining", "data")
    if isinstance(content.get("finetuning"), dict):
        content["finetuning"]["data"] = data | _table(content, "finetuning", "data")
    archs = content.get("archs")
    if isinstance(archs, dict):
        size = data.get("image_size")
        for name, value in archs.items():
            archs[name] = resolved_arch(value, f"archs.{name} in {path}", content.get("patch_size"), size)
    content.pop("patch_size", None)
    return from_builtins(content, TransferStudy, source=str(path))


def _table(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table at nested keys; an empty one where there is none, so that its own law speaks."""
    for key in keys:
        content = content[key] if isinstance(content.get(key), dict) else {}
    return content
