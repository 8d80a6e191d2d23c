"""A user's own data set: a Python function named "package.module:function".

It is called with data.options as keyword arguments, and returns (images, labels), which are then split, or a mapping of splits:
{"train": (images, labels), "test": (images, labels)}, with or without "validation". Its module may lie in the current directory.

A study that somebody sent names what is run here. It may not name what is on every machine: the standard library, and libraries that
fvsearch itself needs, some of whose functions run a command or unpickle a file.
"""

import ast
import functools
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from fvsearch.data.arrays import ArrayPair, check_pair
from fvsearch.errors import ConfigError
from fvsearch.records import suggest
from fvsearch.study import Data

SPLITS = ("train", "validation", "test")


def check_function(data: Data) -> None:
    """The law that the function exists, told from the module's source: neither it nor its package is imported.

    Raises:
        ConfigError: No such module, or no such function in it, or it is nobody's own.
    """
    module, function = data.source.split(":")
    _require_own(data.source)
    spec = _find(module)
    names = _names_in(spec)
    if names is not None and function not in names:
        raise ConfigError(_no_function(module, function, names, spec.origin))


def read_function(data: Data) -> ArrayPair | dict[str, ArrayPair]:
    """What the function returns, checked: all images, or splits by name.

    Raises:
        ConfigError: No such function, it fails, or what it returns breaks a law.
    """
    found = _call(_load(data.source), data)
    if not isinstance(found, Mapping):
        return check_pair(found, data, data.source)
    unknown = set(found) - set(SPLITS)
    if unknown or not {"train", "test"} <= set(found):
        raise ConfigError(
            f'a mapping of splits must have the keys "train" and "test", and may have "validation", '
            f"but got {sorted(map(str, found))} from {data.source}"
        )
    return {name: check_pair(pair, data, f"{data.source}, split {name!r}") for name, pair in found.items()}


def _call(function: Callable[..., Any], data: Data) -> Any:
    """The function's answer to the options."""
    try:
        inspect.signature(function).bind(**data.options)
    except TypeError as error:
        raise ConfigError(f"{data.source} must take the options {sorted(data.options)}, but {error} at data.options") from None
    try:
        return function(**data.options)
    except Exception as error:
        raise ConfigError(f"{data.source} must return images and labels, but it raised {type(error).__name__}: {error}") from error


def _load(source: str) -> Callable[..., Any]:
    """Import the function."""
    module, name = source.split(":")
    _require_own(source)
    spec = _find(module)
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        raise ConfigError(f"the module of {source} must import, but it raised {type(error).__name__}: {error}") from error
    function = getattr(loaded, name, None)
    if not callable(function):
        raise ConfigError(_no_function(module, name, vars(loaded), spec.origin))
    return function


def _require_own(source: str) -> None:
    """The law that a function is a user's, and none that comes with Python or with us.

    Raises:
        ConfigError: It does not hold.
    """
    package = source.partition(":")[0].partition(".")[0]
    if package in sys.stdlib_module_names:
        owner = "Python's own library"
    elif _distributions().get(package, set()) & _ours():
        owner = "a library that fvsearch uses"
    else:
        return
    raise ConfigError(
        f"the data source must be a function of yours, but {package!r} is {owner} at data.source={source!r}; one in a module of "
        "yours may call it"
    )


@functools.cache
def _distributions() -> dict[str, set[str]]:
    """Of each package that is installed, the names of the distributions that bring it."""
    return {package: set(map(_plain, names)) for package, names in importlib.metadata.packages_distributions().items()}


@functools.cache
def _ours() -> frozenset[str]:
    """The names of all distributions that fvsearch needs, with any of its extras, and of all that those need."""
    found: set[str] = set()
    wanted = {"fvsearch"}
    while wanted:
        name = wanted.pop()
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        # Of others' extras nothing is installed for our sake.
        kept = [need for need in needs if name == "fvsearch" or "extra ==" not in need]
        wanted |= {_plain(re.match(r"[\w.-]+", need)[0]) for need in kept} - found  # type: ignore[index]
    return frozenset(found)


def _plain(name: str) -> str:
    """A distribution's name, however it is spelt."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_module(name: str) -> bool:
    """Whether Python finds a module or package of this name, the current directory included; it is not imported."""
    try:
        _find(name)
    except ConfigError:
        return False
    return True


def _find(module: str) -> ModuleSpec:
    """The module's spec; no package on the way to it is imported, for a user's package may import a backend.

    Raises:
        ConfigError: There is none.
    """
    _look_in_current_directory()
    importlib.invalidate_caches()
    path: Iterable[str] | None = None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = _spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            known = [found.name for found in pkgutil.iter_modules(path if path is not None else [str(Path.cwd())])]
            within = f"the package {'.'.join(parts[:depth])!r}" if depth else f"Python's path or {Path.cwd()}"
            raise ConfigError(
                f"the data source must name a module that Python finds, but there is no {parts[depth]!r} in {within}"
                f"{suggest(parts[depth], known)} at data.source={module!r}"
            )
        path = spec.submodule_search_locations or ()
    assert spec is not None
    return spec


def _spec(name: str, path: Iterable[str] | None) -> ModuleSpec | None:
    if path is None and name in sys.builtin_module_names:
        return None
    if path is not None:
        # By its last name: under its whole one a folder without __init__.py asks for its parent's module, and that is not imported.
        return PathFinder.find_spec(name.rpartition(".")[2], list(path))
    specs = (finder.find_spec(name, None, None) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def _look_in_current_directory() -> None:
    """A console script's path lacks the current directory; last, so that it hides no installed module."""
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))


def _names_in(spec: ModuleSpec) -> set[str] | None:
    """Names a module defines at its top level, read from its source; None where that does not tell."""
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError) as error:
        raise ConfigError(f"the data source's module must be readable Python, but {spec.origin} is not: {error}") from None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return None if {"*", "__getattr__"} & names else names


def _no_function(module: str, function: str, names: Iterable[str], origin: str | None) -> str:
    near = suggest(function, (name for name in names if not name.startswith("_")))
    return f"the data source must name a function of the module {module!r}, but {origin or module} has no {function!r}{near}"
