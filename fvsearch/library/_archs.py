"""Archs by layout, by name, or from a file."""

import os
from pathlib import Path
from typing import Any

from fvsearch.archs.arch import NAMED_ARCHS, Arch
from fvsearch.archs.layout import is_layout, parse_layout
from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins, read_toml, show_value, suggest, to_builtins


def load_arch(source: str, *, patch_size: int = 16, image_size: int | tuple[int, int] = 224) -> Arch:
    """An arch by layout, by name, or from a TOML file.

    Args:
        source: `"B6(197)-6(99)"`, `"vit-b16"` or `"my/arch.toml"`.
        patch_size: Of a layout, which does not say it.
        image_size: That a layout's token counts are checked against.

    Raises:
        ConfigError: It is none of these, or breaks a law.
    """
    if source in NAMED_ARCHS:
        return NAMED_ARCHS[source]
    if is_layout(source):
        return parse_layout(source, patch_size=patch_size, image_size=image_size)
    path = Path(source)
    if path.suffix == ".toml" or os.path.isfile(path):
        return from_builtins(read_toml(path), Arch, source=source)
    raise ConfigError(
        f"no arch {show_value(source)}{suggest(source[:100], NAMED_ARCHS)}; "
        "give a layout such as 'B6(197)-6(99)', a name of `fvsearch list archs`, or a TOML file"
    )


def resolved_arch(value: Any, place: str, patch_size: Any, image_size: Any) -> Any:
    """An arch's table from its layout or its name; a table as it is."""
    if not isinstance(value, str):
        return value
    size = tuple(image_size) if isinstance(image_size, list) else image_size
    sizes = [patch_size, *(size if isinstance(size, tuple) and len(size) == 2 else [size])]
    if is_layout(value) and not all(isinstance(edge, int) and edge > 0 for edge in sizes):
        raise ConfigError(
            f"a layout needs one `patch_size` (the space's in a search, else beside it) and `data.image_size`, but got {value!r} at {place}"
        )
    try:
        return to_builtins(load_arch(value, patch_size=patch_size or 16, image_size=size or 224))
    except ConfigError as error:
        raise type(error)(f"{error} at {place}") from None
