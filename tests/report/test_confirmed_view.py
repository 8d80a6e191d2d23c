"""How a confirmed front reads: in the page, on the terminal, in front.json and as CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from confirmations import FRESH, enter, fresh
from ledgers import arch, empty, fill
from rich.console import Console

from fvsearch.ledger import Ledger
from fvsearch.report import confirmed_view, tables, words
from fvsearch.report.numbers import Summary, summarise
from fvsearch.report.page import render


def text(renderable: Any, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The small study, its front trained again."""
    return enter(fill(empty(tmp_path_factory.mktemp("again"))))


@pytest.fixture(scope="module")
def summary(again: Ledger) -> Summary:
    return summarise(again)


def test_the_sentence_counts_both_kinds_of_luck_and_the_flattery(summary: Summary) -> None:
    expected = (
        "As far as fresh seeds tell, 2 of 4 front points were luck: 1 no longer on the front by fresh seeds and 1 tied with a cheaper one."
    )
    assert words.luck(summary) == f"{expected} The search saw its front 1.9 points better than fresh seeds do, on average."


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({3: (0.97, 0.971, 0.969)}, ["none of 1 front point was luck. The search saw its front 0.0 points"]),
        ({0: (0.95, 0.96)}, ["No point of the front has been trained again."]),
        ({3: (0.98, 0.99), 2: (None,)}, ["its front 1.5 points worse than fresh seeds do, on average.", "Without a fresh value: trial "]),
    ],
)
def test_the_sentence_fits_every_state(values: dict[int, tuple[float, ...]], expected: list[str], tmp_path: Path) -> None:
    said = words.luck(summarise(enter(fill(empty(tmp_path)), values)))
    assert [part for part in expected if part not in said] == []


@pytest.mark.parametrize(("values", "few"), [((0.96,), True), ((0.96, 0.95), True), ((0.96, 0.95, 0.94), False)])
def test_few_fresh_seeds_are_said_to_tell_little(values: tuple[float, ...], few: bool, tmp_path: Path) -> None:
    said = words.luck(summarise(enter(fill(empty(tmp_path)), {3: values})))
    assert ("fewer than 3, nearly everything ties" in said) == few


def test_without_fresh_seeds_nothing_is_said(small: Ledger) -> None:
    before = summarise(small)
    assert (before.confirmed, words.luck(before), confirmed_view.lines(before)) == (None, "", [])
    assert not confirmed_view.figure(before).data
    assert "fresh" not in text(tables.front_table(small))
    assert "fresh_top1" not in tables.front_csv(small)
    assert 'id="confirmed"' not in render(before)


def test_the_bill_counts_fresh_trainings(summary: Summary) -> None:
    assert summary.bill.confirmation == 150.0
    assert summary.bill.total == 290.0


def test_the_page_has_a_table_and_a_figure(summary: Summary) -> None:
    page = render(summary)
    assert words.luck(summary) in page
    table = page[page.index('<table id="confirmed"') :].partition("</table>")[0]
    assert table.count("<tr class=") == 5
    assert "luck: ties with trial 9, which is cheaper" in table
    assert "luck: no longer on the front" in table
    assert '91.0%</strong><span class="interval">88.5% \N{EN DASH} 93.5%' in table
    assert 'id="plot-confirmed"' in page
    assert "trained again with fresh seeds</span>" in page, "in the bill"


def test_the_figure_shows_means_intervals_and_what_the_search_saw(summary: Summary) -> None:
    named = {trace.name: trace for trace in confirmed_view.figure(summary).data if trace.name}
    assert set(named) == {"as the search saw it", "front, kept", "front, luck", "others"}
    for name, at in {"front, kept": {4.0: 0.9, 5.5: 0.93}, "front, luck": {6.0: 0.91, 8.0: 0.935}}.items():
        assert dict(zip(named[name].x, named[name].y, strict=True)) == pytest.approx(at)
    assert named["front, luck"].error_y.array == pytest.approx([0.0248414, 0.0248414], rel=1e-4)
    assert set(named["as the search saw it"].y) == {0.96, 0.90, 0.95, 0.97, 0.93}


def test_an_arch_that_failed_every_time_has_a_line_and_no_mark(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path))
    one = fresh(arch("B2(17, h64, m64, a4)"), None, 1)
    ledger.write(one.key, one)
    summary = summarise(ledger)
    (line,) = confirmed_view.lines(summary)
    assert (line["trial"], line["mean"], line["fresh_seeds"]) == (words.NONE, words.NONE, "0, 1 failed")
    assert 'id="plot-confirmed"' not in render(summary)


def test_the_front_table_has_a_column_of_fresh_means(again: Ledger) -> None:
    shown = text(tables.front_table(again), width=240)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if line.startswith("│")]
    assert [row[3] for row in rows] == ["93.5% ± 2.5% (3)", "91.0% ± 2.5% (3)", "93.0% ± 2.5% (3)", "90.0% ± 2.5% (3)", "96.0% ± 2.5% (3)"]
    assert [row[-1] for row in rows][:2] == ["best, luck: ties with 9", "knee, luck"]
    assert "2 of 4 front points were luck" in " ".join(shown.split())
    narrow = text(tables.front_table(again), width=100)
    assert "93.5% ± 2.5% (3)" in narrow


def test_json_and_csv_carry_it(again: Ledger) -> None:
    document = json.loads(json.dumps(tables.front_document(again)))["confirmed"]
    assert (document["dropped"], document["tied"], document["front"]) == ([2], [3], [3, 9, 1, 0])
    rows = {row["trial"]: row for row in csv.DictReader(io.StringIO(tables.front_csv(again)))}
    assert (rows["2"]["verdict"], rows["2"]["fresh_seeds"]) == ("dropped", "3")
    assert float(rows["2"]["fresh_top1"]) == pytest.approx(sum(FRESH[2]) / 3)
    assert float(rows["2"]["fresh_low"]) < 0.91 < float(rows["2"]["fresh_high"])
