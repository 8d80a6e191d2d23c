"""Sentences that a reader of a report sees."""

from pathlib import Path

import msgspec
import pytest
from ledgers import EVERY_STATE, STUDY, TRIALS, Trial, empty, fill, record

from fvsearch.report import words
from fvsearch.report.numbers import Quantity, Summary, summarise
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.recipe import Recipe


def test_the_headline_says_how_many_are_on_the_front_and_how_good_the_best_is(summary: Summary) -> None:
    expected = "4 of 12 trials are on the front; the best reaches 97.0% validation top-1 with 0.80x of the baseline’s memory"
    assert words.headline(summary) == f"{expected} (the baseline: 96.0%)."


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ((), "No trial has started yet."),
        ((TRIALS[11],), "1 trial is running; none has ended yet."),
        ((TRIALS[11], msgspec.structs.replace(TRIALS[10], state="running", top1=None)), "2 trials are running; none has ended yet."),
        ((TRIALS[0],), "1 of 1 trial is on the front; the best in validation top-1 is the baseline itself, with 96.0%."),
        ((TRIALS[6], TRIALS[7]), "Nothing is on the front yet: of 2 ended trials, 1 over budget as measured and 1 failed."),
        ((TRIALS[11], EVERY_STATE[7]), "Nothing is on the front yet: of 1 ended trial, 1 not trained to the end."),
        ((TRIALS[12],), "Nothing is on the front yet: of 1 ended trial, 1 over budget as measured."),
    ],
    ids=["empty", "running", "two running", "baseline alone", "nothing feasible", "paused", "out of memory"],
)
def test_the_headline_has_a_sentence_for_every_state(trials: tuple[Trial, ...], expected: str, tmp_path: Path) -> None:
    assert words.headline(summarise(fill(empty(tmp_path), trials, quiet={}))) == expected


def test_what_was_taken_over_is_none_of_the_trials_asked_for(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path, STUDY.with_settings(trials=3)), TRIALS[:2], quiet={})
    for index in (2, 3):
        taken = msgspec.structs.replace(record(TRIALS[index], index), number=-1, imported=f"runs/before #{index}")
        ledger.update(ledger.start(taken))
    summary = summarise(ledger)
    assert words.unfinished(summary).startswith("2 of the 3 trials asked for have ended.")
    assert "2 trials came from runs/before, trained and measured there." in words.caution(summary)


def test_one_seed_is_said_to_be_one_seed(summary: Summary, tmp_path: Path) -> None:
    assert words.caution(summary).startswith("One seed: ")
    assert "ties" in words.caution(summary)
    several = summarise(empty(tmp_path, STUDY.with_settings(repeats=3)))
    assert words.caution(several).startswith("3 seeds: ")


def test_a_spread_stands_beside_its_mean(tmp_path: Path) -> None:
    row = summarise(fill(empty(tmp_path, STUDY.with_settings(repeats=2)), TRIALS[:1])).rows[0]
    assert words.learned(row, "top1") == "96.0% ± 1.0%"


def test_a_cost_says_its_source() -> None:
    both = Quantity(predicted=2.0**20, predicted_ratio=0.5, measured=2.0**21, measured_ratio=0.713)
    assert words.cost("memory", both) == "2.00 MiB measured, 0.71x"
    assert words.cost("throughput", Quantity(predicted=2400.0)) == "2,400 images/s predicted"
    assert words.cost("memory", Quantity()) == "–"


def test_what_broke_a_budget_is_said_where_no_reason_is_on_record(summary: Summary) -> None:
    assert words.why(summary.row(7)) == "the loss is NaN in epoch 3"
    # The quiet pass leaves no reason: 1 - 1900 / 2000.
    assert words.why(summary.row(8)) == "throughput 5.0% short of its limit"
    assert words.why(summary.row(3)) == ""


def test_a_recipe_is_said_with_what_it_does_to_images() -> None:
    recipe = Recipe(epochs=1, accumulate=4, weight_decay=0.0, ema=0.99)
    assert words.recipe(recipe) == "1 epoch, batch 64 in 4 parts, adamw, learning rate 0.001, ema 0.99"
    recipe = Recipe(epochs=9, optimizer="sgd", augmentation=Augmentation(crop=(0.05, 1.0), color_jitter=0.4, flip=True))
    assert words.recipe(recipe).endswith("sgd, learning rate 0.001, weight decay 0.05; images: crop 0.05 to 1, color jitter 0.4, flip")


def test_costs_are_said_of_a_batch_a_phase_and_a_type(summary: Summary) -> None:
    assert words.at_which(summary) == "training at batch 64, float32"


def test_what_is_still_to_come_is_said_until_nothing_is(summary: Summary, tmp_path: Path) -> None:
    assert words.unfinished(summary) == "12 of the 16 trials asked for have ended, and 1 is running."
    done = STUDY.with_settings(trials=2)
    unmeasured = summarise(fill(empty(tmp_path, done), TRIALS[:2], quiet={}))
    assert words.unfinished(unmeasured) == "The throughput of the front is predicted; it has not been measured yet."
    assert words.unfinished(summarise(fill(empty(tmp_path, done), TRIALS[:2]))) == ""
