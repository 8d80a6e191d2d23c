from pathlib import Path

import pytest

from fvsearch.archs.arch import named_arch
from fvsearch.archs.layout import parse_layout
from fvsearch.errors import ConfigError
from fvsearch.library import load_arch, load_recipe, load_space, load_study, shipped
from fvsearch.records import to_toml
from fvsearch.study import Study
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.recipe import Recipe


def test_what_ships_is_found_by_name() -> None:
    assert {"quickstart", "reinvestment", "reinvestment-shapes"} <= shipped("spaces").keys()
    assert {"quickstart", "reinvestment", "compression", "reinvestment-shapes"} <= shipped("studies").keys()


@pytest.mark.parametrize("kind", ["spaces", "studies"])
def test_every_shipped_file_has_a_name_of_its_own_and_a_header(kind: str) -> None:
    for name, path in shipped(kind).items():
        loaded = load_space(name) if kind == "spaces" else load_study(name)
        assert loaded.name == name
        assert loaded.description
        assert path.read_text().startswith(f"# {name}")


def test_settings_change_a_study() -> None:
    study = load_study(
        "quickstart", ["recipe.epochs=5", "space.stages.0.depth=[2, 3]", "budget.memory=0.5x", 'name="other"', "data.test=0.1"]
    )
    assert study.recipe.epochs == 5
    assert study.space is not None
    assert study.space.stages[0].depth == (2, 3)
    assert study.budget.memory == "0.5x"
    assert study.name == "other"
    assert study.data.test == 0.1


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("recipe.epoch=5", "unknown key `epoch` (did you mean 'epochs'?) at recipe in"),
        ("recipe.epochs=many", "expected `int`, got `str`, but the value is 'many' at recipe.epochs in"),
        ("recipe.epochs", "a setting must read KEY=VALUE"),
        ("=5", "a setting must read KEY=VALUE"),
        ("a..b=5", "a setting must read KEY=VALUE"),
        ("space.stages.7.depth=1", "a list's key must be an index from 0 to 2, but got '7'"),
        ("space.stages.x.depth=1", "a list's key must be an index from 0 to 2, but got 'x'"),
        ("trials.x.y=1", "a setting's key must lead to a value, but 'trials' holds 28"),
        ("space=quickstrat", "no space 'quickstrat' (did you mean 'quickstart'?)"),
        ("baseline=B4(18)", "but got 18 at stage 0 of 'B4(18)' at baseline in"),
        ("baseline=vit-b16", "`image_size` must divide by `patch_size`, but got image_size=8x8, patch_size=16"),
    ],
)
def test_a_bad_setting_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study("quickstart", [setting])
    assert sentence in str(caught.value)


def test_a_layout_needs_one_patch_size() -> None:
    with pytest.raises(ConfigError, match=r"a layout needs one `patch_size` .* at baseline"):
        load_study("quickstart", ["space.patch_size=[2, 4]"])


def test_a_study_finds_its_space_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(shipped("spaces")["quickstart"].read_text())
    text = shipped("studies")["quickstart"].read_text().replace('space = "quickstart"', 'space = "mine.toml"')
    (tmp_path / "study.toml").write_text(text)
    assert load_study(str(tmp_path / "study.toml")).space == load_space("quickstart")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("quikstart", "no study 'quikstart' (did you mean 'quickstart'?)"),
        ("missing.toml", "no file missing.toml"),
        ("x/y", "no study 'x/y'"),
    ],
)
def test_an_unknown_study_is_one_sentence(source: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(source)
    assert sentence in str(caught.value)


def test_an_arch_is_a_name_a_layout_or_a_file(tmp_path: Path) -> None:
    assert load_arch("vit-s16") == named_arch("vit-s16")
    assert load_arch("B6-6", patch_size=2, image_size=8) == parse_layout("B6(17)-6(9)", patch_size=2, image_size=8)
    path = tmp_path / "arch.toml"
    path.write_text(to_toml(named_arch("pixel-tiny")))
    assert load_arch(str(path)) == named_arch("pixel-tiny")
    with pytest.raises(ConfigError, match="no arch 'vit-x16'"):
        load_arch("vit-x16")


def test_a_space_where_a_study_is_wanted_is_refused_with_the_way_out() -> None:
    path = shipped("spaces")["quickstart"]
    with pytest.raises(ConfigError, match=r"toml is a space, and a study is wanted, .* write one with `space = \"quickstart\"`"):
        load_study(str(path))


RULED = """
name = "ruled"
patch_size = 2
head_dim = 16
stages = [
  { depth = [1, 2], width = [32, 48], mlp_dim = [64, 96] },
  { depth = [0, 1], width = [32, 48], mlp_dim = [64, 96], pool_stride = [2, 4] },
]
[rules]
min_tokens = 9
"""


def ruled_study(folder: Path, space: str = RULED, *settings: str) -> Study:
    (folder / "mine.toml").write_text(space)
    text = shipped("studies")["quickstart"].read_text().replace('space = "quickstart"', 'space = "mine.toml"')
    (folder / "study.toml").write_text(text)
    return load_study(str(folder / "study.toml"), settings)


@pytest.mark.parametrize("of_the_space", ["", "image_size = 64"])
def test_a_spaces_rules_count_tokens_at_the_datas_image_size(tmp_path: Path, of_the_space: str) -> None:
    study = ruled_study(tmp_path, RULED + of_the_space)
    assert study.space is not None and study.space.rules is not None
    assert study.space.rules.image_size == 8
    assert {stage.pool_stride for arch in study.space.archs() for stage in arch.stages} == {1, 2}
    larger = ruled_study(tmp_path, RULED + of_the_space, "data.image_size=16", "baseline=B2(65, h48, m96, a3)")
    assert larger.space is not None
    assert {stage.pool_stride for arch in larger.space.archs() for stage in arch.stages} == {1, 2, 4}


def test_a_rule_that_a_setting_makes_counts_at_the_datas_image_size() -> None:
    study = load_study("quickstart", ["space.rules.min_tokens=9"])
    assert study.space is not None and study.space.rules is not None
    assert study.space.rules.image_size == 8


def test_rules_at_another_image_size_than_the_datas_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rules must be the data's, 8, but got 16 at space\.rules; leave it out"):
        load_study("quickstart", ["space.rules.min_tokens=9", "space.rules.image_size=16"])


def test_a_space_by_itself_must_say_where_tokens_are_counted(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RULED)
    with pytest.raises(ConfigError, match=r"`min_tokens` needs the `image_size` .* at rules in .*mine\.toml"):
        load_space(str(tmp_path / "mine.toml"))


def test_a_fault_of_a_named_space_is_told_at_its_own_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key `min_token` \(did you mean 'min_tokens'\?\) at rules in .*mine\.toml"):
        ruled_study(tmp_path, RULED.replace("min_tokens", "min_token"))


def test_listed_starts_are_layouts_and_members() -> None:
    start = "B2(17, h32, m64, a2)-2(9, h32, m64, a2)"
    study = load_study("quickstart", [f"engine.warm_start=['{start}']"])
    assert study.listed_starts == (parse_layout(start, patch_size=2, image_size=8),)
    outside = "B7(17, h32, m64, a2)"
    with pytest.raises(ConfigError, match=r"has \[1, 2\] at stages\.0\.depth, but the arch has 7 at engine\.warm_start\[1\]"):
        load_study("quickstart", [f"engine.warm_start=['{start}', '{outside}']"])
    with pytest.raises(ConfigError, match=r"at engine\.warm_start\[0\] in"):
        load_study("quickstart", ["engine.warm_start=['B2(18)']"])


def test_listed_starts_of_a_list_are_of_the_list() -> None:
    assert len(load_study("compression", ["engine.warm_start=['B12(197)']"]).listed_starts) == 1
    with pytest.raises(ConfigError, match=r"`warm_start` must be of the engine's `archs`, but one is not at engine\.warm_start\[0\]"):
        load_study("compression", ["engine.warm_start=['B11(197)']"])


def test_another_studys_folder_stays_a_name() -> None:
    assert load_study("quickstart", ["engine.warm_start=runs/old"]).engine.warm_start == "runs/old"


def test_archs_to_confirm_are_layouts() -> None:
    study = load_study("quickstart", ["confirm.archs=['B2(17, h32, m64, a2)']"])
    assert study.confirm is not None
    assert study.confirm.archs == (parse_layout("B2(17, h32, m64, a2)", patch_size=2, image_size=8),)


RECIPES = {
    "vit-pretrain": Recipe(
        epochs=300,
        batch_size=4096,
        accumulate=32,
        learning_rate=0.003,
        weight_decay=0.3,
        warmup_steps=10_000,
        augmentation=Augmentation(crop=(0.05, 1.0), flip=True),
    ),
    "vit-finetune": Recipe(
        epochs=8,
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.003,
        momentum=0.9,
        weight_decay=0.0,
        warmup_steps=0,
        clip_norm=1.0,
        augmentation=Augmentation(crop=(0.05, 1.0), flip=True),
    ),
    "pixel-cifar": Recipe(
        epochs=2400,
        batch_size=1024,
        accumulate=8,
        learning_rate=0.004,
        beta_1=0.9,
        beta_2=0.95,
        weight_decay=0.3,
        warmup_epochs=20,
        dtype="mixed_bfloat16",
        augmentation=Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True),
    ),
}
"""The table of the sources' recipes."""


@pytest.mark.parametrize("name", RECIPES)
def test_the_sources_recipes_are_their_table_s(name: str) -> None:
    assert load_recipe(name) == RECIPES[name]


@pytest.mark.parametrize("name", shipped("recipes"))
def test_every_shipped_recipe_says_what_it_is_and_where_it_is_from(name: str) -> None:
    header = shipped("recipes")[name].read_text().partition("\n\n")[0]
    assert header.startswith(f"# {name}: ") and "\n# Source " in header
    assert load_recipe(name).epochs > 0


def test_fine_tuning_is_as_many_steps_as_the_report_s() -> None:
    recipe = load_recipe("vit-finetune")
    assert recipe.epochs * (1_281_167 // recipe.batch_size) == 20_016


def test_a_study_names_its_recipe_or_says_what_differs_from_it(tmp_path: Path) -> None:
    text = shipped("studies")["quickstart"].read_text()
    named = load_study("quickstart")
    assert named.recipe == load_recipe("digits")
    (tmp_path / "study.toml").write_text(
        text.replace('recipe = "digits"\n', "") + '\n[recipe]\nbase = "digits"\nepochs = 7\nwarmup_steps = 3\n'
    )
    changed = load_study(str(tmp_path / "study.toml"), ["recipe.dropout=0.2"]).recipe
    assert (changed.epochs, changed.warmup_steps, changed.warmup_epochs, changed.dropout) == (7, 3, None, 0.2)
    assert (changed.learning_rate, changed.weight_decay) == (0.01, 1.0)


def test_a_recipe_may_be_a_file_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("epochs = 3\n")
    (tmp_path / "study.toml").write_text(shipped("studies")["quickstart"].read_text().replace('"digits"', '"mine.toml"', 1))
    assert load_study(str(tmp_path / "study.toml")).recipe == Recipe(epochs=3)
    (tmp_path / "mine.toml").write_text("epoch = 3\n")
    with pytest.raises(ConfigError, match=r"unknown key `epoch` \(did you mean 'epochs'\?\) in .*mine\.toml"):
        load_study(str(tmp_path / "study.toml"))


def test_settings_go_on_top_of_a_named_recipe() -> None:
    assert load_study("quickstart", ["recipe.epochs=5"]).recipe.epochs == 5
    other = load_study("quickstart", ["recipe.epochs=6", "recipe=vit-finetune", "recipe.batch_size=32"]).recipe
    assert (other.optimizer, other.epochs, other.batch_size) == ("sgd", 8, 32)
    based = load_study("quickstart", ["recipe.base=vit-finetune", "recipe.warmup_epochs=2"]).recipe
    assert (based.optimizer, based.warmup_epochs, based.warmup_steps) == ("sgd", 2, None)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["recipe=vit-pretrian"], "no recipe 'vit-pretrian' (did you mean 'vit-pretrain'?); give a name of `fvsearch list recipes`"),
        (["recipe.base=5"], "`base` must be a recipe's name or path, but got 5 at recipe in"),
        (["recipe=5"], "expected `object`, got `int`, but the value is 5 at recipe in"),
        (["recipe.warmup_steps=3", "recipe.warmup_epochs=2", "recipe.ema=2.0"], "`ema` must be at least 0 and below 1, but got 2.0"),
        (["recipe={epochs=9, warmup_steps=3, warmup_epochs=2}"], "`warmup_epochs` and `warmup_steps` say the same thing"),
    ],
)
def test_a_bad_recipe_is_one_sentence(settings: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study("quickstart", settings)
    assert sentence in str(caught.value)
