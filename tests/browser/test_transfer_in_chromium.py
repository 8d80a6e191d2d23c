"""The page of a transfer study, drawn."""

from pathlib import Path
from typing import Any

import pytest
from transfers import STUDY, ScriptedPool

from fvsearch.report.transferred import summarise_transfer
from fvsearch.report.transferred_view import write_transfer_report
from fvsearch.search import workers
from fvsearch.search.transferring import run_transfer
from fvsearch.search.workers import RunSettings


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workers, "make_pool", lambda *ignored, **options: ScriptedPool())
    run_transfer(STUDY, tmp_path / "out", RunSettings(backend="jax", workers=2))
    return write_transfer_report(summarise_transfer(tmp_path / "out"), tmp_path / "out")


def test_it_draws_every_way_and_loads_nothing(open_report: Any, page: Path) -> None:
    opened = open_report(page)
    opened.page.wait_for_load_state("networkidle")
    assert (opened.requests, opened.complaints) == ([], [])
    # Three ways beside the first, two of them published.
    assert opened.ask("document.querySelectorAll('#plot-differences .scatterlayer .point').length") == 3 + 2
    assert opened.ask("document.querySelectorAll('#plot-curves .scatterlayer .trace').length") == 4
    assert opened.page.locator("#ways tbody tr").count() == 4
