"""The numbers of the small study, by hand."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from ledgers import MIB, QUIET, STUDY, TRIALS, Trial, empty, fill

from fvsearch.ledger import Ledger
from fvsearch.report.numbers import Summary, mean_curve, summarise
from fvsearch.study import Objective
from fvsearch.study.budgets import Budget


def test_every_trial_has_its_place(summary: Summary) -> None:
    assert {place: [row.number for row in summary.at(place)] for place in summary.counts} == {
        "front": [1, 2, 3, 9],
        "dominated": [0, 4, 5, 10],
        "infeasible": [6, 8, 12],
        "stopped": [],
        "failed": [7],
        "running": [11],
    }
    assert summary.counts == {"front": 4, "dominated": 4, "infeasible": 3, "stopped": 0, "failed": 1, "running": 1}
    assert [row.number for row in summary.rows] == list(range(len(TRIALS)))


def test_the_front_comes_best_first(summary: Summary) -> None:
    assert [row.number for row in summary.front] == [3, 2, 9, 1]


def test_costs_stand_side_by_side_with_ratios_from_their_own_source(summary: Summary) -> None:
    row = summary.row(3)
    assert (row.memory.predicted, row.memory.measured) == (8.1 * MIB, 8.0 * MIB)
    assert (row.memory.predicted_ratio, row.memory.measured_ratio) == pytest.approx((0.81, 0.80))
    assert (row.throughput.predicted, row.throughput.measured) == (2400, 2300)
    assert (row.throughput.predicted_ratio, row.throughput.measured_ratio) == pytest.approx((1.2, 1.15))
    assert (row.throughput.low, row.throughput.high) == (2280, 2330)
    assert (row.throughput.source, row.throughput.value) == ("measured", 2300)


def test_a_trial_outside_the_quiet_pass_has_its_predicted_throughput_alone(summary: Summary) -> None:
    row = summary.row(4)
    assert (row.throughput.measured, row.throughput.measured_ratio) == (None, None)
    assert (row.throughput.source, row.throughput.value, row.throughput.ratio) == ("predicted", 2700, 1.35)


def test_without_a_measurement_the_predicted_memory_counts(summary: Summary) -> None:
    assert summary.row(12).memory.source == "predicted"
    assert summary.row(12).memory.value == 9.7 * MIB


def test_picks_are_knee_best_fastest_and_smallest(summary: Summary) -> None:
    # Scaled to the front, (memory, top-1): 1 -> 0 + 1, 9 -> .375 + .571, 2 -> .5 + .286, 3 -> 1 + 0; the least sum is the knee.
    assert summary.picks == {"knee": 2, "best": 3, "fastest": 1, "smallest": 1}
    assert summary.row(1).picks == ("fastest", "smallest")
    assert summary.row(4).picks == ()


def test_the_fastest_goes_by_prediction_until_all_of_the_front_is_measured(tmp_path: Path) -> None:
    slow_as_measured = QUIET | {1: (2100.0, 2090.0, 2110.0)}
    assert summarise(fill(empty(tmp_path), quiet=slow_as_measured)).picks["fastest"] == 9
    del slow_as_measured[9]
    assert summarise(fill(empty(tmp_path), quiet=slow_as_measured)).picks["fastest"] == 1


def test_the_bill_sums_activities_over_trials(summary: Summary) -> None:
    # Twelve trials have ended; each took 10 s.
    assert summary.bill.activities == {"import": 12.0, "build": 6.0, "compile": 24.0, "train": 72.0, "measure": 6.0}
    assert (summary.bill.trials, summary.bill.anchor, summary.bill.quiet_pass, summary.bill.total) == (120.0, 4.0, 16.0, 140.0)
    assert (summary.bill.wall, summary.bill.starts) == (90.0, 2)


def test_the_facts_name_seed_backend_versions_device_and_commands(summary: Summary) -> None:
    facts = summary.facts
    assert (facts.seed, facts.repeats, facts.space, facts.size) == (7, 1, "small", STUDY.space.size() if STUDY.space else 0)
    assert (facts.backends, facts.devices) == (("jax",), ("cpu",))
    assert facts.versions == {"fvsearch": ("0.1.0",), "jax": ("0.10.2",), "keras": ("3.15.1",)}
    assert facts.commands == ("fvsearch run small",) * 2
    assert facts.limits == {"memory": 10 * MIB, "throughput": 2000}


def test_an_absolute_limit_is_known_before_the_baseline_is(tmp_path: Path) -> None:
    facts = summarise(empty(tmp_path, STUDY.with_settings(budget=Budget(memory="8 MiB", throughput="1.0x")))).facts
    assert facts.limits == {"memory": 8 * MIB}


def test_the_learning_curve_is_the_mean_over_repeats(tmp_path: Path) -> None:
    row = summarise(fill(empty(tmp_path, STUDY.with_settings(repeats=2)), TRIALS[:1])).rows[0]
    assert row.curve == pytest.approx((0.48, 0.72, 0.84, 0.90, 0.96))
    assert row.spread == {"top1": 0.01}
    assert row.seeds == (0, 1)
    assert mean_curve([[0.0, 1.0, 2.0], [1.0, 2.0]]) == (0.5, 1.5)


def test_the_summary_is_one_json_document_that_reads_back(summary: Summary) -> None:
    text = summary.to_json()
    document = json.loads(text)
    assert [row["number"] for row in document["front"]] == [3, 2, 9, 1]
    assert document["front"][0]["arch"]["stages"][1]["depth"] == 2
    assert msgspec.json.decode(text, type=Summary) == summary


@pytest.mark.parametrize(
    ("trials", "counts"),
    [
        ((), {}),
        ((TRIALS[11],), {"running": 1}),
        ((TRIALS[0],), {"front": 1}),
        ((TRIALS[6], TRIALS[12]), {"infeasible": 2}),
        ((TRIALS[7],), {"failed": 1}),
    ],
    ids=["empty", "running", "one", "infeasible", "failed"],
)
def test_a_study_can_be_summed_up_at_every_state(trials: tuple[Trial, ...], counts: dict[str, int], tmp_path: Path) -> None:
    found = summarise(fill(empty(tmp_path), trials, quiet={}))
    assert {place: count for place, count in found.counts.items() if count} == counts
    assert bool(found.picks) == bool(found.front) == ("front" in counts)
    assert (found.hypervolume.value is None) == ("front" not in counts)
    json.loads(found.to_json())


def test_a_study_on_a_disk_reads_as_one_in_memory(tmp_path: Path) -> None:
    on_disk, in_memory = Ledger.create(tmp_path, STUDY), empty(tmp_path)
    for ledger in (on_disk, in_memory):
        fill(ledger, TRIALS[:3], quiet={0: QUIET[0], 1: QUIET[1]})
    assert summarise(Ledger.open(tmp_path)) == summarise(in_memory)
    on_disk.close()


def test_one_objective_is_enough(tmp_path: Path) -> None:
    study = STUDY.with_settings(objectives=(Objective(name="loss", direction="minimize"),))
    found = summarise(fill(empty(tmp_path, study)))
    # 3 and 10 tie.
    assert [row.number for row in found.front] == [3, 10]
    assert found.picks["best"] == 3
    assert math.isclose(found.hypervolume.value or 0.0, math.log(10) - 0.03)
