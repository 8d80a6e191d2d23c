"""What `fvsearch status` and `fvsearch front` print."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ledgers import TRIALS, empty, fill, write_metrics
from rich.console import Console

from fvsearch.ledger import Ledger
from fvsearch.report import tables
from fvsearch.search.watching import Progress, kept


def text(renderable: Any, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_status_tells_counts_best_and_time(small: Ledger) -> None:
    shown = text(tables.status_table(small))
    assert "12 of 16 ended: 4 front, 4 dominated, 3 infeasible, 1 failed, 1 unfinished" in shown
    assert "trial 3, B2(17, h48, m128, a3)-2(9, h48, m96, a3): 97.0% validation top-1" in shown
    assert "1 min 30 s in 2 starts; 2 min 20 s on the device" in shown


def test_status_tells_a_running_trials_epoch(tmp_path: Path) -> None:
    write_metrics(tmp_path, 1, 0, 0.5, 0.625)
    ledger = fill(empty(tmp_path), (TRIALS[0], TRIALS[11]))
    shown = text(tables.status_table(ledger))
    assert "2 of 5" in shown
    assert "62.5%" in shown
    (running,) = tables.status_document(ledger)["running"]
    assert (running["number"], running["epochs"], running["of"], running["latest"]) == (1, 2, 5, 0.625)


def test_status_of_a_search_that_works_tells_what_it_tells(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), (TRIALS[0], TRIALS[11]))
    told = Progress(activity="searching", done=1, total=16, refused=34, hypervolume=0.125, seconds_left=3700.0, feasible="12 of 99 archs")
    kept(tmp_path, lambda progress: None)(told)
    shown = text(tables.status_table(ledger))
    for said in ("searching", "1 running", "34 refused before training", "0.125", "12 of 99 archs", "about 1 h 01 min left"):
        assert said in shown
    document = json.loads(json.dumps(tables.status_document(ledger)))
    assert (document["alive"], document["activity"], document["refused"], document["hypervolume"]) == (True, "searching", 34, 0.125)


def test_status_of_a_killed_search_tells_what_resuming_does(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), (TRIALS[0], TRIALS[11]))
    said = "interrupted: `fvsearch run small` goes on with trial 1 from the start, starts 14 more and measures the front"
    assert said in text(tables.status_table(ledger))
    assert tables.status_document(ledger)["next"] == said


def test_status_of_an_empty_study_is_a_sentence(tmp_path: Path) -> None:
    assert "No trial has started yet." in text(tables.status_table(empty(tmp_path)))


def test_the_status_document_is_json(small: Ledger) -> None:
    document = json.loads(json.dumps(tables.status_document(small)))
    assert document["counts"]["front"] == 4
    assert document["trials"] == 16
    assert document["best"]["number"] == 3
    assert document["picks"]["knee"] == 2


def test_the_front_table_has_predicted_and_measured_side_by_side(small: Ledger) -> None:
    lines = [line for line in text(tables.front_table(small)).splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert [row[0] for row in cells] == ["3", "2", "9", "1", "0"]
    assert cells[0][2:] == ["97.0%", "8.10 MiB (0.81x)", "8.00 MiB (0.80x)", "2,400 (1.20x)", "2,300 (1.15x)", "best"]
    assert cells[3][-1] == "fastest, smallest"
    assert cells[4][-1] == "baseline, dominated"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_width_cuts_a_number_of_the_front(width: int, small: Ledger) -> None:
    lines = text(tables.front_table(small), width).splitlines()
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    for number in ("97.0%", "8.00 MiB", "0.80x", "2,300", "1.15x"):
        assert number in shown
    if width >= 80:
        for number in ("8.00 MiB (0.80x)", "2,300 (1.15x)", "8.10 MiB", "2,400"):
            assert number in shown
    assert "…" not in shown


def test_brackets_in_a_folders_name_are_no_markup(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]x[/bold]"
    assert "[bold]x[/bold]" in text(tables.status_table(fill(empty(folder), TRIALS[:1]))).replace("\n", "")


def test_the_front_of_an_empty_study_is_a_sentence(tmp_path: Path) -> None:
    assert text(tables.front_table(empty(tmp_path))).strip() == "No trial has started yet."
    assert tables.front_csv(empty(tmp_path)) == "trial,layout\n"
    assert not tables.front_document(empty(tmp_path))["front"]


def test_the_csv_reads_back_unrounded(small: Ledger) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.front_csv(small))))
    assert [row["trial"] for row in rows] == ["3", "2", "9", "1"]
    assert rows[0]["layout"] == "B2(17, h48, m128, a3)-2(9, h48, m96, a3)"
    assert float(rows[0]["memory_predicted"]) == 8.1 * 2**20
    assert float(rows[0]["throughput_low"]) == 2280
    assert rows[3]["picks"] == "fastest smallest"
    assert None not in rows[0]


def test_the_front_document_is_the_summary(small: Ledger) -> None:
    document = json.loads(json.dumps(tables.front_document(small)))
    assert [row["number"] for row in document["front"]] == [3, 2, 9, 1]
    assert document["facts"]["seed"] == 7
