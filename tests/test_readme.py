"""What the README shows works: its study, its Python, its commands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fvsearch import Recipe, load_study
from fvsearch.library import load_recipe, resolve_recipe
from fvsearch.records import from_builtins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, holding: str = "") -> str:
    """The README's one code block in a language that holds a text."""
    (text,) = (found for found in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in found)
    return str(text)


def fragments() -> list[str]:
    """The README's indented tables of TOML, which go into a study."""
    indented = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.MULTILINE)
    return [re.sub(r"^    ", "", text, flags=re.MULTILINE).strip() for text in indented if text.strip().startswith("[")]


def test_the_study_is_one_that_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(block("toml"), encoding="utf-8")
    study = load_study(str(path))
    assert study.space is not None
    assert study.space.size() > study.trials
    assert not study.baseline.pools


def test_what_may_be_added_to_the_study_can_be_loaded_with_it(tmp_path: Path) -> None:
    found = fragments()
    assert [text.splitlines()[0] for text in found] == ["[space.rules]", "[early_stopping]", "[engine]", "[resources]"]
    assert "[confirm]" in found[1]
    path = tmp_path / "study.toml"
    path.write_text("\n\n".join([block("toml"), *found[:2]]), encoding="utf-8")
    study = load_study(str(path))
    assert study.space and study.space.rules and study.early_stopping and study.confirm
    path.write_text("\n\n".join([block("toml"), *found[2:]]), encoding="utf-8")
    study = load_study(str(path))
    assert (study.engine.name, study.resources) == ("keras_tuner", {"GPU": 1, "CPU": 8})


def test_the_recipe_is_one_that_ships_with_changes(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"^    (recipe = .*)$", README, re.MULTILINE)
    content = tomllib.loads(recipe)
    resolve_recipe(content, tmp_path / "run.toml")
    found, base = from_builtins(content["recipe"], Recipe), load_recipe("pixel-cifar")
    assert (found.epochs, found.augmentation.mixup, found.augmentation.grayscale) == (300, 0.2, base.augmentation.grayscale)


def test_the_tuner_in_the_readme_is_the_example_that_is_run() -> None:
    assert block("python", "keras_tuner").strip() == (ROOT / "tests/examples/keras_tuner_search.py").read_text(encoding="utf-8").strip()


@pytest.mark.slow
def test_the_python_example_runs_and_is_short(tmp_path: Path) -> None:
    code = block("python", "run_study")
    assert len([line for line in code.splitlines() if line]) <= 10
    small = ["trials=2", "recipe.epochs=1", "recipe.warmup_epochs=0.5", "engine.starts=1"]
    shortened = code.replace('load_study("quickstart")', f'load_study("quickstart", {small})')
    assert shortened != code
    run = subprocess.run([sys.executable, "-c", shortened], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "runs" / "from-python" / "report.html").exists()
    assert run.stdout.splitlines()[-1] == "runs/from-python/report.html"


@pytest.mark.parametrize("usage", re.findall(r"^\| `fvsearch (.+?)` \|", README, re.MULTILINE))
def test_a_command_of_the_table_has_its_options(usage: str) -> None:
    command = usage.split()[0]
    code = f"import sys; sys.argv = ['fvsearch', '{command}', '--help']; from fvsearch.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for word in [f"fvsearch {command}", *re.findall(r"--[\w-]+", usage)]:
        assert word in run.stdout


def test_ci_runs_the_command_that_the_readme_gives_for_the_tests() -> None:
    (command,) = re.findall(r"^    (python3\.11 .* -s tests)$", README, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
