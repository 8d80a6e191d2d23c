"""The law that trials of one ledger are of one study."""

from collections.abc import Mapping
from typing import Any

from fvsearch.records import to_builtins
from fvsearch.study import Study

MAY_CHANGE = ("trials", "description", "confirm", "resources")
"""Of a study that has trials."""


def difference(old: Study, new: Study) -> str:
    """Where two definitions differ so that their trials do not belong together, in a clause; empty where they do not."""
    before, after = _flat(to_builtins(old)), _flat(to_builtins(new))
    for path in sorted(before.keys() | after.keys()):
        if path.partition(".")[0] not in MAY_CHANGE and before.get(path) != after.get(path):
            return f"{path} is {before.get(path)!r} there and {after.get(path)!r} now"
    return ""


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """{"recipe": {"epochs": 5}} -> {"recipe.epochs": 5}."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, Mapping):
        return {path: value}
    return {inner: item for key, child in value.items() for inner, item in _flat(child, f"{path}.{key}" if path else str(key)).items()}
