"""What searches under test share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledgers import empty, fill
from scripted import SETTINGS, STUDY, ScriptedPool

from fvsearch.ledger import Ledger
from fvsearch.search import workers
from fvsearch.search.confirmations import Confirmation
from fvsearch.search.confirming import confirm
from fvsearch.search.loop import run_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import Study


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ledger]:
    def call(pool: ScriptedPool, study: Study = STUDY, settings: RunSettings = SETTINGS, **others: Any) -> Ledger:
        monkeypatch.setattr(workers, "make_pool", lambda *arguments, **options: pool)
        return run_study(study, tmp_path / "out", settings, **others)

    return call


@pytest.fixture
def small(tmp_path: Path) -> Ledger:
    """Its front are trials 1, 2, 3 and 9."""
    return fill(empty(tmp_path))


@pytest.fixture
def confirming(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Confirmation, ...]]:
    def call(pool: ScriptedPool, ledger: Ledger, seeds: int = 2, *arguments: Any, **others: Any) -> tuple[Confirmation, ...]:
        monkeypatch.setattr(workers, "make_pool", lambda *ignored, **options: pool)
        return confirm(ledger, RunSettings(backend="jax", workers=2), seeds, *arguments, **others)

    return call
