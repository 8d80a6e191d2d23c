"""Finds spaces, studies and archs by what a user types: a shipped name, a path, or, for an arch, a layout."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fvsearch.arch import NAMED_ARCHS, Arch
from fvsearch.errors import ConfigError
from fvsearch.layout import is_layout, parse_layout
from fvsearch.records import from_builtins, read_toml, suggest, to_builtins
from fvsearch.space import Space
from fvsearch.study import Study

Kind = Literal["spaces", "studies"]

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: Kind) -> dict[str, Path]:
    """The TOML files that ship, by name."""
    # A wheel holds them inside the package; in a checkout they lie beside it.
    folder = next((path for path in (_PACKAGE / kind, _PACKAGE.parent / kind) if path.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def load_space(source: str, beside: Path | None = None) -> Space:
    """A space by shipped name or path.

    Args:
        source: A name such as "quickstart", or a path to a TOML file.
        beside: Folder that a relative path starts from.

    Raises:
        ConfigError: There is none, or it breaks a law.
    """
    path = _locate("spaces", source, beside)
    return from_builtins(read_toml(path), Space, source=str(path))


def load_study(source: str, settings: Sequence[str] = ()) -> Study:
    """A study by shipped name or path, with settings on top, every name in it resolved.

    Args:
        source: A name such as "quickstart", or a path to a TOML file.
        settings: `key=value` with a dotted key and a TOML value: `recipe.epochs=5`, `space.stages.0.depth=[2, 4]`.

    Raises:
        ConfigError: There is none, it is a space, a setting does not read, or a law is broken.
    """
    path = _locate("studies", source, None)
    content = read_toml(path)
    if "stages" in content:
        raise ConfigError(
            f'{path} is a space, and a study is wanted, which says also what is trained and how: write one with `space = "{path.stem}"`, '
            "as those of `fvsearch list studies` do"
        )
    changes = [_read_setting(text) for text in settings]
    # The data first: a space's rules count tokens at its image size.
    first = [(key, value) for key, value in changes if key == "space" or key.partition(".")[0] == "data"]
    for key, value in first:
        _apply(content, key, value)
    if isinstance(content.get("space"), str):
        content["space"] = _named_space(content["space"], path.parent, content.get("data"))
    for key, value in changes:
        if (key, value) not in first:
            _apply(content, key, value)
    _fill_image_size(content.get("space"), content.get("data"))
    _resolve_archs(content, path)
    return from_builtins(content, Study, source=str(path))


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
    if path.suffix == ".toml" or path.is_file():
        return from_builtins(read_toml(path), Arch, source=source)
    raise ConfigError(
        f"no arch {source!r}{suggest(source, NAMED_ARCHS)}; "
        "give a layout such as 'B6(197)-6(99)', a name of `fvsearch list archs`, or a TOML file"
    )


def apply_settings(content: dict[str, Any], settings: Sequence[str]) -> None:
    """Change nested tables by settings such as `recipe.epochs=5`.

    Raises:
        ConfigError: A setting does not read, or leads through what is no table.
    """
    for text in settings:
        _apply(content, *_read_setting(text))


def _named_space(source: str, beside: Path, data: Any) -> dict[str, Any]:
    """The table of a space that a study names, checked as it will be used."""
    path = _locate("spaces", source, beside)
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


def _locate(kind: Kind, source: str, beside: Path | None) -> Path:
    known = shipped(kind)
    if source in known:
        return known[source]
    path = (beside or Path()) / source
    if path.is_file():
        return path
    if source.endswith(".toml"):
        raise ConfigError(f"no file {path}")
    singular = "study" if kind == "studies" else "space"
    raise ConfigError(f"no {singular} {source!r}{suggest(source, known)}; give a name of `fvsearch list {kind}` or a TOML file")


def _read_setting(text: str) -> tuple[str, Any]:
    """`recipe.epochs=5` -> ("recipe.epochs", 5); a value that is not TOML is a string."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not all(key.split(".")):
        raise ConfigError(f"a setting must read KEY=VALUE, such as recipe.epochs=5, but got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def _apply(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested dicts and lists; a table that is not there is made, so that its own law speaks."""
    *parents, last = key.split(".")
    place: Any = content
    for step in parents:
        place = _step(place, step, key) if isinstance(place, list) else place.setdefault(step, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"a setting's key must lead to a value, but {step!r} holds {place!r} in {key}={value!r}")
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _step(items: list[Any], step: str, key: str) -> Any:
    if not step.isdecimal() or int(step) >= len(items):
        raise ConfigError(f"a list's key must be an index from 0 to {len(items) - 1}, but got {step!r} in {key}")
    return items[int(step)]


def _resolve_archs(content: dict[str, Any], path: Path) -> None:
    """Turn the study's baseline and the archs that it lists from layouts and names into tables."""
    data = content.get("data")
    image_size = data.get("image_size") if isinstance(data, dict) else None
    size = tuple(image_size) if isinstance(image_size, list) else image_size
    space = content.get("space")
    patch_size = space.get("patch_size", 16) if isinstance(space, dict) else None
    baseline = content.get("baseline")
    if patch_size is None and isinstance(baseline, str) and baseline in NAMED_ARCHS:
        patch_size = NAMED_ARCHS[baseline].patch_size

    def resolve(value: Any, place: str) -> Any:
        if not isinstance(value, str):
            return value
        if is_layout(value) and not (isinstance(patch_size, int) and isinstance(size, int | tuple)):
            raise ConfigError(
                "a layout needs one patch size (of the space, or of a named baseline) and `data.image_size`, "
                f"but got {value!r} at {place} in {path}"
            )
        try:
            return to_builtins(load_arch(value, patch_size=patch_size or 16, image_size=size or 224))
        except ConfigError as error:
            raise type(error)(f"{error} at {place} in {path}") from None

    if baseline is not None:
        content["baseline"] = resolve(baseline, "baseline")
    for table, key in (("engine", "archs"), ("engine", "warm_start"), ("confirm", "archs")):
        holder = content.get(table)
        listed = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(listed, list):
            holder[key] = [resolve(value, f"{table}.{key}[{index}]") for index, value in enumerate(listed)]
