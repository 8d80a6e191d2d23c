"""Ledgers that were damaged, or that somebody else wrote: every command gives an answer or a sentence, and leaves nothing half-written."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hostility import answered_or_refused, damaged, drafts_in, fuzzed, refused
from hypothesis import strategies as st
from ledgers import STUDY, fill

from fvsearch.ledger import LEDGER_FILE, Ledger

READERS: tuple[tuple[str, ...], ...] = (
    ("status", "{}"),
    ("front", "{}", "--json"),
    ("front", "{}", "--csv"),
    ("export", "{}", "--pick", "knee", "-o", "{}/run.toml", "--force"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder as a search left it."""
    folder = tmp_path_factory.mktemp("studies") / "small"
    fill(Ledger.create(folder, STUDY)).close()
    return folder


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "small"))


def test_what_was_not_damaged_is_read(study: Path) -> None:
    for command in READERS:
        ran = answered_or_refused(*(argument.format(study) for argument in command))
        assert ran.code == 0, ran


NO_LEDGER: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("this is no database\n" * 500),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a page": lambda path: path.write_bytes(path.read_bytes()[:4096]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("kind", NO_LEDGER)
def test_what_is_no_ledger_is_a_sentence(kind: str, study: Path) -> None:
    NO_LEDGER[kind](study / LEDGER_FILE)
    before = sorted(path.name for path in study.iterdir() if "ledger" not in path.name)
    for command in (*READERS, ("run", str(study / "study.toml"), "--out", "{}", "--backend", "jax", "--trials", "1")):
        refused(*(argument.format(study) for argument in command))
    assert sorted(path.name for path in study.iterdir() if "ledger" not in path.name if path.name != ".lock") == before


def test_a_database_without_a_study_is_of_one_that_has_not_begun(study: Path) -> None:
    (study / LEDGER_FILE).write_bytes(b"")
    assert "No trial has started yet" in answered_or_refused("status", study).out
    refused("export", study, "-o", study / "run.toml")


STATEMENTS = (
    "drop table {table}",
    "delete from {table}",
    "update {table} set {column} = null",
    "update {table} set {column} = -1",
    "update {table} set {column} = 99999999999999999999999999",
    "update {table} set {column} = 'x'",
    "update {table} set {column} = '[' || char(0) || '<script>'",
    "update {table} set {column} = '{{}}'",
    "update {table} set {column} = x'ff00'",
    "alter table {table} drop column {column}",
    "alter table {table} rename column {column} to other",
)


def columns_of(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / LEDGER_FILE) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        return [(table, row[1]) for table in tables for row in database.execute(f"pragma table_info({table})")]


def test_a_ledger_whose_rows_were_changed_is_read_or_a_sentence(study: Path, whole: Path) -> None:
    columns = columns_of(whole)

    @hypothesis.settings(fuzzed, max_examples=60)
    @hypothesis.given(st.sampled_from(columns), st.sampled_from(STATEMENTS), st.sampled_from(READERS))
    def holds(place: tuple[str, str], statement: str, command: tuple[str, ...]) -> None:
        shutil.copy(whole / LEDGER_FILE, study / LEDGER_FILE)
        table, column = place
        with sqlite3.connect(study / LEDGER_FILE) as database:
            try:
                database.execute(statement.format(table=table, column=column))
            except sqlite3.Error:
                return
        answered_or_refused(*(argument.format(study) for argument in command))

    holds()
    assert not drafts_in(study)


RECORDS = ('"state":"completed"', '"top1":0.', '"memory":', '"epoch":0', '"layout":"B', '"depth":', '"params":{', '"started":"2026')


@pytest.mark.parametrize("piece", RECORDS)
@pytest.mark.parametrize("other", ["null", '"x"', "[" * 500, "1e999", "-1", "NaN", '{"a":[]}', ""])
def test_records_that_are_others_are_read_or_a_sentence(piece: str, other: str, study: Path) -> None:
    key, _, rest = piece.partition(":")
    with sqlite3.connect(study / LEDGER_FILE) as database:
        for number, record in database.execute("select number, record from fvsearch_trials").fetchall():
            changed = record.replace(piece, f"{key}:{other}{'' if rest.startswith(chr(34)) else ','}{rest}", 1)
            database.execute("update fvsearch_trials set record = ? where number = ?", (changed, number))
    for command in READERS:
        answered_or_refused(*(argument.format(study) for argument in command))
    assert not drafts_in(study)


def test_damaged_bytes_are_read_or_a_sentence(study: Path, whole: Path) -> None:
    content = (whole / LEDGER_FILE).read_bytes()

    @hypothesis.settings(fuzzed, max_examples=40)
    @hypothesis.given(damaged(content), st.sampled_from(READERS[:3]))
    def holds(changed: bytes, command: tuple[str, ...]) -> None:
        (study / LEDGER_FILE).write_bytes(changed)
        answered_or_refused(*(argument.format(study) for argument in command))

    holds()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"at":3}', b"\xff" * 100, b"[" * 100_000, b'{"at":"x","total":1e400}'])
def test_what_a_search_told_may_be_anything(content: bytes, study: Path) -> None:
    (study / "progress.json").write_bytes(content)
    assert answered_or_refused("status", study).code == 0


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b'{"epoch":-1}\n', b"\xff\n" * 10, b"[" * 100_000 + b"\n", b'{"epoch":0,"seconds":"x"}\n']
)
def test_metrics_that_a_worker_wrote_may_be_anything(content: bytes, study: Path) -> None:
    path = study / "trials" / "0011" / "repeat0" / "metrics.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert answered_or_refused("status", study).code == 0
