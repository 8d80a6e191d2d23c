"""What ships, and where a name leads."""

import os
from pathlib import Path
from typing import Any, Literal

from fvsearch.errors import ConfigError
from fvsearch.records import read_toml, show_value, suggest

Kind = Literal["spaces", "studies", "transfers", "recipes"]
"""Transfer studies lie beside the other studies, and are told from them by what they hold."""

FOLDERS: dict[Kind, str] = {"spaces": "spaces", "studies": "studies", "transfers": "studies", "recipes": "recipes"}
SINGULAR = {"spaces": "space", "studies": "study", "recipes": "recipe"}

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(kind: Kind) -> dict[str, Path]:
    """The TOML files that ship, by name."""
    found = files(FOLDERS[kind])
    if FOLDERS[kind] != "studies":
        return found
    return {name: path for name, path in found.items() if has_phases(read_toml(path)) == (kind == "transfers")}


def files(folder: str) -> dict[str, Path]:
    """All TOML files of a folder that ships, by name."""
    # Recipes lie inside the package. A wheel holds the others there too; in a checkout they lie beside it.
    home = next((path for path in (_PACKAGE / folder, _PACKAGE.parent / folder) if path.is_dir()), None)
    return {path.stem: path for path in sorted(home.glob("*.toml"))} if home else {}


def has_phases(content: dict[str, Any]) -> bool:
    """Whether a study's content is a transfer study's."""
    return "pretraining" in content


def locate(kind: Kind, source: str, beside: Path | None, place: str = "") -> Path:
    """The file that a name or a path means.

    Args:
        kind: Of what.
        source: A name of what ships, or a path.
        beside: Folder that a relative path starts from.
        place: Where the name stands, for the error: " at recipe in my.toml".

    Raises:
        ConfigError: There is none.
    """
    folder = FOLDERS[kind]
    known = files(folder)
    if source in known:
        return known[source]
    path = (beside or Path()) / source
    if os.path.isfile(path):  # also of what can be no path
        return path
    if source.endswith(".toml"):
        raise ConfigError(f"no file {path}{place}")
    raise ConfigError(
        f"no {SINGULAR[folder]} {show_value(source)}{suggest(source[:100], known)}; "
        f"give a name of `fvsearch list {folder}` or a TOML file{place}"
    )
