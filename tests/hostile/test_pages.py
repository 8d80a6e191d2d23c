"""What a study says of itself is text where it is shown: no tag, no script, no markup, no escape of a terminal."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hostility import run
from ledgers import STUDY, TRIALS, fill, record

from fvsearch.ledger import Invocation, Ledger
from fvsearch.records import plain_text
from fvsearch.report import write_report
from fvsearch.report.compare import compare
from fvsearch.report.compare_view import write_comparison

TAGS = '</script></title><img src=x onerror=alert(1)><script>alert(2)</script><a href="javascript:alert(3)">"\'x</a>'
MARKUP = "[red]not red[/red] [link=file:///etc/passwd]x[/link] \x1b[31mred\x1b]0;title\x07"


class Tags(HTMLParser):
    """Every tag with the names of its attributes, and every address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(" ".join([tag, *sorted(name for name, _ in attrs)]))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def told(folder: Path, text: str) -> Ledger:
    """A ledger that says a text wherever one may be said."""
    ledger = fill(Ledger.create(folder, STUDY.with_settings(description=plain_text(text))))
    whole = record(TRIALS[7], 13)
    other = msgspec.structs.replace(
        whole, reason=text, device=text, versions={text: text}, memory_source=text, backend=text, arch_hash="0" * 64, state="failed"
    )
    ledger.update(msgspec.structs.replace(other, number=ledger.start(msgspec.structs.replace(other, state="running")).number))
    ledger.note(text)
    ledger.note(text, 1)
    ledger.set_invocation(Invocation(command=text, started="2026-01-02T03:09:00+00:00", backend=text, workers=1, version=text, seconds=1.0))
    return ledger


def same_page(clean: str, hostile: str) -> None:
    """Two pages that differ in text alone."""
    assert "alert" in hostile, "what was said is shown, as text"
    clean_tags, hostile_tags = Tags(clean), Tags(hostile)
    assert set(hostile_tags.tags) == set(clean_tags.tags)
    assert sum(tag.startswith("script") for tag in hostile_tags.tags) == sum(tag.startswith("script") for tag in clean_tags.tags)
    assert not [address for address in hostile_tags.addresses if address.startswith("javascript:")]
    assert TAGS not in hostile and "<img src=x" not in hostile


def test_a_report_shows_tags_as_text(tmp_path: Path) -> None:
    clean, hostile = (write_report(told(tmp_path / name, text)).read_text() for name, text in (("a", "alert"), ("b", TAGS)))
    same_page(clean, hostile)


def test_a_comparison_shows_tags_as_text(tmp_path: Path) -> None:
    pages = []
    for name, text in (("a", "alert"), ("b", TAGS)):
        first, second = (told(tmp_path / f"{name}{index}", text) for index in (1, 2))
        pages.append(write_comparison(compare(first, second), tmp_path / f"{name}.html").read_text())
    clean, hostile = pages
    assert set(Tags(hostile).tags) == set(Tags(clean).tags)
    assert TAGS not in hostile and "<img src=x" not in hostile


@pytest.mark.parametrize("command", ["status", "front"])
def test_a_terminal_is_shown_no_markup_and_no_escapes(command: str, tmp_path: Path) -> None:
    told(tmp_path / "a", MARKUP).close()
    ran = run(command, tmp_path / "a")
    assert ran.code == 0, ran
    assert "\x1b]0;" not in ran.out and "\x1b[31m" not in ran.out
    assert not re.search(r"\x1b\]8;", ran.out), "no link"
