"""The table of trained archs, read: benchmarks/tables/NAME.jsonl, which benchmarks/tables/make.py makes."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvsearch import load_study
from fvsearch.arch import Arch
from fvsearch.study import Study

FOLDER = Path(__file__).parent / "table"
TABLE = FOLDER / "table.jsonl"


class Table(NamedTuple):
    """Archs and what became of them.

    Attributes:
        archs: Each once.
        top1: (archs, repeats) after the last epoch.
        memory: (archs,) bytes of a step as measured.
        provenance: What each run of the maker was made with.
    """

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


def table_study() -> Study:
    """The study that the table's archs are of."""
    return load_study(str(FOLDER / "study.toml"))


def read_table(path: Path = TABLE) -> Table:
    """The table, those archs left out that were trained less often than others."""
    space = table_study().space
    assert space is not None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [line for line in lines if "arch" in line]
    repeats = 1 + max(row["repeat"] for row in rows)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["arch"], []).append(row)
    whole = [sorted(trained, key=lambda row: row["repeat"]) for trained in found.values() if len(trained) == repeats]
    return Table(
        archs=[space.arch(trained[0]["params"]) for trained in whole],
        top1=np.array([[row["top1"][-1] for row in trained] for trained in whole]),
        memory=np.array([trained[0]["measured"]["memory"] for trained in whole]),
        provenance=[line["provenance"] for line in lines if "provenance" in line],
    )
