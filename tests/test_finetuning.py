"""Runs that start from a model's folder: what they take over, and what is told otherwise."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from trainings import ARCH, DATA, RECIPE, RUN

from fvsearch.archs.arch import Arch, Stage
from fvsearch.errors import ConfigError
from fvsearch.finetuning import finetune_run
from fvsearch.records import to_toml
from fvsearch.study import Data
from fvsearch.weights.card import ModelCard

SHAPES = Data(source="shapes", image_size=8, channels=1, num_classes=3, options={"samples": 60})
CARD = ModelCard(arch=ARCH, image_size=(8, 8), channels=1, num_classes=3, source="stripes", evidence={"validation": {"top1": 0.75}})
TABLE = 'source = "shapes"\nnum_classes = 4\n'


def folder_of(folder: Path, run: Any = RUN, card: ModelCard = CARD) -> Path:
    """A model's folder whose model nobody opens."""
    folder.mkdir()
    (folder / "model.keras").touch()
    (folder / "model.toml").write_text(to_toml(card))
    if run:
        (folder / "run.toml").write_text(to_toml(run))
    return folder


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "trained", msgspec.structs.replace(RUN, data=SHAPES))


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "vit (small)", run=None)


def test_what_is_not_said_is_as_in_the_run(trained: Path) -> None:
    run = finetune_run(trained)
    assert (run.arch, run.data, run.recipe, run.seed, run.start) == (ARCH, SHAPES, RECIPE, RUN.seed, str(trained))
    assert run.name == "stripes-finetuned"
    known = run.evidence["finetuned_from"]
    assert known == {"source": "stripes", "layout": "B1(5, h16, m16, a2)", "image_size": [8, 8], "validation": {"top1": 0.75}}


def test_resolution_arch_epochs_and_settings(trained: Path) -> None:
    run = finetune_run(
        trained,
        arch="B1(17, h16, m16, a2)-2(9, h16, m16, a2)",
        image_size=16,
        epochs=7,
        settings=["recipe.learning_rate=0.5", "arch.norm_epsilon=1e-5", "seed=8", "data.options.samples=90"],
    )
    assert run.name == "stripes-finetuned-as-B1-17-h16-m16-a2-2-9-h16-m16-a2-16"
    assert run.data == msgspec.structs.replace(SHAPES, image_size=16, options={"samples": 90})
    assert [stage.depth for stage in run.arch.stages] == [1, 2]
    assert (run.arch.patch_size, run.arch.norm_epsilon) == (4, 1e-5)
    assert (run.recipe.epochs, run.recipe.learning_rate, run.seed) == (7, 0.5, 8)


def test_a_layout_does_not_say_what_weights_depend_on(tmp_path: Path) -> None:
    own = msgspec.structs.replace(ARCH, activation="gelu_tanh", norm_epsilon=1e-3)
    folder = folder_of(tmp_path / "own", card=msgspec.structs.replace(CARD, arch=own))
    found = finetune_run(folder, arch="B2(5, h16, m16, a2)").arch
    assert (found.activation, found.norm_epsilon, found.depth) == ("gelu_tanh", 1e-3, 2)
    path = tmp_path / "arch.toml"
    path.write_text(to_toml(Arch(patch_size=2, stages=(Stage(depth=1, width=16, mlp_dim=16, num_heads=2),))))
    assert finetune_run(folder, arch=str(path)).arch.norm_epsilon == 1e-6, "a file says all"


def test_an_imported_model_is_told_its_data(imported: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(to_toml(RECIPE))
    (tmp_path / "data.toml").write_text(TABLE)
    (tmp_path / "study.toml").write_text(f'name = "other"\n[data]\n{TABLE}')
    recipe = str(tmp_path / "recipe.toml")
    wanted = Data(source="shapes", image_size=8, channels=1, num_classes=4)
    for data, settings in ((str(tmp_path / "data.toml"), []), (str(tmp_path / "study.toml"), []), ("shapes", ["data.num_classes=4"])):
        run = finetune_run(imported, recipe=recipe, data=data, settings=settings)
        assert (run.data, run.recipe, run.name, run.seed) == (wanted, RECIPE, "vit-small-finetuned", 0)
    said = [f"data.{name}={value}" for name, value in (("source", "shapes"), ("num_classes", 4), ("image_size", 8), ("channels", 1))]
    assert finetune_run(imported, recipe=recipe, settings=said).data == wanted
    with pytest.raises(ConfigError, match=r"an imported model, which says nothing of data: give --data FILE\.toml"):
        finetune_run(imported, recipe=recipe)
    assert finetune_run(imported, recipe=recipe, data="shapes").data.num_classes == CARD.num_classes
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    assert finetune_run(imported, recipe=recipe, data=f"folder:{tmp_path / 'photos'}").data.num_classes == 2
    with pytest.raises(ConfigError, match=r"must name a folder of class folders, but .* is not there"):
        finetune_run(imported, recipe=recipe, data="folder:nowhere")
    (tmp_path / "data.toml").write_text("num_classes = 4\n")
    with pytest.raises(ConfigError, match=r"must have the key `source`, by itself or in \[data\], but .*data\.toml has none"):
        finetune_run(imported, recipe=recipe, data=str(tmp_path / "data.toml"))


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"image_size": 10}, "`image_size` must divide by `patch_size`, but got image_size=10x10, patch_size=4"),
        ({"arch": "B1(5, h16, m16, a2)", "image_size": 16}, "the first stage must hold 17 tokens"),
        ({"arch": "B1(5, h32, m16, a2)"}, r"none of the weights of B1\(5, h16, m16, a2\) fits B1\(5, h32, m16, a2\); give another --arch"),
        ({"arch": "vit-b17"}, "no arch 'vit-b17'"),
        ({"settings": ["recipe.epoch=3"]}, r"unknown key `epoch` \(did you mean 'epochs'\?\) at recipe in the run that fine-tunes"),
        ({"settings": ["epochs=3"]}, "unknown key `epochs`"),
        ({"settings": ["recipe"]}, "a setting must read KEY=VALUE"),
        ({"recipe": "nothing.toml"}, "nothing"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_sentence(changes: dict[str, Any], law: str, trained: Path) -> None:
    with pytest.raises(ConfigError, match=law):
        finetune_run(trained, **changes)


def test_other_data_leave_nothing_of_the_runs_data(trained: Path, tmp_path: Path) -> None:
    assert DATA.options
    folder = folder_of(tmp_path / "of-stripes")
    run = finetune_run(folder, data="shapes", settings=["data.num_classes=3"])
    assert run.data == Data(source="shapes", image_size=8, channels=1, num_classes=3)
