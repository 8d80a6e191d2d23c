"""Summaries and pages of the small study, made once."""

from pathlib import Path

import pytest
from ledgers import empty, fill

from fvsearch.ledger import Ledger
from fvsearch.report.numbers import Summary, summarise
from fvsearch.report.page import render


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The small study's ledger; to be read only."""
    folder: Path = tmp_path_factory.mktemp("small")
    return fill(empty(folder))


@pytest.fixture(scope="session")
def summary(small: Ledger) -> Summary:
    return summarise(small)


@pytest.fixture(scope="session")
def page(summary: Summary) -> str:
    return render(summary)
