"""What a trial costs the ledger, and how all of them are read."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy
from ledgers import STUDY, empty

from fvsearch.archs.layout import format_layout
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.ledger._rows import PAGE

MOST_STATEMENTS = 16
"""Of a trial, its two transactions begun: SQLite's, and one more of the revision where a database has no RETURNING."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return empty(tmp_path)


def begun(count: int) -> list[TrialRecord]:
    archs = {arch.arch_hash: arch for arch in STUDY.space.archs()}
    return [
        TrialRecord(params=STUDY.space.params(arch), arch=arch, layout=format_layout(arch, 8), arch_hash=key, predicted={"memory": 1e6})
        for key, arch in list(archs.items())[:count]
    ]


def end(ledger: Ledger, record: TrialRecord) -> None:
    ledger.update(msgspec.structs.replace(record, state="failed", reason="NaN"))


def test_a_trial_takes_as_few_statements_as_the_first(ledger: Ledger) -> None:
    counts: list[int] = []

    def count(*arguments: object) -> None:
        counts[-1] += 1

    sqlalchemy.event.listen(ledger.storage.engine, "before_cursor_execute", count)
    for record in begun(20):
        counts.append(0)
        end(ledger, ledger.start(record))
    assert len(set(counts)) == 1 and counts[0] <= MOST_STATEMENTS


def test_the_history_is_in_the_order_of_ends_page_by_page(ledger: Ledger) -> None:
    records = [ledger.start(record) for record in begun(PAGE + 10)]
    assert len(records) == PAGE + 10
    for record in (records[7], records[3], records[-1], records[0]):
        end(ledger, record)
    found = [entry.record for entry in ledger.history()]
    assert [record.number for record in found[-4:]] == [7, 3, PAGE + 9, 0]
    assert sorted(record.number for record in found) == list(range(PAGE + 10))
    assert {record.state for record in found[:-4]} == {"running"}


def test_after_the_history_news_are_what_came_since(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path, STUDY)
    first = ledger.start(begun(1)[0])
    other = Ledger.open(tmp_path)
    assert [entry.record.number for entry in other.history()] == [0]
    assert other.news() == []
    end(ledger, first)
    assert [entry.record.state for entry in other.news()] == ["failed"]


def test_a_trial_that_somebody_ended_with_optunas_tools_is_theirs_there_and_ours_here(ledger: Ledger) -> None:
    from optuna.trial import TrialState

    record = ledger.start(begun(1)[0])
    (theirs,) = ledger.storage.get_all_trials(ledger.study_id)
    ledger.storage.set_trial_state_values(theirs._trial_id, TrialState.PRUNED)
    end(ledger, record)
    (theirs,) = ledger.storage.get_all_trials(ledger.study_id)
    assert (theirs.state, theirs.user_attrs.get("reason")) == (TrialState.PRUNED, None)
    assert ledger.trials()[0].state == "failed"


def test_times_and_numbers_are_as_optuna_would_have_them(ledger: Ledger) -> None:
    records = begun(2)
    end(ledger, ledger.start(records[0]))
    ledger.storage.create_new_trial(ledger.study_id)
    assert ledger.start(records[1]).number == 2, "one that was begun with Optuna's tools has a number too"
    first, foreign, last = ledger.storage.get_all_trials(ledger.study_id)
    assert [trial.number for trial in (first, foreign, last)] == [0, 1, 2]
    assert first.datetime_start <= first.datetime_complete <= foreign.datetime_start <= last.datetime_start
