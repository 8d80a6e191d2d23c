"""The command line as its user meets it: what it prints, its exit codes, and one sentence for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostility import run as run_here
from ledgers import STUDY, fill

from fvsearch.archs.layout import parse_layout
from fvsearch.costs.formula import predict
from fvsearch.ledger import Ledger

QUICK = ["run", "quickstart", "--out", "out"]


def fvsearch(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from fvsearch.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, env=os.environ | environment, timeout=60
    )


def test_help_lists_what_works(tmp_path: Path) -> None:
    run = fvsearch("--help", cwd=tmp_path)
    assert run.returncode == 0
    listed = {line.split()[0] for line in run.stdout.partition("Commands:")[2].splitlines() if line.startswith("  ")}
    assert {"list", "cost", "run", "status", "front", "report", "export", "train"} <= listed


def test_list_names_what_ships(tmp_path: Path) -> None:
    lines = fvsearch("list", cwd=tmp_path).stdout.splitlines()
    named = {tuple(line.split()[:2]) for line in lines}
    assert {
        ("study", "quickstart"),
        ("space", "reinvestment"),
        ("arch", "vit-b16"),
        ("arch", "pixel-tiny"),
        ("recipe", "pixel-cifar"),
    } <= named
    assert len(lines) == len(named)


@pytest.mark.parametrize("layout", ["B12(197)", "B6(197)-6(50)", "B6(197, m4096)-6(99)-2(50, m1536)"])
def test_cost_prints_one_json_document(layout: str, tmp_path: Path) -> None:
    run = fvsearch("cost", layout, "--against", "vit-b16", "--batch-size", "128", "--json", cwd=tmp_path)
    document = json.loads(run.stdout)
    cost = predict(parse_layout(layout), image_shape=(224, 224, 3), num_classes=1000, batch_size=128)
    assert {name: document["arch"][name] for name in cost.totals()} == cost.totals()
    assert document["arch"]["layout"] == layout
    assert document["against"]["num_params"] == 86_567_656
    assert document["ratio"]["memory"] == document["arch"]["memory"] / document["against"]["memory"]
    for name in ("num_params", "macs", "memory"):
        assert sum(item[name] for item in document["arch"]["items"]) == document["arch"][name]


def test_cost_takes_optimizer_and_attention(tmp_path: Path) -> None:
    run = fvsearch("cost", "vit-b16", "--optimizer", "sgd", "--attention", "fused", "--json", cwd=tmp_path)
    document = json.loads(run.stdout)
    cost = predict(parse_layout("B12(197)"), image_shape=(224, 224, 3), num_classes=1000, batch_size=32, optimizer="sgd", attention="fused")
    assert document["arch"]["memory"] == cost.memory
    assert document["arch"]["weight_memory"] == 12 * 86_567_656
    assert (document["optimizer"], document["attention"]) == ("sgd", "fused")


def test_cost_prints_a_table_that_is_not_cut(tmp_path: Path) -> None:
    run = fvsearch("cost", "B6(197)-6(99)", "--against", "vit-b16", cwd=tmp_path)
    assert "stage 1 attention, 99 tokens" in run.stdout
    assert "0.755x" in run.stdout
    assert "predicted by formula" in run.stdout


def test_dry_run_says_what_lies_ahead_and_writes_nothing(tmp_path: Path) -> None:
    run = fvsearch(*QUICK, "--dry-run", cwd=tmp_path)
    assert run.returncode == 0
    assert "580,800 archs" in run.stdout
    assert "within budget as predicted, from a sample of 4,000" in run.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["cost", "B6(196)"],
            "the first stage must hold 197 tokens (196 patches and the class token), but got 196 at stage 0 of 'B6(196)'",
        ),
        (["cost", "vit-b17"], "no arch 'vit-b17' (did you mean"),
        (["cost", "vit-b16", "--image-size", "225"], "`image_size` must divide by `patch_size`"),
        (["cost", "vit-b16", "--dtype", "float16"], "`dtype` must be one of float32, mixed_bfloat16, but got 'float16'"),
        (["cost", "vit-b16", "--optimizer", "adamv"], "`optimizer` must be one of adamw, sgd, but got 'adamv' (did you mean 'adamw'?)"),
        (["cost", "vit-b16", "--attention", "fuse"], "`attention` must be one of kept, fused, but got 'fuse' (did you mean 'fused'?)"),
        (["run", "quikstart"], "no study 'quikstart' (did you mean 'quickstart'?)"),
        (["run", "missing.toml"], "no file missing.toml"),
        ([*QUICK, "--set", "recipe.epoch=3"], "unknown key `epoch` (did you mean 'epochs'?) at recipe"),
        ([*QUICK, "--set", "recipe.epochs=few"], "expected `int`, got `str`, but the value is 'few' at recipe.epochs"),
        (
            [*QUICK, "--set", "space.stages.0.width=40"],
            "`width` must divide by `head_dim`, but got width=40, head_dim=16 at",
        ),
        (
            [*QUICK, "--set", "budget.memory=0.01x"],
            "nothing in the space 'quickstart' meets `budget.memory` = '0.01x' as predicted",
        ),
        ([*QUICK, "--set", "data.source=nowhere:images"], "there is no 'nowhere' in"),
        ([*QUICK, "--time-budget", "soon"], "a time must read as hours, minutes and seconds"),
        ([*QUICK, "--time-budget", "soon", "--dry-run"], "a time must read as hours, minutes and seconds"),
        ([*QUICK, "--backend", "tensorflw"], "the backend must be one of jax, tensorflow, torch, but got 'tensorflw'"),
        (["run", "reinvestment", "--out", "out"], "'tfds:imagenet2012' is prepared from files that only you can download"),
        (["run", "quickstart", "--out", "/proc/out"], "cannot write to /proc/out"),
        (["status", "nothing"], "nothing holds no study: `fvsearch run STUDY --out nothing` makes one"),
        (["front", "nothing"], "nothing holds no study"),
        (["report", "nothing"], "nothing holds no study"),
        (["export", "nothing"], "nothing holds no study"),
        (["train", "missing.toml"], "cannot read missing.toml: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    run = fvsearch(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stderr.startswith("error: ")
    assert sentence in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize("arguments", [["cst"], ["cost"], ["cost", "vit-b16", "--batch-size", "0"], ["front", "x", "--json", "--csv"]])
def test_a_wrong_call_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    run = fvsearch(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    run = fvsearch("--debug", "cost", "B6(196)", cwd=tmp_path)
    assert "Traceback" in run.stderr
    assert "LayoutError" in run.stderr


def test_a_run_file_with_a_typo_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('name = "x"\nsed = 3\n')
    run = fvsearch("train", "run.toml", cwd=tmp_path)
    assert run.returncode == 2
    assert "unknown key `sed` (did you mean 'seed'?) in run.toml" in run.stderr


def test_json_is_all_that_is_printed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(Ledger.create(tmp_path / "out", STUDY))
    for command in ("status", "front"):
        assert json.loads(fvsearch(command, "out", "--json", cwd=tmp_path).stdout)
    lines = fvsearch("front", "out", "--csv", cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith("trial,")
    assert len(lines) > 1


def test_export_does_not_overwrite_unless_told(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(Ledger.create(tmp_path / "out", STUDY)).close()
    export = ("export", tmp_path / "out", "-o", tmp_path / "run.toml")
    assert run_here(*export).code == 0
    before = (tmp_path / "run.toml").read_text()
    assert run_here(*export, "--pick", "best").code == 2
    assert (tmp_path / "run.toml").read_text() == before
    assert run_here(*export, "--pick", "best", "--force").code == 0
