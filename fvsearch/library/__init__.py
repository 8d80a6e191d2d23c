"""Finds spaces, studies, recipes and archs by what a user types: a shipped name, a path, or, for an arch, a layout."""

from fvsearch.library._archs import load_arch, resolved_arch
from fvsearch.library._files import Kind, shipped
from fvsearch.library._recipes import load_recipe, resolve_recipe
from fvsearch.library._settings import apply_settings
from fvsearch.library._studies import load_space, load_study
from fvsearch.library._transfers import is_transfer, load_transfer

__all__ = [
    "Kind",
    "apply_settings",
    "is_transfer",
    "load_arch",
    "load_recipe",
    "load_space",
    "load_study",
    "load_transfer",
    "resolve_recipe",
    "resolved_arch",
    "shipped",
]
