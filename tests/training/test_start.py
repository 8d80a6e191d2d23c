"""Weights to start from: put in once, before the first epoch, and part of what a training is."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from trainings import ARCH, EXAMPLES, RECIPE, RUN, weights

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.training import start
from fvsearch.training.run import Run, train_run
from fvsearch.training.start import read_start, resolve_start
from fvsearch.weights.card import ModelCard, read_model, write_model

SHORT = msgspec.structs.replace(RECIPE, epochs=2)
POOLED = msgspec.structs.replace(ARCH, stages=(*ARCH.stages, Stage(depth=1, width=16, mlp_dim=16, num_heads=2, pool_stride=2)))


def write_source(folder: Path, arch: Arch = ARCH, seed: int = 99, num_classes: int = 3) -> Path:
    folder.mkdir()
    card = ModelCard(arch=arch, image_size=(8, 8), channels=1, num_classes=num_classes, source="a test")
    write_model(folder, build_model(arch, image_shape=(8, 8, 1), num_classes=num_classes, seed=seed), card)
    return folder


def begun_from(folder: Path, arch: Arch = ARCH) -> Run:
    return msgspec.structs.replace(RUN, arch=arch, recipe=SHORT, start=str(folder))


def interrupt(metrics):
    raise KeyboardInterrupt


def test_a_training_begins_with_the_weights_of_its_start_and_goes_on_with_its_own(tmp_path, played):
    source = write_source(tmp_path / "source")

    with pytest.raises(KeyboardInterrupt):
        train_run(begun_from(source), tmp_path / "run", interrupt)
    expected = weights(read_model(source)[1])
    assert played[0].keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(played[0][path], value)
    told = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert (told["folder"], told["source"], told["skipped"], len(told["loaded"])) == (str(source), "a test", [], len(expected))
    assert told["sha256"] == read_start(str(source)).sha256
    # The start is not asked for again.
    shutil.rmtree(source)
    summary = train_run(begun_from(source), tmp_path / "run")
    assert summary.last.epoch == 1
    assert [path for path, value in expected.items() if (played[1][path] != value).any()] == ["head/bias"], "what the first epoch changed"
    (note,) = summary.notes
    assert note.startswith(f"weights from {source}: All ")


def test_a_funnel_starts_from_a_vit_and_says_what_did_not_fit(tmp_path, played):
    source = write_source(tmp_path / "source", num_classes=7)
    summary = train_run(begun_from(source, POOLED), tmp_path / "run")
    expected = weights(read_model(source)[1])
    stayed = {path for path, value in played[0].items() if not np.array_equal(value, expected.get(path))}
    assert stayed and all(path.startswith(("stage1_", "head/")) for path in stayed), "one block more, other classes"
    (note,) = summary.notes
    assert "stayed as they were" in note and "head" in note


def test_where_nothing_fits_the_user_is_told(tmp_path, played):
    wide = Arch(patch_size=4, stages=(Stage(depth=1, width=24, mlp_dim=40, num_heads=2),))
    source = write_source(tmp_path / "source", wide)
    _, note = train_run(begun_from(source), tmp_path / "run").notes
    assert note.startswith(f"no kernel of {source} fits this arch, so in effect it is trained from scratch")


def test_a_start_that_is_no_more_what_it_was_is_refused(tmp_path, played):
    source = write_source(tmp_path / "source")

    with pytest.raises(KeyboardInterrupt):
        train_run(begun_from(source), tmp_path / "run", interrupt)
    shutil.rmtree(source)
    write_source(source, seed=98)
    with pytest.raises(ConfigError, match=r"started from other weights than it would now: those of the model \w{12} there and those of"):
        train_run(begun_from(source), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"those of the model \w{12} there and the seed's here; give another folder"):
        train_run(msgspec.structs.replace(begun_from(source), start=None), tmp_path / "run")


def test_without_a_model_it_does_not_begin(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(ConfigError, match=r"a model's folder must hold model\.keras and model\.toml"):
        train_run(begun_from(tmp_path / "source"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="a model's folder must hold"):
        resolve_start(str(tmp_path / "source"), EXAMPLES)
    assert start.transfer_notes(tmp_path) == []
