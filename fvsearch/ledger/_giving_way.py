"""A study that never trained an epoch gives way to another in its folder: a mistake in its definition is mended in place."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fvsearch.errors import ConfigError
from fvsearch.ledger.address import LEDGER_FILE, STUDY_FILE
from fvsearch.ledger.sameness import difference
from fvsearch.records import from_toml
from fvsearch.study import Study

if TYPE_CHECKING:
    from fvsearch.ledger import Ledger


def make_room(folder: Path, study: Study, connect: Callable[[Study], "Ledger"]) -> None:
    """Remove the study in a folder that is another and never trained an epoch.

    Args:
        folder: Of the study.
        study: That is to have it.
        connect: Opens the folder's ledger, of the study that it is of.

    Raises:
        ConfigError: The study there is another, and was trained.
    """
    path = folder / STUDY_FILE
    if not path.exists():
        return
    before = from_toml(path, Study)
    if not (found := difference(before, study)):
        return
    if not _is_blank(folder, before, connect):
        raise ConfigError(f"{folder} holds another study: {found}; give another folder with --out")
    (folder / LEDGER_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / "trials", ignore_errors=True)


def _is_blank(folder: Path, study: Study, connect: Callable[[Study], "Ledger"]) -> bool:
    if any((folder / "trials").glob("*/*/metrics.jsonl")):
        return False
    if not (folder / LEDGER_FILE).exists():
        return True
    with contextlib.closing(connect(study)) as ledger:
        return all(record.state == "running" and not record.repeats for record in ledger.trials())
