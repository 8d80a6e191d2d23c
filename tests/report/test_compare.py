"""Two studies beside each other, by hand."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confirmations import enter
from ledgers import MIB, QUIET, SPACE, STUDY, TRIALS, Trial, arch, empty, fill

from fvsearch.errors import ConfigError
from fvsearch.fronts.volume import reference
from fvsearch.ledger import Ledger
from fvsearch.report import compare_view
from fvsearch.report.compare import Comparison, compare
from fvsearch.study import Objective, Study
from fvsearch.study.budgets import Budget

TWICE = arch("B8(17, h48, m96, a3)")


def ledger(folder: Path, name: str, trials: tuple[Trial, ...] = TRIALS, study: Study = STUDY, **changes: Any) -> Ledger:
    return fill(empty(folder / name, study.with_settings(**changes)), trials)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The first five trials, confirmed, against all."""
    folder = tmp_path_factory.mktemp("two")
    some = {1: (0.89, 0.90, 0.91), 2: (0.94, 0.95, 0.96), 3: (0.96, 0.97, 0.95)}
    return compare(enter(ledger(folder, "some", TRIALS[:5]), some), ledger(folder, "all"))


# From chance, .1, and the budget, 1: strips of equal memory saved, from the least top-1 up.
SOME = (1 - 0.4) * (0.90 - 0.1) + (1 - 0.6) * (0.95 - 0.90) + (1 - 0.8) * (0.97 - 0.95)
ALL = (1 - 0.4) * (0.90 - 0.1) + (1 - 0.55) * (0.93 - 0.90) + (1 - 0.6) * (0.95 - 0.93) + (1 - 0.8) * (0.97 - 0.95)


def test_both_volumes_are_from_one_point(halves: Comparison) -> None:
    assert halves.reference == reference(STUDY)
    assert (halves.first.volume.value, halves.second.volume.value) == pytest.approx((SOME, ALL))
    assert halves.differences == ()


def test_volumes_compare_at_the_shorter_training_time(halves: Comparison) -> None:
    assert (halves.first.train_seconds, halves.second.train_seconds, halves.shorter) == (30.0, 72.0, 30.0)
    assert (halves.first.at_shorter, halves.second.at_shorter) == pytest.approx((SOME, SOME))
    assert (halves.first.reaches, halves.second.reaches) == (None, 24.0)


def test_the_front_by_fresh_means_has_its_volume(halves: Comparison) -> None:
    staircase = (1 - 0.4) * (0.90 - 0.1) + (1 - 0.6) * (0.95 - 0.90) + (1 - 0.8) * (0.96 - 0.95)
    assert halves.first.fresh == pytest.approx(staircase)
    assert halves.second.fresh is None


def test_what_the_other_front_dominates_is_told(tmp_path: Path) -> None:
    worse = tuple(msgspec.structs.replace(one, memory=(one.memory or 0) + 0.1) for one in TRIALS[1:4])
    found = compare(ledger(tmp_path, "better"), ledger(tmp_path, "worse", (TRIALS[0], *worse)))
    assert [point.dominated for point in found.first.front] == [False] * 4
    assert [point.dominated for point in found.second.front] == [True] * 3
    assert [point.values["memory"] for point in found.second.front] == pytest.approx([0.81, 0.61, 0.41])


def test_of_two_reference_points_the_worse_is_taken_and_said(tmp_path: Path) -> None:
    tight = ledger(tmp_path, "tight", TRIALS[:4], budget=Budget(memory="0.75x"))
    found = compare(tight, ledger(tmp_path, "loose", TRIALS[:4]))
    assert found.reference.point == {"top1": 0.1, "memory": 1.0}
    assert "Budgets differ: memory 0.75x, and memory 1.0x, throughput 1.0x." in found.differences
    assert "Of their reference points (memory 0.75x and 1.00x) the worse is taken for both." in found.differences
    assert found.first.volume.value == found.second.volume.value


def test_costs_of_another_baseline_are_in_multiples_of_the_firsts(tmp_path: Path) -> None:
    other = (Trial(layout="B8(17, h48, m96, a3)", top1=0.97, memory=20.0, predicted=20.0, throughput=1000), *TRIALS[1:4])
    deeper = msgspec.structs.replace(SPACE.stages[0], depth=(1, 2, 3, 4, 8))
    space = msgspec.structs.replace(SPACE, stages=(deeper, SPACE.stages[1]))
    second = ledger(tmp_path, "second", other, STUDY.with_settings(baseline=TWICE, space=space, budget=Budget(memory="0.8x")))
    found = compare(ledger(tmp_path, "first", TRIALS[:4]), second)
    # .8 of its baseline's 20 MiB are 1.6 of the first's 10.
    assert found.reference.point["memory"] == pytest.approx(1.6)
    assert {point.row.number: point.values["memory"] for point in found.second.front} == pytest.approx({1: 0.4, 2: 0.6, 3: 0.8})
    assert found.first.volume.value == pytest.approx(found.second.volume.value)
    assert found.second.volume.units is not None
    assert found.second.volume.units.costs["memory"] == 10 * MIB
    assert any(sentence.startswith("Baselines (B4(17, h48, m96, a3), and B8(17, h48, m96, a3))") for sentence in found.differences)


def test_one_baseline_at_another_batch_is_another_baseline(tmp_path: Path) -> None:
    small = msgspec.structs.replace(STUDY.recipe, batch_size=16)
    found = compare(ledger(tmp_path, "a", TRIALS[:3]), ledger(tmp_path, "b", TRIALS[:3], recipe=small))
    assert "Baselines or what their step depends on differ: costs of both are in multiples of the first’s." in found.differences
    assert any("Recipes differ (batch_size 64 and 16)" in sentence for sentence in found.differences)


def test_another_device_is_said_beside_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ledger(tmp_path, "a", TRIALS[:3]), ledger(tmp_path, "b", TRIALS[:3])
    anchor = second.anchor()
    assert anchor is not None
    second.set_anchor(msgspec.structs.replace(anchor, device="H200"))
    elsewhere = tuple(msgspec.structs.replace(trial, backend="torch", device="H200") for trial in second.trials())
    monkeypatch.setattr(second, "trials", lambda: elsewhere)
    (said,) = compare(first, second).differences
    expected = "Memory and images/s were measured by jax on cpu, and by torch on H200"
    assert said == f"{expected}: as multiples of each study’s own baseline they compare, raw they do not."


def test_data_and_engine_that_differ_are_said(tmp_path: Path) -> None:
    data = msgspec.structs.replace(STUDY.data, validation=0.3)
    engine = msgspec.structs.replace(STUDY.engine, sampler="random")
    found = compare(ledger(tmp_path, "a", TRIALS[:3]), ledger(tmp_path, "b", TRIALS[:3], data=data, engine=engine))
    assert found.differences == (
        "Engines differ: optuna, nsga2, and optuna, random.",
        "Data differ (validation 0.2 and 0.3): what is learned is of different trainings.",
    )


def test_throughput_is_compared_measured_with_measured(tmp_path: Path) -> None:
    study = STUDY.with_settings(objectives=(STUDY.objectives[0], Objective(name="throughput", direction="maximize")))
    fast = {number: (2 * median, low, high) for number, (median, low, high) in QUIET.items()}
    second = fill(empty(tmp_path / "b", study), TRIALS[:4], quiet=fast)
    found = compare(ledger(tmp_path, "a", TRIALS[:4], study), second)
    for side in found.sides:
        assert {point.row.number: point.values["throughput"] for point in side.front}[3] == pytest.approx(2300 / 2000)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"objectives": (Objective(name="loss", direction="minimize"), STUDY.objectives[1])},
            "two studies must have the same objectives to be compared, but .*a has maximize top1, minimize memory, and .*b minimize loss",
        ),
        (
            {"data": msgspec.structs.replace(STUDY.data, num_classes=5)},
            "the same number of classes to be compared, but .*a has 10, and .*b 5",
        ),
    ],
)
def test_what_does_not_compare_is_refused_with_a_sentence(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        compare(ledger(tmp_path, "a", ()), ledger(tmp_path, "b", (), **changes))


def test_objectives_in_another_order_are_the_same(tmp_path: Path) -> None:
    found = compare(ledger(tmp_path, "a", TRIALS[:3]), ledger(tmp_path, "b", TRIALS[:3], objectives=STUDY.objectives[::-1]))
    assert found.first.volume.value == pytest.approx(found.second.volume.value)
    assert not any(point.dominated for side in found.sides for point in side.front)


@pytest.mark.parametrize("trials", [(), TRIALS[6:8]], ids=["empty", "nothing feasible"])
def test_a_study_that_has_nothing_yet_has_no_volume(trials: tuple[Trial, ...], tmp_path: Path) -> None:
    for found in (
        compare(ledger(tmp_path, "a", trials), ledger(tmp_path, "b")),
        compare(ledger(tmp_path, "c"), ledger(tmp_path, "d", trials)),
    ):
        assert found.shorter is None
        assert "there is no feasible trial yet" in (found.first.volume.note, found.second.volume.note)
        assert compare_view.render(found)


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    found = compare(ledger(tmp_path / "x", "run", TRIALS[:3]), ledger(tmp_path / "y", "run", TRIALS[:3]))
    assert (found.first.label, found.second.label) == (str(tmp_path / "x" / "run"), str(tmp_path / "y" / "run"))


def test_the_document_is_json(halves: Comparison) -> None:
    document = json.loads(halves.to_json())
    assert document["reference"]["point"] == {"top1": 0.1, "memory": 1.0}
    assert document["second"]["volume"]["over_trials"][-1]["train_seconds"] == 72.0
    assert [point["row"]["number"] for point in document["second"]["front"]] == [3, 2, 9, 1]
