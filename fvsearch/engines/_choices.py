"""A param's choice by its index, which is what Optuna and KerasTuner are shown: both take True and 1 for the same."""

from collections.abc import Mapping

from fvsearch.archs.space import Param
from fvsearch.errors import ConfigError
from fvsearch.records import suggest

Domains = Mapping[str, tuple[Param, ...]]


def choice_indices(domains: Domains, params: Mapping[str, Param]) -> tuple[int, ...]:
    """The index of each param's choice, in the order of the domains.

    Raises:
        ConfigError: The params are not of these domains.
    """
    for path in params:
        if path not in domains:
            raise ConfigError(f"unknown param {path!r}{suggest(path, domains)}")
    indices = []
    for path, choices in domains.items():
        if path not in params:
            raise ConfigError(f"the param {path!r} is missing; an engine is told every param that it searches")
        if params[path] not in choices:
            raise ConfigError(f"a param must be one of {list(choices)}, but got {params[path]!r} at {path}")
        indices.append(choices.index(params[path]))
    return tuple(indices)


def chosen(domains: Domains, indices: tuple[int, ...]) -> dict[str, Param]:
    """The params that the indices name."""
    return {path: choices[index] for (path, choices), index in zip(domains.items(), indices, strict=True)}
