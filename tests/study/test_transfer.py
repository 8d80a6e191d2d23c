from pathlib import Path

import msgspec
import pytest
from transfers import DATA, STUDY

from fvsearch.errors import ConfigError
from fvsearch.library import is_transfer, load_study, load_transfer, shipped
from fvsearch.records import from_builtins, from_toml, to_builtins, to_toml
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.transfer import Published, Training, TransferStudy, Way


def test_ways_are_all_pairs_and_the_first_arch_comes_first() -> None:
    assert STUDY.ways == (Way("ViT", "ViT"), Way("ViT", "Funnel"), Way("Funnel", "ViT"), Way("Funnel", "Funnel"))
    assert STUDY.num_runs == 3 * (2 + 4)


def test_it_survives_toml(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(to_toml(STUDY))
    assert from_toml(tmp_path / "study.toml", TransferStudy) == STUDY


@pytest.mark.parametrize("name", shipped("transfers"))
def test_what_ships_loads_and_says_what_it_is(name: str) -> None:
    study = load_transfer(name)
    assert study.name == name
    assert study.description
    assert shipped("transfers")[name].read_text().startswith(f"# {name}")
    assert from_builtins(to_builtins(study), TransferStudy) == study
    assert study.seeds >= 3
    assert study.finetuning.data.image_shape > study.pretraining.data.image_shape, "at a higher resolution"
    assert len(study.published) == 4


def test_what_fine_tuning_does_not_say_of_its_data_is_the_pre_trainings() -> None:
    study = load_transfer("transfer-shapes", ["pretraining.data.seed=3", "seeds=5", "finetuning.recipe.epochs=2"])
    assert (study.seeds, study.finetuning.recipe.epochs) == (5, 2)
    assert study.finetuning.data == msgspec.structs.replace(study.pretraining.data, image_size=study.finetuning.data.image_size)
    assert study.finetuning.data.seed == 3


def test_searches_and_transfers_are_told_apart() -> None:
    assert is_transfer("transfer-shapes")
    assert not is_transfer("quickstart")
    assert not is_transfer("nothing of the kind")
    assert "transfer-shapes" not in shipped("studies")
    with pytest.raises(ConfigError, match="is a transfer study, which trains all that it names"):
        load_study("transfer-shapes")


def test_colours_are_altered_of_images_that_have_them() -> None:
    recipe = msgspec.structs.replace(STUDY.finetuning.recipe, augmentation=Augmentation(grayscale=0.2))
    with pytest.raises(ConfigError, match=r"`augmentation.grayscale` must be 0 for images without red, green and blue"):
        Training(data=DATA, recipe=recipe)


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"archs": {}}, "`archs` must name at least one arch"),
        ({"archs": {"a/b": STUDY.archs["ViT"]}, "published": ()}, "`name` must be letters, digits"),
        ({"name": "../up"}, "`name` must be letters, digits"),
        ({"seeds": 0}, "`seeds` must be at least 1"),
        (
            {"finetuning": Training(data=msgspec.structs.replace(DATA, image_size=11), recipe=STUDY.finetuning.recipe)},
            "`image_size` must divide by `patch_size`, but got image_size=11x11, patch_size=2",
        ),
        (
            {"finetuning": Training(data=msgspec.structs.replace(DATA, channels=3), recipe=STUDY.finetuning.recipe)},
            "images of as many channels, but got 1 and 3",
        ),
        (
            {"published": (Published(pretrained="ViT", finetuned="Vit", train_top1=0.7, top1=0.7),)},
            "must be of the study's archs, but got 'Vit' at published[0]",
        ),
    ],
)
def test_laws(changes: dict[str, object], law: str) -> None:
    with pytest.raises(ConfigError) as caught:
        msgspec.structs.replace(STUDY, **changes)
    assert law in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("finetuning.recipe.epoch=5", "unknown key `epoch` (did you mean 'epochs'?) at finetuning.recipe in"),
        ("archs.ViT=B4(18)", "but got 18 at stage 0 of 'B4(18)' at archs.ViT in"),
        ("archs.ViT=vit-b99", "no arch 'vit-b99' (did you mean"),
    ],
)
def test_a_bad_setting_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_transfer("transfer-shapes", [setting])
    assert sentence in str(caught.value)
