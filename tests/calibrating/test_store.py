from pathlib import Path

import msgspec
import pytest
from calibrated import MACHINE, STUDY, anchor, calibration

from fvsearch.calibrating import store
from fvsearch.calibrating.store import calibration_path, find_calibration, load_calibration, require_fitting, save_calibration
from fvsearch.costs.calibration import Calibration
from fvsearch.costs.conditions import Conditions
from fvsearch.errors import ConfigError
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor
from fvsearch.study import Study

FOUND = calibration()
ANCHOR = anchor(FOUND)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def keep(found: Calibration = FOUND) -> Path:
    path = calibration_path(found.conditions, found.machine)
    save_calibration(found, path)
    return path


def test_a_calibration_reads_back_as_it_was_kept(folder: Path) -> None:
    path = keep()
    assert path.parent == folder
    assert path.name.startswith("none-jax-")
    assert load_calibration(path) == FOUND


def test_without_the_environments_word_it_is_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.calibrations_folder({}).is_relative_to(tmp_path)


def test_the_kept_one_that_fits_is_found_and_says_how_far_it_errs() -> None:
    assert find_calibration(STUDY, ANCHOR).calibration is None
    path = keep()
    found = find_calibration(STUDY, ANCHOR)
    assert found.calibration == FOUND
    assert f"{FOUND.memory.error.mape:.1%} on average" in found.note
    assert str(path) in found.note


DIFFERENT: dict[str, tuple[list[str], dict[str, object], str]] = {
    "batch": (["recipe.batch_size=32"], {}, "batch_size 64 there, 32 here"),
    "cost batch": (["budget.batch_size=8"], {}, "batch_size 64 there, 8 here"),
    "dtype": (['recipe.dtype="mixed_bfloat16"'], {}, "dtype float32 there, mixed_bfloat16 here"),
    "phase": (['budget.phase="inference"'], {}, "phase training there, inference here"),
    "optimizer": (['recipe.optimizer="sgd"'], {}, "optimizer adamw there, sgd here"),
    "dropout": (["recipe.dropout=0.2"], {}, r"dropout 0\.1 there, 0\.2 here"),
    "stochastic depth": (["recipe.stochastic_depth=0.2"], {}, r"stochastic_depth 0\.0 there, 0\.2 here"),
    "clip": (["recipe.clip_norm=1.0"], {}, "clip False there, True here"),
    "baseline": (['baseline="B1(17, h48, m96, a3)-2(17, h48, m96, a3)"'], {}, "baseline [0-9a-f]{12} there, [0-9a-f]{12} here"),
    "space": (["space.stages.0.width=[16, 32]"], {}, "archs [0-9a-f]{12} there, [0-9a-f]{12} here"),
    "image": (["data.channels=3"], {}, r"image_shape \[8, 8, 1\] there, \[8, 8, 3\] here"),
    "classes": (["data.num_classes=3"], {}, "num_classes 10 there, 3 here"),
    "device": ([], {"device": "NVIDIA H200"}, "device none there, NVIDIA H200 here"),
    "keras": ([], {"versions": MACHINE.versions | {"keras": "4"}}, "version of keras 2 there, 4 here"),
    "jax": ([], {"versions": MACHINE.versions | {"jax": "5"}}, "version of jax 3 there, 5 here"),
    "fvsearch": ([], {"versions": MACHINE.versions | {"fvsearch": "6"}}, "version of fvsearch 1 there, 6 here"),
    "the step itself": ([], {"memory": 2.0 * ANCHOR.memory}, r"memory of the baseline \d+ bytes there, \d+ here"),
}


def case(name: str) -> tuple[Study, Anchor, str]:
    settings, anchor, sentence = DIFFERENT[name]
    return load_study("quickstart", settings), msgspec.structs.replace(ANCHOR, **anchor), sentence


@pytest.mark.parametrize("name", DIFFERENT)
def test_one_that_does_not_fit_is_refused_with_a_sentence_that_names_what_differs(name: str) -> None:
    study, anchor, sentence = case(name)
    with pytest.raises(ConfigError, match=rf"^the calibration here\.json does not fit quickstart: {sentence}; `fvsearch calibrate STUDY`"):
        require_fitting(FOUND, "here.json", study, "jax", anchor)


@pytest.mark.parametrize("name", DIFFERENT)
def test_one_that_nearly_fits_is_not_used_and_the_note_says_why(name: str) -> None:
    study, anchor, _ = case(name)
    path = keep()
    found = find_calibration(study, anchor)
    assert found.calibration is None
    assert found.note.startswith("not calibrated")
    assert f"{path} does not fit: " in found.note


def test_another_backend_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="backend jax there, torch here"):
        require_fitting(FOUND, "here.json", STUDY, "torch")
    require_fitting(FOUND, "here.json", STUDY, "jax")


def test_other_cores_are_another_cpu() -> None:
    two, one = (msgspec.structs.replace(MACHINE, device="cpu", cores=cores) for cores in (2, 1))
    assert msgspec.structs.replace(FOUND, machine=two).differences(FOUND.conditions, one) == ["cores 2 there, 1 here"]


def test_another_processor_and_other_threads_are_another_cpu() -> None:
    there, here = (
        msgspec.structs.replace(MACHINE, device="cpu", cores=2, processor=processor, threads=threads)
        for processor, threads in (("EPYC", {"NPROC": "1"}), ("Xeon", {"NPROC": "2", "OMP_NUM_THREADS": "1"}))
    )
    assert msgspec.structs.replace(FOUND, machine=there).differences(FOUND.conditions, here) == [
        "NPROC 1 there, 2 here",
        "OMP_NUM_THREADS none there, 1 here",
        "processor EPYC there, Xeon here",
    ]
    assert calibration_path(FOUND.conditions, there) != calibration_path(FOUND.conditions, here)


def test_a_file_that_was_tampered_with_is_refused_and_not_used(tmp_path: Path) -> None:
    good = msgspec.json.decode(msgspec.json.encode(FOUND))
    for harm, sentence in (
        ({"sample": []}, "`sample` must hold the baseline"),
        ({"memory": good["memory"] | {"prices": {"weight": 1.0}}}, "`memory.prices` must be of .*, but got weight"),
        ({"step_time": good["step_time"] | {"left_out": []}}, "`step_time.left_out` must be as long as `sample`, 25, but got 0"),
    ):
        path = keep()
        path.write_bytes(msgspec.json.encode(good | harm))
        with pytest.raises(ConfigError, match=sentence):
            load_calibration(path)
        assert find_calibration(STUDY, ANCHOR).calibration is None


def test_one_of_something_else_altogether_is_not_mentioned() -> None:
    keep()
    note = find_calibration(load_study("quickstart", ["recipe.batch_size=32", "recipe.dropout=0.0"]), ANCHOR).note
    assert "does not fit" not in note
    assert "fvsearch calibrate STUDY" in note


def test_a_file_of_another_version_is_passed_over_when_looked_up_and_refused_when_named(folder: Path) -> None:
    folder.mkdir()
    path = folder / "old.json"
    path.write_text('{"conditions": 1}', encoding="utf-8")
    assert find_calibration(STUDY, ANCHOR).calibration is None
    with pytest.raises(ConfigError, match="holds no calibration of this version of fvsearch"):
        load_calibration(path)
    with pytest.raises(ConfigError, match=r"cannot read the calibration .*missing\.json: No such file"):
        load_calibration(folder / "missing.json")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .* give another file with --out"):
        save_calibration(FOUND, tmp_path / "file" / "calibration.json")


def test_equal_conditions_have_equal_digests_and_others_do_not() -> None:
    digests = {Conditions.of(case(name)[0], "jax").digest for name in DIFFERENT}
    assert Conditions.of(STUDY, "jax").digest == FOUND.conditions.digest
    assert len(digests) == sum(bool(settings) for settings, _, _ in DIFFERENT.values()) + 1
