"""The tables of trained archs, read: benchmarks/tables/NAME.jsonl, which benchmarks/tables/make.py makes of NAME.toml."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvsearch import load_study
from fvsearch.archs.arch import Arch
from fvsearch.study import Study

FOLDER = Path(__file__).parent / "tables"

TABLES = ("digits", "shapes")
"""By name. The engine `front` was made with the first at hand, the second is held out."""


class Table(NamedTuple):
    """Archs and what became of them.

    Attributes:
        study: That the archs are of.
        archs: Each once.
        top1: (archs, repeats) after the last epoch.
        memory: (archs,) bytes of a step as measured.
        provenance: What each run of the maker was made with.
    """

    study: Study
    archs: list[Arch]
    top1: NDArray[np.float64]
    memory: NDArray[np.float64]
    provenance: list[dict[str, Any]]

    @property
    def noise(self) -> float:
        """Standard deviation between trainings of one arch that differ in their seed."""
        return float(np.sqrt(self.top1.var(axis=1, ddof=1).mean()))

    @property
    def spread(self) -> float:
        """Standard deviation between archs, the noise of their seeds taken off."""
        return float(np.sqrt(self.top1.mean(axis=1).var(ddof=1) - self.noise**2 / self.top1.shape[1]))


def read_table(name: str) -> Table:
    """A table, those archs left out that were trained less often than others."""
    study = load_study(str(FOLDER / f"{name}.toml"))
    assert study.space is not None
    space = study.space
    lines = [json.loads(line) for line in table_path(name).read_text().splitlines()]
    rows = [line for line in lines if "arch" in line]
    repeats = 1 + max(row["repeat"] for row in rows)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["arch"], []).append(row)
    whole = [sorted(trained, key=lambda row: row["repeat"]) for trained in found.values() if len(trained) == repeats]
    return Table(
        study=study,
        archs=[space.arch(trained[0]["params"]) for trained in whole],
        top1=np.array([[row["top1"][-1] for row in trained] for trained in whole]),
        memory=np.array([trained[0]["measured"]["memory"] for trained in whole]),
        provenance=[line["provenance"] for line in lines if "provenance" in line],
    )


def table_path(name: str) -> Path:
    """Where a table is."""
    return FOLDER / f"{name}.jsonl"
