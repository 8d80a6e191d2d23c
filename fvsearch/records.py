"""What all records share: frozen msgspec structs, TOML in and out, and errors that say law, value and place."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fvsearch.errors import ConfigError

T = TypeVar("T")

NAME = r"[A-Za-z0-9][\w.-]{0,99}"
"""Of a study or a run, which names a folder too: none that leads out of it."""

INTEGERS = range(-(2**63), 2**63)
"""Those that TOML has."""

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal takes for more than text; a tab and the end of a line are none."""

SHOWN = 80
"""Characters of a value that an error repeats."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen record: its fields are its constructor's arguments and nothing derived. Subclasses say `kw_only=True` (not inherited)."""


def require_at_least(minimum: float, record: Record, *names: str) -> None:
    """The law that each named field is at least `minimum`.

    Raises:
        ConfigError: One is not.
    """
    for name in names:
        value = getattr(record, name)
        if value is not None and not value >= minimum:
            raise ConfigError(f"`{name}` must be at least {minimum}, but got {value}")


def require_at_most(maximum: float, record: Record, *names: str) -> None:
    """The law that each named field is at most `maximum`.

    Raises:
        ConfigError: One is not.
    """
    for name in names:
        value = getattr(record, name)
        if value is not None and not value <= maximum:
            raise ConfigError(f"`{name}` must be at most {maximum}, but got {value}")


def require_fraction(record: Record, *names: str) -> None:
    """The law that each named field lies in [0, 1).

    Raises:
        ConfigError: One does not.
    """
    for name in names:
        value = getattr(record, name)
        if value is not None and not 0 <= value < 1:
            raise ConfigError(f"`{name}` must be at least 0 and below 1, but got {value}")


def require_name(name: str) -> None:
    """The law that a name can be a folder's.

    Raises:
        ConfigError: It cannot.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"`name` must be letters, digits, '.', '_' and '-', 100 at most, for it names a folder, but got {show_value(name)}"
        )


def show_value(value: Any) -> str:
    """A value as an error repeats it: not all of it, where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def in_short(text: str, most: int = 2 * SHOWN) -> str:
    """In one line, and not all of it where it has more than so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the known word nearest to `word`, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def from_builtins(value: Any, kind: type[T], source: str = "") -> T:
    """A record from plain dicts, lists and scalars.

    Raises:
        ConfigError: An unknown key, a wrong type or a broken law; the message ends with the place, such as `at stages[1].width`.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), value, kind, source)) from None
    except RecursionError:
        raise ConfigError(f"tables and lists must not be nested so deep{f' in {source}' if source else ''}") from None


def from_toml(path: Path, kind: type[T]) -> T:
    """The record a TOML file holds.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or breaks a law.
    """
    return from_builtins(read_toml(path), kind, source=str(path))


def from_json(path: Path, kind: Any) -> Any:
    """What a JSON file holds, as a record or whatever else msgspec makes of this type.

    Raises:
        ConfigError: The file cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} does not hold what fvsearch wrote there: {in_short(str(error))}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain dicts.

    Raises:
        ConfigError: The file cannot be read or is not TOML.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return parse_toml(text, str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """TOML as plain dicts.

    Raises:
        ConfigError: It is none.
    """
    try:
        found = tomllib.loads(text)
        wide, control = _first_wide(found), _first_control(found)
    except RecursionError:
        raise ConfigError(f"tables and lists must not be nested so deep in {source}") from None
    except ValueError as error:  # a number of thousands of digits is Python's own error
        raise ConfigError(f"{source} is not TOML: {in_short(str(error))}") from None
    if wide is not None:
        raise ConfigError(f"an integer must fit 64 bits, but got {show_value(wide)} in {source}")
    if control is not None:
        raise ConfigError(f"a text must hold no control characters, but got {show_value(control)} in {source}")
    return found


def plain_text(value: Any) -> Any:
    """A plain value whose texts have no control characters: what others wrote may go to a terminal."""
    if isinstance(value, dict):
        return {plain_text(key): plain_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_text(item) for item in value]
    return CONTROLS.sub("", value) if isinstance(value, str) else value


def _first_control(value: Any) -> str | None:
    """The first text with a control character; none where all are plain."""
    if isinstance(value, dict):
        return next((found for pair in value.items() for item in pair if (found := _first_control(item)) is not None), None)
    if isinstance(value, list):
        return next((found for item in value if (found := _first_control(item)) is not None), None)
    return value if isinstance(value, str) and CONTROLS.search(value) else None


def _first_wide(value: Any) -> int | None:
    """The first integer that TOML has no room for; none where all fit."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return next((wide for item in inner if (wide := _first_wide(item)) is not None), None)
    return value if isinstance(value, int) and value not in INTEGERS else None


def to_builtins(record: Any) -> Any:
    """Plain dicts, lists and scalars, without fields that are None (TOML has no null)."""
    return _plain(msgspec.to_builtins(record))


def to_toml(record: Any) -> str:
    """The record as TOML text."""
    import tomli_w

    return tomli_w.dumps(to_builtins(record))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _explain(message: str, value: Any, kind: Any, source: str) -> str:
    """Turn msgspec's `Expected ... - at `$.stages[1]`` into our sentence."""
    law, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    unknown = re.match(r"Object contains unknown field `(.*)`", law)
    if unknown:
        fields = _fields_at(kind, path)
        law = f"unknown key `{in_short(unknown[1])}`{suggest(unknown[1][:SHOWN], fields)}"
        if fields and "did you mean" not in law:
            law += f"; the keys are {', '.join(sorted(fields))}"
    else:
        missing = re.match(r"Object missing required field `(.*)`", law)
        if missing:
            law = f"the key `{missing[1]}` is missing"
        elif law.startswith("Invalid enum value"):
            found, allowed = _value_at(value, path), _literals(_annotation_at(kind, path))
            law = f"the value must be one of {', '.join(map(str, allowed))}, but got {show_value(found)}"
            law += suggest(str(found)[:SHOWN], allowed)
        elif law.startswith(("Expected", "Invalid")):
            law = f"{law[0].lower()}{law[1:]}"
            found = _value_at(value, path)
            if found is not None and not isinstance(found, dict | list):
                law += f", but the value is {show_value(found)}"
    where = f" at {in_short(path)}" if path else ""
    return f"{law}{where}{f' in {source}' if source else ''}"


def _steps(path: str) -> list[str | int]:
    """`stages[1].width` -> ["stages", 1, "width"]."""
    return [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path) if name or index]


def _value_at(value: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _annotation_at(kind: Any, path: str) -> Any:
    """The type annotation that `path` leads to, starting from the type `kind`; steps into lists change nothing."""
    for step in _steps(path):
        if isinstance(step, str):
            kind = next((f.type for k in _struct_kinds(kind) for f in msgspec.structs.fields(k) if f.name == step), None)
    return kind


def _fields_at(kind: Any, path: str) -> list[str]:
    """Names of the fields of the record that `path` leads to."""
    return [field.encode_name for found in _struct_kinds(_annotation_at(kind, path)) for field in msgspec.structs.fields(found)]


def _struct_kinds(kind: Any) -> list[type[Record]]:
    """Every record type inside a type annotation: `tuple[Stage, ...]` -> [Stage]."""
    if isinstance(kind, type) and issubclass(kind, Record):
        return [kind]
    return [found for argument in getattr(kind, "__args__", ()) for found in _struct_kinds(argument)]


def _literals(kind: Any) -> list[str]:
    """Every string of the Literals inside a type annotation."""
    return [kind] if isinstance(kind, str) else [found for argument in getattr(kind, "__args__", ()) for found in _literals(argument)]
