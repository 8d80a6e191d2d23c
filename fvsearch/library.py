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
from fvsearch.transfer_study import TransferStudy

Kind = Literal["spaces", "studies", "transfers"]
"""Transfer studies lie beside the others, and are told from them by what they hold."""

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: Kind) -> dict[str, Path]:
    """The TOML files that ship, by name."""
    if kind == "spaces":
        return _files("spaces")
    return {name: path for name, path in _files("studies").items() if _has_phases(read_toml(path)) == (kind == "transfers")}


def _files(folder: str) -> dict[str, Path]:
    # A wheel holds them inside the package; in a checkout they lie beside it.
    home = next((path for path in (_PACKAGE / folder, _PACKAGE.parent / folder) if path.is_dir()), None)
    return {path.stem: path for path in sorted(home.glob("*.toml"))} if home else {}


def _has_phases(content: dict[str, Any]) -> bool:
    return "pretraining" in content


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
    if _has_phases(content):
        raise ConfigError(f"{path} is a transfer study, which trains all that it names, and a study that searches a space is wanted here")
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


def is_transfer(source: str) -> bool:
    """Whether a name or a path is a transfer study's; no other says so, and what is none at all is for `load_study` to refuse.

    Raises:
        ConfigError: A file that is not TOML.
    """
    path = _files("studies").get(source, Path(source))
    return path.is_file() and _has_phases(read_toml(path))


def load_transfer(source: str, settings: Sequence[str] = ()) -> TransferStudy:
    """A transfer study by shipped name or path, with settings on top; what its fine-tuning does not say of the data is the pre-training's.

    Args:
        source: A name such as "transfer-shapes", or a path to a TOML file.
        settings: `key=value`, as for `load_study`: `seeds=5`, `finetuning.recipe.epochs=3`.

    Raises:
        ConfigError: There is none, a setting does not read, or a law is broken.
    """
    path = _locate("transfers", source, None)
    content = read_toml(path)
    for text in settings:
        _apply(content, *_read_setting(text))
    data = _table(content, "pretraining", "data")
    if isinstance(content.get("finetuning"), dict):
        content["finetuning"]["data"] = data | _table(content, "finetuning", "data")
    archs = content.get("archs")
    if isinstance(archs, dict):
        size = data.get("image_size")
        for name, value in archs.items():
            archs[name] = _resolved_arch(value, f"archs.{name} in {path}", content.get("patch_size"), size)
    content.pop("patch_size", None)
    return from_builtins(content, TransferStudy, source=str(path))


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
    known = _files("spaces" if kind == "spaces" else "studies")
    if source in known:
        return known[source]
    path = (beside or Path()) / source
    if path.is_file():
        return path
    if source.endswith(".toml"):
        raise ConfigError(f"no file {path}")
    what, listed = ("space", "spaces") if kind == "spaces" else ("study", "studies")
    raise ConfigError(f"no {what} {source!r}{suggest(source, known)}; give a name of `fvsearch list {listed}` or a TOML file")


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
    space = content.get("space")
    patch_size = space.get("patch_size", 16) if isinstance(space, dict) else None
    baseline = content.get("baseline")
    if patch_size is None and isinstance(baseline, str) and baseline in NAMED_ARCHS:
        patch_size = NAMED_ARCHS[baseline].patch_size

    def resolve(value: Any, place: str) -> Any:
        return _resolved_arch(value, f"{place} in {path}", patch_size, image_size)

    if baseline is not None:
        content["baseline"] = resolve(baseline, "baseline")
    for table, key in (("engine", "archs"), ("engine", "warm_start"), ("confirm", "archs")):
        holder = content.get(table)
        listed = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(listed, list):
            holder[key] = [resolve(value, f"{table}.{key}[{index}]") for index, value in enumerate(listed)]


def _resolved_arch(value: Any, place: str, patch_size: Any, image_size: Any) -> Any:
    """An arch's table from its layout or its name; a table as it is."""
    if not isinstance(value, str):
        return value
    size = tuple(image_size) if isinstance(image_size, list) else image_size
    if is_layout(value) and not (isinstance(patch_size, int) and isinstance(size, int | tuple)):
        raise ConfigError(
            f"a layout needs one patch size (of the space, or of a named baseline) and `data.image_size`, but got {value!r} at {place}"
        )
    try:
        return to_builtins(load_arch(value, patch_size=patch_size or 16, image_size=size or 224))
    except ConfigError as error:
        raise type(error)(f"{error} at {place}") from None


def _table(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table at nested keys; an empty one where there is none, so that its own law speaks."""
    for key in keys:
        content = content[key] if isinstance(content.get(key), dict) else {}
    return content
