import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import MIB, STUDY, TRIALS, arch, empty, fill

from fvsearch.archs.rules import Rules
from fvsearch.costs.predictor import Predictor
from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.meters.measured import Anchor
from fvsearch.search.screening import Candidate
from fvsearch.search.taking_over import Imported, import_trials, imported, open_source, starts_note, warm_starts
from fvsearch.search.trials import new_trial
from fvsearch.study import Objective, Proposer, Study
from fvsearch.study.budgets import Budget

ANCHOR = Anchor(throughput=2000, memory=10 * MIB, memory_source="by the test", device="cpu", seconds=4.0)
ENDED = [number for number, trial in enumerate(TRIALS) if trial.state == "completed" and number]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another study's folder; nobody writes to it."""
    folder = tmp_path_factory.mktemp("old")
    fill(Ledger.create(folder, STUDY)).close()
    return folder


def study(source: Path, **changes: Any) -> Study:
    return msgspec.structs.replace(STUDY, name="new", seed=8, engine=Proposer(name="optuna", warm_start=str(source)), **changes)


def begun(folder: Path, new: Study) -> Ledger:
    """A new ledger that holds its baseline, as a search enters it."""
    ledger = empty(folder, new)
    ledger.start(new_trial(new, Candidate(params={}, arch=new.baseline, predicted=Predictor(new).baseline), "jax"))
    return ledger


def take(ledger: Ledger, backend: str = "jax", anchor: Anchor = ANCHOR) -> Imported:
    predictor = Predictor.anchored(ledger.study, anchor.memory, anchor.throughput)
    found = import_trials(ledger, backend, anchor, predictor)
    assert found is not None
    return found


def by_arch(ledger: Ledger) -> dict[str, TrialRecord]:
    return {trial.arch_hash: trial for trial in ledger.trials() if trial.imported}


def test_what_fits_comes_over_whole(tmp_path: Path, source: Path) -> None:
    ledger = begun(tmp_path / "new", study(source))
    found = take(ledger)
    assert found.trials == len(ENDED) + 1, "those trained, and the one that was over the same budget as measured"
    old = {trial.number: trial for trial in Ledger.open(source).trials()}
    for number in ENDED:
        new = by_arch(ledger)[old[number].arch_hash]
        assert new.imported == f"{source} #{number}"
        assert (new.repeats, new.values, new.measured) == (old[number].repeats, old[number].values, old[number].measured)
        assert (new.started, new.ended, new.device, new.versions) == (
            old[number].started,
            old[number].ended,
            old[number].device,
            old[number].versions,
        )
        assert new.params == ledger.study.space.params(new.arch)  # type: ignore[union-attr]
        assert new.constraints["memory"] == pytest.approx(old[number].measured["memory"] / (10 * MIB) - 1)
    assert ledger.trials()[0].is_baseline and not ledger.trials()[0].imported
    assert not ledger.quiet_pass().throughput, "throughput is measured anew"
    assert found.left_out == {
        "the baseline's arch, which is trained here": 1,
        "not trained to the end": 2,
        "over its own budget, and perhaps not over this one": 1,
    }
    assert found.sentence == (
        f"from {source}: {found.trials} trials imported, 4 do not fit (1 the baseline's arch, which is trained here, "
        "2 not trained to the end, 1 over its own budget, and perhaps not over this one)"
    )


def test_a_resume_imports_nothing_twice_though_the_other_folder_is_gone(tmp_path: Path, source: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    ledger = begun(tmp_path / "new", study(copy))
    found = take(ledger)
    count = len(ledger.trials())
    shutil.rmtree(copy)
    assert take(ledger) == found == imported(ledger)
    assert len(ledger.trials()) == count


def test_an_import_that_was_interrupted_goes_on(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = begun(tmp_path / "new", study(source))
    update, calls = Ledger.update, []

    def killed(self: Ledger, record: TrialRecord) -> bool:
        calls.append(record)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return update(self, record)

    monkeypatch.setattr(Ledger, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        take(ledger)
    monkeypatch.undo()
    found = take(ledger)
    taken = [trial.imported for trial in ledger.trials() if trial.imported]
    assert len(taken) == len(set(taken)) == found.trials == len(ENDED) + 1
    assert {trial.state for trial in ledger.trials() if trial.imported} == {"completed", "infeasible"}


def test_constraints_and_values_are_the_new_studys(tmp_path: Path, source: Path) -> None:
    objectives = (Objective(name="loss", direction="minimize"), Objective(name="num_params", direction="minimize"))
    ledger = begun(tmp_path / "new", study(source, budget=Budget(memory="0.6x"), objectives=objectives))
    take(ledger)
    small, large = (by_arch(ledger)[arch(TRIALS[number].layout).arch_hash] for number in (1, 3))
    assert small.constraints["memory"] == pytest.approx(4 / 6 - 1)
    assert large.constraints["memory"] == pytest.approx(8 / 6 - 1)
    assert small.state == large.state == "completed"
    assert small.values == {"loss": pytest.approx(0.1), "num_params": Predictor(ledger.study).costs(small.arch)["num_params"]}


def test_what_was_over_a_narrower_budget_is_left_to_the_search(tmp_path: Path, source: Path) -> None:
    ledger = begun(tmp_path / "new", study(source, budget=Budget(memory="2x")))
    assert take(ledger).left_out["over its own budget, and perhaps not over this one"] == 2


def test_a_changed_space_takes_over_what_it_holds(tmp_path: Path, source: Path) -> None:
    space = msgspec.structs.replace(STUDY.space, name="falling", rules=Rules(widths_never_rise=True, max_depth=4))
    ledger = begun(tmp_path / "new", study(source, space=space))
    found = take(ledger)
    assert found.trials == 6
    assert all(space.contains(trial.arch) for trial in ledger.trials())
    assert found.left_out["kept out by the rules of the space 'falling'"] == 4
    smaller = msgspec.structs.replace(STUDY.space, name="smaller", stages=(STUDY.space.stages[0],))
    assert take(begun(tmp_path / "smaller", study(source, space=smaller))).left_out["not in the space 'smaller'"] == 10
    archs = (STUDY.baseline, arch(TRIALS[2].layout))
    listed = begun(
        tmp_path / "listed",
        msgspec.structs.replace(STUDY, space=None, engine=Proposer(name="listed", archs=archs, warm_start=str(source))),
    )
    assert take(listed).trials == 1
    (trial,) = by_arch(listed).values()
    assert trial.params == {"index": 1}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": msgspec.structs.replace(STUDY.recipe, epochs=9)}, "for recipe.epochs is 5 there and 9 here;"),
        (
            {"data": msgspec.structs.replace(STUDY.data, seed=1), "repeats": 2},
            "for data.seed is 0 there and 1 here (and repeats);",
        ),
        ({"budget": Budget(memory="1.0x", phase="inference")}, "for budget.phase is training there and inference here;"),
    ],
)
def test_under_other_conditions_the_fronts_archs_are_trained_first(
    tmp_path: Path, source: Path, changes: dict[str, Any], sentence: str
) -> None:
    ledger = begun(tmp_path / "new", study(source, **changes))
    found = take(ledger)
    assert sentence in found.sentence
    assert found.sentence.endswith("4 of its front are trained first")
    assert len(ledger.trials()) == 1
    front = {arch(TRIALS[number].layout) for number in (1, 2, 3, 9)}
    assert set(warm_starts(ledger.study, found)) == front
    assert take(ledger) == found


def test_another_backend_or_device_is_another_condition(tmp_path: Path, source: Path) -> None:
    found = take(begun(tmp_path / "new", study(source)), backend="torch")
    assert "for backend is jax there and torch here;" in found.sentence
    other = msgspec.structs.replace(ANCHOR, device="NVIDIA H200")
    found = take(begun(tmp_path / "third", study(source)), anchor=other)
    assert "for device is cpu there and NVIDIA H200 here;" in found.sentence


def test_front_archs_outside_the_new_space_are_counted(tmp_path: Path, source: Path) -> None:
    space = msgspec.structs.replace(STUDY.space, rules=Rules(max_depth=3))
    recipe = msgspec.structs.replace(STUDY.recipe, epochs=9)
    found = take(begun(tmp_path / "new", study(source, space=space, recipe=recipe)))
    assert found.sentence.endswith("2 of its front are trained first, 2 do not fit (2 kept out by the rules of the space 'small')")


def test_a_folder_without_a_study_is_one_sentence(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no study: .* at engine\.warm_start"):
        open_source(study(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"`warm_start` must name the folder of another study, but got '.*', this study's own"):
        open_source(study(source), source)
    assert open_source(STUDY) is None


def test_a_study_without_a_folder_imports_nothing(tmp_path: Path) -> None:
    listed = msgspec.structs.replace(STUDY, engine=Proposer(name="optuna", warm_start=(arch(TRIALS[1].layout),)))
    ledger = begun(tmp_path / "new", listed)
    assert import_trials(ledger, "jax", ANCHOR, Predictor(listed)) is None
    assert warm_starts(listed, None) == (arch(TRIALS[1].layout),)
    assert imported(ledger) is None


def test_starts_that_are_skipped_are_named() -> None:
    assert starts_note(STUDY, ()) == ""
    assert starts_note(STUDY, (arch(TRIALS[3].layout),)) == (
        "1 warm start is over budget as predicted and left out: B2(17, h48, m128, a3)-2(9, h48, m96, a3)"
    )
    assert starts_note(STUDY, (arch(TRIALS[3].layout), arch(TRIALS[7].layout))).startswith("2 warm starts are over budget as predicted")
