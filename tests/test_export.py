"""A front point as a run: what it carries, and what is refused."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from confirmations import enter
from ledgers import EVERY_STATE, MIB, STUDY, TRIALS, arch, empty, fill

from fvsearch.errors import ConfigError
from fvsearch.export import export_run, write_run
from fvsearch.ledger import Ledger
from fvsearch.records import from_toml
from fvsearch.training.run import Run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return fill(empty(tmp_path_factory.mktemp("small")))


@pytest.mark.parametrize(("pick", "number"), [("knee", 2), ("best", 3), ("fastest", 1), ("smallest", 1)])
def test_a_pick_names_its_trial(pick: str, number: int, small: Ledger) -> None:
    run = export_run(small, pick=pick)
    assert run.evidence["trial"] == number
    assert run.arch == arch(TRIALS[number].layout)
    assert run.name == f"small-{number}"


def test_without_a_word_it_is_the_knee(small: Ledger) -> None:
    assert export_run(small) == export_run(small, pick="knee")


def test_recipe_data_and_seed_travel_along(small: Ledger) -> None:
    run = export_run(small, pick="best")
    assert (run.data, run.recipe) == (STUDY.data, STUDY.recipe)
    # The seed of the trial's first training, so that the same recipe gives the same weights.
    assert run.seed == 300


def test_more_epochs_change_the_recipe_and_not_the_evidence(small: Ledger) -> None:
    run = export_run(small, pick="best", epochs=50)
    assert run.recipe.epochs == 50
    assert run.evidence["epochs"] == STUDY.recipe.epochs


def test_the_evidence_of_a_stopped_trial_is_of_the_epochs_that_it_had(tmp_path: Path) -> None:
    run = export_run(fill(empty(tmp_path), EVERY_STATE), trial=6)
    assert (run.evidence["place"], run.evidence["epochs"], run.recipe.epochs) == ("stopped", 2, STUDY.recipe.epochs)


def test_the_evidence_tells_what_fresh_seeds_say(small: Ledger, tmp_path: Path) -> None:
    assert "fresh_seeds" not in export_run(small, trial=3).evidence
    known = export_run(enter(fill(empty(tmp_path))), trial=3).evidence["fresh_seeds"]
    assert (known["objective"], known["seeds"], known["verdict"]) == ("top1", 3, "tied")
    assert known["mean"] == pytest.approx(0.935)
    assert known["low"] < 0.935 < known["high"]


def test_the_evidence_tells_what_the_search_knew(small: Ledger) -> None:
    known = export_run(small, trial=3).evidence
    assert (known["study"], known["trial"], known["picks"], known["place"]) == ("small", 3, ["best"], "front")
    assert known["layout"] == "B2(17, h48, m128, a3)-2(9, h48, m96, a3)"
    assert known["arch_hash"] == arch(known["layout"]).arch_hash
    assert known["values"] == {"top1": 0.97, "memory": 8 * MIB}
    assert (known["memory"]["predicted"], known["memory"]["measured"]) == (8.1 * MIB, 8 * MIB)
    assert (known["throughput"]["measured"], known["throughput"]["low"]) == (2300, 2280)
    assert known["versions"]["keras"] == "3.15.1"


def test_a_trial_off_the_front_may_be_exported_by_number(small: Ledger) -> None:
    run = export_run(small, trial=4)
    assert run.evidence["place"] == "dominated"
    assert "measured" not in run.evidence["throughput"]


@pytest.mark.parametrize(
    ("trial", "law"),
    [
        (40, r"`trial` must be a trial of .*, but got 40: it has 13 trials, 0 to 12"),
        (7, r"trial 7 failed \(the loss is NaN in epoch 3\); trained within it: 0, 1, 2, 3, 4, 5, 9, 10"),
        (6, r"trial 6 is over budget \(memory is 12.0 MiB as measured"),
        (8, r"trial 8 is over budget \(throughput 5.0% short of its limit\)"),
        (11, r"trial 11 is still running; trained"),
    ],
)
def test_a_trial_that_was_not_trained_within_the_budget_is_refused(trial: int, law: str, small: Ledger) -> None:
    with pytest.raises(ConfigError, match=law):
        export_run(small, trial=trial)


def test_an_unknown_pick_is_refused_with_the_nearest(small: Ledger) -> None:
    with pytest.raises(ConfigError, match=r"but got 'fast' \(did you mean 'fastest'\?\)"):
        export_run(small, pick="fast")


def test_an_empty_front_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"front of .* is empty: No trial has started yet"):
        export_run(empty(tmp_path))
    with pytest.raises(ConfigError, match="it has none yet"):
        export_run(empty(tmp_path), trial=0)
    with pytest.raises(ConfigError, match="none is yet"):
        export_run(fill(empty(tmp_path), (TRIALS[7],)), trial=0)


def test_the_file_reads_back_as_the_run(small: Ledger, tmp_path: Path) -> None:
    run, path = export_run(small, pick="best"), tmp_path / "run.toml"
    write_run(run, path)
    assert from_toml(path, Run) == run
    assert [one.name for one in tmp_path.iterdir()] == ["run.toml"]


def test_the_file_opens_with_the_command_that_trains_it(small: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "my run\n.toml"
    write_run(export_run(small), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Trial 2 of the study small, B2(17, h32, m96, a2)-2(9, h32, m64, a2), exported by fvsearch ")
    assert f"#     fvsearch train '{tmp_path}/my run?.toml'\n" in text
    tomllib.loads(text)


def test_a_file_is_overwritten_only_when_told(small: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="--force overwrites it"):
        write_run(export_run(small), path)
    assert path.read_text() == "mine"
    write_run(export_run(small), path, overwrite=True)
    assert from_toml(path, Run).name == "small-2"


def test_a_folder_that_is_not_there_is_one_sentence(small: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*give another file with -o"):
        write_run(export_run(small), tmp_path / "none" / "run.toml")


def test_exporting_loads_no_keras() -> None:
    code = "import sys, fvsearch.export; print('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
