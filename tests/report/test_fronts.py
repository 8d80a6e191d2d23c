"""The front on terminals of every width."""

import io
from pathlib import Path

import pytest
from confirmations import enter
from ledgers import empty, fill
from rich.console import Console
from whole import whole

from fvsearch.ledger import Ledger
from fvsearch.report.tables import front_table


def lines(ledger: Ledger, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(front_table(ledger))
    return captured.get().splitlines()


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return enter(fill(empty(tmp_path_factory.mktemp("confirmed"))))


@pytest.mark.parametrize("width", [80, 90, 120, 160, 250])
def test_a_confirmed_front_is_a_table_whose_numbers_are_whole(width: int, confirmed: Ledger) -> None:
    shown = lines(confirmed, width)
    assert max(map(len, shown)) <= width
    (row,) = (line for line in shown if "97.0%" in line and "93.5%" in line)
    for number in ("93.5% ± 2.5% (3)", "8.00 MiB (0.80x)", "2,300 (1.15x)"):
        assert number in row


def test_at_80_columns_a_layout_has_a_line_of_its_own(confirmed: Ledger) -> None:
    assert "    B2(17, h48, m128, a3)-2(9, h48, m96, a3) best, luck: ties with 9" in [line.rstrip() for line in lines(confirmed, 80)]


@pytest.mark.parametrize("width", [30, 60, 80])
def test_where_no_table_fits_each_trial_is_a_paragraph(width: int, tmp_path: Path) -> None:
    shown = lines(whole(tmp_path), width)
    assert max(map(len, shown)) <= width
    text = " ".join(" ".join(shown).split())
    assert "3 (best, luck: ties with 9): B2(17, h48, m128, a3)-2(9, h48, m96, a3); validation top-1 97.0%; multiply-adds 1.20 M" in text
