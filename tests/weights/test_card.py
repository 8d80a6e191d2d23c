"""A model's folder: written, read, and refused where something is missing or broken."""

from pathlib import Path

import numpy as np
import pytest

from fvsearch.errors import ConfigError
from fvsearch.models import build_model
from fvsearch.testing import tiny_arch
from fvsearch.weights.card import ModelCard, read_card, read_model, write_model

CARD = ModelCard(arch=tiny_arch(), image_size=(8, 8), channels=1, num_classes=3, source="a test", evidence={"top1": 0.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path, build_model(CARD.arch, image_shape=CARD.image_shape, num_classes=3, seed=1), CARD)
    return tmp_path


def test_card_and_weights_come_back(folder):
    card, model = read_model(folder)
    assert card == CARD
    wanted = build_model(CARD.arch, image_shape=CARD.image_shape, num_classes=3, seed=1)
    for found, expected in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not model.compiled


@pytest.mark.parametrize("name", ["model.keras", "model.toml"])
def test_a_folder_that_lacks_a_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"has no {name}"):
        read_card(folder)


def test_a_kill_leaves_no_card_beside_another_model(folder, monkeypatch):
    monkeypatch.setattr("fvsearch.weights.card.write_atomically", lambda path, content: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception, match="killed"):
        write_model(folder, build_model(CARD.arch, image_shape=CARD.image_shape, num_classes=5), CARD)
    with pytest.raises(ConfigError, match=r"has no model\.toml"):
        read_card(folder)


def test_a_broken_model_is_one_sentence(folder):
    (folder / "model.keras").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"model\.keras does not load"):
        read_model(folder)
