"""`--set KEY=VALUE`: read, and applied to what a TOML file holds."""

from collections.abc import Sequence
from typing import Any

from fvsearch.errors import ConfigError
from fvsearch.records import parse_toml, show_value


def apply_settings(content: dict[str, Any], settings: Sequence[str]) -> None:
    """Change nested tables by settings such as `recipe.epochs=5`.

    Raises:
        ConfigError: A setting does not read, or leads through what is no table.
    """
    for text in settings:
        apply(content, *read_setting(text))


def read_setting(text: str) -> tuple[str, Any]:
    """`recipe.epochs=5` -> ("recipe.epochs", 5); a value that is not TOML is a string."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not all(key.split(".")):
        raise ConfigError(f"a setting must read KEY=VALUE, such as recipe.epochs=5, but got {text!r}")
    try:
        return key, parse_toml(f"value = {value}", "a setting")["value"]
    except ConfigError:
        return key, value.strip()


def apply(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested dicts and lists; a table that is not there is made, so that its own law speaks."""
    *parents, last = key.split(".")
    place: Any = content
    for step in parents:
        place = _step(place, step, key) if isinstance(place, list) else place.setdefault(step, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"a setting's key must lead to a value, but {step!r} holds {show_value(place)} in {key}={show_value(value)}")
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _step(items: list[Any], step: str, key: str) -> Any:
    if not step.isdecimal() or int(step) >= len(items):
        raise ConfigError(f"a list's key must be an index from 0 to {len(items) - 1}, but got {step!r} in {key}")
    return items[int(step)]
