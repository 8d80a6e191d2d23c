"""The quickstart with other settings, read as from a study file."""

from typing import Any

from fvsearch.library import load_study
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study import Study


def changed(**changes: Any) -> Study:
    """The quickstart with dotted keys set (`__` for the dot)."""
    content = to_builtins(load_study("quickstart"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for step in parents:
            place = place.setdefault(step, {})
        place[last] = value
    return from_builtins(content, Study)
