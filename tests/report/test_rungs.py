"""How far an early look tells the end."""

from typing import Any

import pytest

from fvsearch.ledger import Repeat, TrialRecord
from fvsearch.report.rungs import rung_rows
from fvsearch.study import EarlyStopping
from fvsearch.study.recipe import Recipe
from fvsearch.testing import tiny_arch, tiny_study

STUDY = tiny_study(recipe=Recipe(epochs=4))


def trial(number: int, curve: list[float], **changes: Any) -> TrialRecord:
    epochs = tuple({"epoch": float(epoch), "top1": top1} for epoch, top1 in enumerate(curve))
    fields: dict[str, Any] = {"number": number, "arch": tiny_arch(), "layout": "", "arch_hash": str(number), "predicted": {}}
    return TrialRecord(**fields, repeats=(Repeat(seed=number, epochs=epochs),), **changes)


def test_tau_is_of_the_ranking_at_the_rung_and_at_the_end() -> None:
    # At the first epoch the ranking is the last one's but for one pair of three; at the second it is reversed.
    rows = rung_rows(STUDY, [trial(0, [0.1, 0.9, 0.5, 0.6]), trial(1, [0.3, 0.8, 0.5, 0.7]), trial(2, [0.2, 0.7, 0.5, 0.8])])
    assert [(row.epochs, row.share, row.reached, row.pairs) for row in rows] == [(1, 0.25, 3, 3), (2, 0.5, 3, 3)]
    assert [row.tau for row in rows] == [pytest.approx(1 / 3), pytest.approx(-1)]
    assert rows[0].low is None, "three pairs have no interval"


def test_the_interval_holds_tau_and_narrows_with_more_trials() -> None:
    def row(count: int) -> Any:
        # Every fourth is out of place.
        return rung_rows(STUDY, [trial(i, [i % count if i % 4 else 0, 0.5, 0.5, i]) for i in range(count)])[0]

    few, many = row(8), row(40)
    assert few.low < few.tau < few.high and many.low < many.tau < many.high
    assert many.high - many.low < few.high - few.low


def test_stopped_trials_have_reached_a_rung_and_have_no_end() -> None:
    study = tiny_study(recipe=Recipe(epochs=4), early_stopping=EarlyStopping(rungs=(0.5,)))
    ended = [trial(0, [0.1, 0.2, 0.3, 0.4]), trial(1, [0.2, 0.3, 0.4, 0.5])]
    (row,) = rung_rows(study, [*ended, trial(2, [0.0, 0.1], state="stopped"), trial(3, [0.3])])
    assert (row.epochs, row.reached, row.stopped, row.pairs, row.tau) == (2, 3, 1, 2, pytest.approx(1.0))


def test_where_one_side_has_a_single_value_there_is_no_ranking() -> None:
    assert [row.tau for row in rung_rows(STUDY, [trial(0, [0.1] * 4), trial(1, [0.1, 0.1, 0.1, 0.2])])] == [None, None]
    assert [row.tau for row in rung_rows(STUDY, [])] == [None, None]
