"""Architecture search for Funnel Vision Transformers under a memory and throughput budget.

The public names, each imported from its module at first use (PEP 562): `import fvsearch` itself imports nothing, so that the command
line can set KERAS_BACKEND before anything imports keras.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvsearch.archs.arch import Arch, Stage, named_arch
    from fvsearch.archs.layout import format_layout, parse_layout
    from fvsearch.archs.space import Space, StageSpace
    from fvsearch.costs.formula import predict
    from fvsearch.engines.front.sampler import FrontSampler
    from fvsearch.errors import ConfigError, FvsearchError
    from fvsearch.hypermodel import FunnelHyperModel
    from fvsearch.ledger import Ledger
    from fvsearch.library import load_space, load_study
    from fvsearch.models import build_model
    from fvsearch.pareto import front
    from fvsearch.search.loop import run_study
    from fvsearch.search.workers import RunSettings
    from fvsearch.study import Data, Objective, Proposer, Study
    from fvsearch.study.budgets import Budget
    from fvsearch.study.recipe import Recipe

__version__ = "0.1.0"

__all__ = [
    "Arch",
    "Budget",
    "ConfigError",
    "Data",
    "FrontSampler",
    "FunnelHyperModel",
    "FvsearchError",
    "Ledger",
    "Objective",
    "Proposer",
    "Recipe",
    "RunSettings",
    "Space",
    "Stage",
    "StageSpace",
    "Study",
    "build_model",
    "format_layout",
    "front",
    "load_space",
    "load_study",
    "named_arch",
    "parse_layout",
    "predict",
    "run_study",
]

_HOMES = {
    "Arch": "archs.arch",
    "Budget": "study.budgets",
    "ConfigError": "errors",
    "Data": "study",
    "FrontSampler": "engines.front.sampler",
    "FunnelHyperModel": "hypermodel",
    "FvsearchError": "errors",
    "Ledger": "ledger",
    "Objective": "study",
    "Proposer": "study",
    "Recipe": "study.recipe",
    "RunSettings": "search.workers",
    "Space": "archs.space",
    "Stage": "archs.arch",
    "StageSpace": "archs.space",
    "Study": "study",
    "build_model": "models",
    "format_layout": "archs.layout",
    "front": "pareto",
    "load_space": "library",
    "load_study": "library",
    "named_arch": "archs.arch",
    "parse_layout": "archs.layout",
    "predict": "costs.formula",
    "run_study": "search.loop",
}


def __getattr__(name: str) -> Any:
    """The public name, from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fvsearch' has no attribute {name!r}")
    value = getattr(import_module(f"fvsearch.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
