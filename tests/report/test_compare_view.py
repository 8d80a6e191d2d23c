"""What `fvsearch compare` shows."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from confirmations import enter
from ledgers import STUDY, TRIALS, empty, fill
from rich.console import Console

from fvsearch.errors import ConfigError
from fvsearch.report import compare_view
from fvsearch.report.compare import Comparison, compare
from fvsearch.study.budgets import Budget


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("two")
    worse = tuple(msgspec.structs.replace(one, memory=(one.memory or 0) + 0.1) for one in TRIALS[1:4])
    tight = STUDY.with_settings(budget=Budget(memory="0.75x"))
    return compare(enter(fill(empty(folder / "[bold]a"))), fill(empty(folder / "<b>", tight), (TRIALS[0], *worse)))


def text(comparison: Comparison) -> str:
    console = Console(width=200, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(compare_view.compare_table(comparison))
    return captured.get()


def test_the_table_has_a_column_for_each_study(comparison: Comparison) -> None:
    rows = {}
    for line in text(comparison).splitlines():
        cells = [cell.strip() for cell in line.strip("│┃").split("│" if "│" in line else "┃")]
        rows[cells[0]] = cells[1:]
    assert rows[""] == ["[bold]a", "<b>"], "brackets in a folder's name are no markup"
    assert rows["trials ended"] == ["12", "4"]
    assert rows["on the front"] == ["4", "3"]
    assert rows["of these dominated by the other's front"] == ["0", "3"]
    assert rows["time spent on training"] == ["1 min 12 s", "24 s"]
    assert rows["hypervolume"][0] > rows["hypervolume"][1]
    assert rows["the other's hypervolume was reached after"] == ["18 s of training", "never"]
    assert "97.0%; fresh seeds 93.5% ± 2.5% (3)" in rows["best validation top-1"]


def test_what_was_taken_for_both_is_said_below_it(comparison: Comparison) -> None:
    shown = " ".join(text(comparison).split())
    assert "the worse is taken for both" in shown
    assert "Hypervolume is measured from validation top-1 10.0% (chance level), memory 1.00x of the baseline’s" in shown
    assert "each flattered by its own selection" in shown


def test_the_page_needs_nothing_else_and_escapes_what_the_user_named(comparison: Comparison) -> None:
    page = compare_view.render(comparison)
    visible = page.partition("<script")[0]
    assert "<b>" not in visible
    assert "&lt;b&gt;" in visible
    assert not re.search(r"""(?:src|href)\s*=""", visible)
    for name in ("memory", "trials", "seconds"):
        assert f'id="plot-{name}"' in page
    assert visible.count("dominated by the other’s front") == 3
    assert all(sentence in visible for sentence in comparison.differences)


def test_the_fronts_are_drawn_in_multiples_and_crossed_where_dominated(comparison: Comparison) -> None:
    first, second = compare_view.fronts(comparison, "memory").data
    assert first.x == pytest.approx((0.4, 0.55, 0.6, 0.8))
    assert set(first.marker.symbol) == {"circle"}
    assert set(second.marker.symbol) == {"diamond-x-open"}
    assert first.error_y.arrayminus == pytest.approx((0.0, 0.0, 0.04, 0.035))
    assert second.error_y.visible is False


def test_volumes_are_drawn_over_trials_and_over_training_time(comparison: Comparison) -> None:
    for over, last in (("trials", (12, 4)), ("seconds", (72.0, 24.0))):
        drawn = compare_view.volumes(comparison, over)  # type: ignore[arg-type]
        assert tuple(trace.x[-1] for trace in drawn.data) == last
        assert drawn.data[0].y == tuple(one.value for one in comparison.first.volume.over_trials)


def test_a_page_that_cannot_be_written_is_one_sentence(comparison: Comparison, tmp_path: Path) -> None:
    assert compare_view.write_comparison(comparison, tmp_path / "page.html").read_text().startswith("<!doctype html>")
    with pytest.raises(ConfigError, match=r"cannot write .*give another file with -o"):
        compare_view.write_comparison(comparison, tmp_path / "nowhere" / "page.html")
