"""What searches under test share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import SETTINGS, STUDY, ScriptedPool

from fvsearch.ledger import Ledger
from fvsearch.search import workers
from fvsearch.search.loop import run_study
from fvsearch.search.workers import RunSettings
from fvsearch.study import Study


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ledger]:
    def call(pool: ScriptedPool, study: Study = STUDY, settings: RunSettings = SETTINGS, **others: Any) -> Ledger:
        monkeypatch.setattr(workers, "make_pool", lambda *arguments, **options: pool)
        return run_study(study, tmp_path / "out", settings, **others)

    return call
