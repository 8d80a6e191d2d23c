"""`fvsearch import` and `fvsearch convert`, as their user meets them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import vits

SQUARE = vits.SIZES["square"]


def fvsearch(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from fvsearch.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, env=os.environ | environment, timeout=100
    )


def test_import_says_what_it_took_for_granted_and_convert_hands_it_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "vit.npz", **vits.augreg_arrays(SQUARE))
    run = fvsearch("import", "vit.npz", "--activation", "gelu", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "imported AugReg, vit.npz: depth 2, width 64, mlp_dim 128, num_heads 1, patch_size 8, images of 32x32x3, 10 classes",
        "assumed:  images of 32x32, a square (--image-size)",
        "assumed:  norm_epsilon 1e-06, as AugReg's ViTs have it (--norm-epsilon)",
        "model:    runs/vit/model.keras",
    ]
    again = fvsearch("import", "vit.npz", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr == "error: runs/vit must be a new folder, but it has a model.keras; --force overwrites it, -o names another\n"
    convert = fvsearch("convert", "runs/vit", "--to", "timm", "-o", "out/vit.safetensors", cwd=tmp_path)
    assert convert.returncode == 0, convert.stderr
    assert convert.stdout.splitlines()[0] == "written: out/vit.safetensors"
    back = fvsearch("import", "out/vit.safetensors", "-o", "back", cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    assert "assumed" not in back.stdout
    assert (tmp_path / "back" / "model.toml").exists()


def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "vit.txt").write_text("weights")
    for name in ("vit.npz", "vit.keras", "vit.safetensors", "vit.pth"):
        (tmp_path / name).write_text("no weights")
    with zipfile.ZipFile(tmp_path / "ours.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "Functional"}')
    before = sorted(tmp_path.iterdir())
    for arguments, sentence in (
        (["import", "missing.npz"], "cannot read missing.npz: No such file or directory"),
        (
            ["import", "vit.txt"],
            "must be a preset's folder of keras-hub or a file .keras, .safetensors, .pt, .pth, .bin, .npz, but got vit.txt",
        ),
        (["import", "vit.npz"], "vit.npz does not read as an .npz of arrays"),
        (["import", "vit.keras"], "must hold a readable config.json, but vit.keras does not"),
        (["import", "ours.keras"], "must be keras-hub's ViTImageClassifier or ViTBackbone, but ours.keras holds 'Functional'"),
        (["import", "vit.safetensors"], "vit.safetensors does not read as safetensors"),
        (["import", "vit.pth"], "vit.pth does not load as PyTorch's weights and nothing but weights"),
        (["import", "vit.npz", "--image-size", "32x"], "`image_size` must read as N or HxW, such as 224 or 224x192, but got '32x'"),
        (["convert", "nothing", "--to", "timm"], "a model's folder must hold model.keras and model.toml, but nothing has no model.keras"),
    ):
        run = fvsearch(*arguments, cwd=tmp_path)
        assert run.returncode == 2, run.stdout + run.stderr
        assert run.stderr.startswith("error: ")
        assert sentence in run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written"
