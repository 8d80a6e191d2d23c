"""A folder holds one training."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from trainings import ARCH, RECIPE, segment_in

from fvsearch.archs.arch import Stage
from fvsearch.errors import ConfigError
from fvsearch.training.ownership import claim_folder, identify

DEEPER = msgspec.structs.replace(ARCH, stages=(Stage(depth=2, width=16, mlp_dim=16, num_heads=2),))


def claim(folder: Path, backend: str, **changes: Any) -> list[str]:
    return claim_folder(folder, identify(segment_in(folder, **changes), backend))


@pytest.fixture
def claimed(tmp_path: Path) -> Path:
    """The folder of a training on jax, with a file of its state."""
    assert claim(tmp_path, "jax") == []
    (tmp_path / "metrics.jsonl").write_text("of the training")
    return tmp_path


def test_a_training_finds_its_folder_again(claimed: Path) -> None:
    assert claim(claimed, "jax", from_epoch=1, max_memory=5.0) == []
    assert (claimed / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 6}, "`seed` is 5 there and 6 here"),
        ({"recipe": msgspec.structs.replace(RECIPE, learning_rate=0.1)}, "`recipe.learning_rate` is 0.01 there and 0.1 here"),
        ({"arch": DEEPER}, r"`arch.stages\[0\].depth` is 1 there and 2 here"),
    ],
)
def test_another_training_is_refused_with_the_difference(changes: dict[str, Any], difference: str, claimed: Path) -> None:
    with pytest.raises(ConfigError, match=f"a folder holds one training, but in .* is another: {difference}; give another folder"):
        claim(claimed, "jax", **changes)
    assert (claimed / "metrics.jsonl").exists()


def test_an_inactive_choice_is_no_difference(claimed: Path) -> None:
    inactive = msgspec.structs.replace(ARCH, stages=(msgspec.structs.replace(ARCH.stages[0], pooling="max"),))
    assert claim(claimed, "jax", arch=inactive) == []


def test_on_another_backend_the_training_is_begun_anew(claimed: Path) -> None:
    assert claim(claimed, "torch") == ["the folder held a training on jax: trained from the start"]
    assert not (claimed / "metrics.jsonl").exists()
    assert claim(claimed, "torch") == []


def test_a_training_that_trained_nothing_makes_way_for_another(claimed: Path) -> None:
    (claimed / "metrics.jsonl").write_text("")
    assert claim(claimed, "jax", seed=6) == []
    (claimed / "metrics.jsonl").write_text("of the other")
    with pytest.raises(ConfigError, match="`seed` is 6 there and 5 here"):
        claim(claimed, "jax")


def test_state_without_an_owner_is_nobodys(claimed: Path) -> None:
    (claimed / "training.json").write_text("{")
    (note,) = claim(claimed, "jax")
    assert note.startswith("training.json, which says whose training the folder holds, did not read")
    assert not (claimed / "metrics.jsonl").exists()
    assert claim(claimed, "jax") == []
    (claimed / "training.json").unlink()
    assert claim(claimed, "jax") == []


@pytest.mark.parametrize("content", [None, "{"])
def test_a_model_without_a_training_is_not_overwritten(content: str | None, tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    (tmp_path / "checkpoint.npz").touch()
    if content is not None:
        (tmp_path / "training.json").write_text(content)
    with pytest.raises(ConfigError, match=r"a folder holds one model, but in .* is one that would be overwritten"):
        claim(tmp_path, "jax")
    assert (tmp_path / "checkpoint.npz").exists()
