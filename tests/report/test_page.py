"""The page, parsed: what a reader sees without a browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from ledgers import EVERY_STATE, STUDY, TRIALS, Trial, empty, fill

from fvsearch.errors import ConfigError
from fvsearch.report.numbers import Summary, summarise
from fvsearch.report.page import FRONT_FILE, REPORT_FILE, render, write_report

VOID = {"meta", "link", "br", "img", "rect", "hr", "input"}


class Reader(HTMLParser):
    """Collects what is shown: text, table rows by table id, scripts apart.

    Attributes:
        tables: By id, rows of cells' text.
        scripts: (attributes, content) of each.
        addresses: Everything that a browser would load.
        unclosed: Elements left open, innermost last.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.addresses: list[str] = []
        self.unclosed: list[str] = []
        self._table = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in VOID:
            self.unclosed.append(tag)
        if tag == "table":
            self._table = named.get("id") or ""
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        elif tag == "script":
            self.scripts.append((named, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.unclosed.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.unclosed:
            named, content = self.scripts[-1]
            self.scripts[-1] = (named, content + data)
        elif "style" not in self.unclosed and "title" not in self.unclosed:
            words = re.sub(r"\s+", " ", data)
            self.text += words
            if {"td", "th"} & set(self.unclosed):
                self.tables[self._table][-1][-1] += words

    def rows(self, table: str) -> list[list[str]]:
        """The table's rows, stripped."""
        return [[cell.strip() for cell in row] for row in self.tables[table]]

    def data(self, name: str) -> object:
        """What a JSON script holds."""
        return json.loads(next(content for named, content in self.scripts if named.get("id") == name))


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


def test_the_page_is_well_formed_and_needs_nothing_else(reader: Reader) -> None:
    assert reader.unclosed == []
    assert reader.addresses == []


def test_plotly_is_in_the_page_once(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert "cdn.plot.ly/plotly" not in page.replace("https://cdn.plot.ly/un/", "")


def test_the_page_opens_with_what_was_found(reader: Reader) -> None:
    assert "4 of 12 trials are on the front; the best reaches 97.0% validation top-1 with 0.80x of the baseline’s memory" in reader.text
    assert "12 of the 16 trials asked for have ended, and 1 is running." in reader.text
    assert "One seed: each architecture was trained once" in reader.text
    assert reader.text.index("4 of 12") < reader.text.index("The front")


def test_the_front_table_has_predicted_and_measured_side_by_side(reader: Reader) -> None:
    heads, sides, *rows = reader.rows("front")
    assert heads == ["Trial", "Architecture", "Validation top-1", "Memory", "Images/s", "Parameters", "Multiply-adds"]
    assert sides == ["predicted", "measured"] * 2
    assert [row[0] for row in rows] == ["3", "2", "9", "1", "0"]
    number, layout, top1, *costs = rows[0]
    assert (number, top1) == ("3", "97.0%")
    assert "B2(17, h48, m128, a3)-2(9, h48, m96, a3) best" in layout
    assert costs[:4] == ["8.10 MiB0.81x", "8.00 MiB0.80x", "2,4001.20x", "2,3001.15x2,280 – 2,330"]
    assert "baseline, dominated" in rows[4][1]


def test_every_trial_is_in_the_long_table(reader: Reader) -> None:
    _, *rows = reader.rows("trials")
    assert [row[0] for row in rows] == [str(number) for number in range(len(TRIALS))]
    assert rows[4][1] == "dominated"
    assert rows[4][5] == "2,700 images/s predicted, 1.35x"
    assert rows[11][1] == "running"


def test_failures_are_listed_with_their_reasons(reader: Reader) -> None:
    _, *rows = reader.rows("problems")
    assert {row[0]: (row[1], row[2]) for row in rows} == {
        "7": ("failed", "the loss is NaN in epoch 3"),
        "6": ("over budget", "memory is 12.0 MiB as measured, and the budget 10.0 MiB"),
        "8": ("over budget", "throughput 5.0% short of its limit"),
        "12": ("over budget", "the device ran out of memory"),
    }


def test_the_bill_has_a_line_for_each_use_of_the_device(reader: Reader) -> None:
    _, *rows = reader.rows("bill")
    assert [row[:3] for row in rows[:5]] == [
        ["import", "12 s", "8.6%"],
        ["build", "6.0 s", "4.3%"],
        ["compile", "24 s", "17.1%"],
        ["train", "1 min 12 s", "51.4%"],
        ["measure", "6.0 s", "4.3%"],
    ]
    assert [row[1] for row in rows[5:]] == ["4.0 s", "16 s"]
    assert "2 min 20 s of device time" in reader.text


def test_energy_is_in_the_bill_where_it_was_told(summary: Summary) -> None:
    assert "Energy" not in render(summary)
    bill = msgspec.structs.replace(summary.bill, joules={"gpu": 3.6e6}, silent=0)
    assert "Energy: gpu 3.60 MJ (1.00 kWh)." in Reader(render(msgspec.structs.replace(summary, bill=bill))).text


@pytest.mark.parametrize(
    "fact",
    [
        "maximize validation top-1, minimize memory",
        "memory 1.0x, throughput 1.0x",
        "jax 0.10.2",
        "fvsearch run small",
        "2,952 architectures",
    ],
)
def test_the_facts_of_the_study_are_told(fact: str, reader: Reader) -> None:
    assert fact in reader.text


def test_the_reference_point_is_stated(reader: Reader) -> None:
    said = "Hypervolume is measured from validation top-1 10.0% (chance level), memory 1.00x of the baseline’s (the budget’s limit)"
    assert said in reader.text
    assert "Studies with the same space, budget, baseline and classes compare." in reader.text


def test_how_to_export_is_said_with_the_folder(reader: Reader, summary: Summary) -> None:
    assert f"fvsearch export {summary.facts.folder} --pick knee -o run.toml" in reader.text
    assert "fvsearch train run.toml" in reader.text


def test_the_figures_in_the_page_are_json_with_their_hovers(reader: Reader) -> None:
    figures = reader.data("figures")
    assert isinstance(figures, dict)
    assert set(figures) == {"memory", "throughput", "hypervolume", "curves"}
    assert "B2(17, h48, m128, a3)-" in json.dumps(figures["memory"])


def test_what_a_user_writes_is_text_and_nothing_else(tmp_path: Path) -> None:
    attack = "</script><script>alert('x')</script><img src=http://a.b/c onerror=alert(1)>{{ 7 * 7 }}"
    study = STUDY.with_settings(description=attack)
    harmful = msgspec.structs.replace(TRIALS[7], reason=attack)
    over = msgspec.structs.replace(TRIALS[6], reason=attack)
    folder = tmp_path / "a <b> & 'c'"
    page = render(summarise(fill(empty(folder, study), (TRIALS[0], harmful, over))))
    reader = Reader(page)
    assert reader.addresses == []
    assert len(reader.scripts) == 4
    assert "alert('x')" not in "".join(content for _, content in reader.scripts)
    assert reader.text.count(attack) == 3
    assert "a <b> & '\"'\"'c'\"'\"'" in reader.text, "quoted for the shell, and shown as it is"
    assert reader.unclosed == []


@pytest.mark.parametrize(
    ("trials", "shown", "hidden"),
    [
        ((), ["No trial has started yet.", "Nothing is on the front yet."], ["Failed and over budget", "against memory"]),
        ((TRIALS[11],), ["1 trial is running", "there is no feasible trial yet"], ["Failed and over budget", "against memory"]),
        ((TRIALS[0],), ["1 of 1 trial is on the front", "against memory"], ["Failed and over budget"]),
        ((TRIALS[6], TRIALS[12]), ["Nothing is on the front yet", "Failed and over budget"], ["against memory"]),
        ((TRIALS[7],), ["1 failed", "the loss is NaN in epoch 3"], ["against memory"]),
    ],
    ids=["empty", "running", "one", "infeasible", "failed"],
)
def test_there_is_a_page_at_every_state(trials: tuple[Trial, ...], shown: list[str], hidden: list[str], tmp_path: Path) -> None:
    reader = Reader(render(summarise(fill(empty(tmp_path), trials, quiet={}))))
    assert [text for text in shown if text not in reader.text] == []
    assert [text for text in hidden if text in reader.text] == []
    assert reader.unclosed == []


def test_write_report_leaves_the_page_and_the_numbers_and_nothing_else(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path), TRIALS[:2])
    path = write_report(ledger)
    assert path == tmp_path / REPORT_FILE
    assert sorted(one.name for one in tmp_path.iterdir()) == [FRONT_FILE, REPORT_FILE]
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    written = json.loads((tmp_path / FRONT_FILE).read_text(encoding="utf-8"))
    # What takes seconds is in a report alone.
    assert written.pop("importance")["note"]
    assert written == {name: value for name, value in json.loads(summarise(ledger).to_json()).items() if name != "importance"}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FRONT_FILE).mkdir()
    with pytest.raises(ConfigError, match="must be written to the study's folder"):
        write_report(fill(empty(tmp_path), TRIALS[:1]))
    assert not (tmp_path / REPORT_FILE).exists()


def test_a_study_that_paused_trials_is_not_said_to_have_stopped_none(summary: Summary, tmp_path: Path) -> None:
    assert "This study stopped no trial early" in render(summary)
    paused = render(summarise(fill(empty(tmp_path), EVERY_STATE)))
    assert "This study stopped no trial early" not in paused
    assert "stopped or paused early have no end to compare with" in paused
