"""A training on images that lie on the disk, two of them broken: it ends, and says what it did without."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from trainings import RUN

from fvsearch.study import Data
from fvsearch.training.run import train_run

COLOURS = {"blue": (40, 60, 200), "red": (200, 60, 40)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Noisy pictures of two colours, split by folders; a file of train is no image, one of validation ends too early."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 9), ("validation", 4), ("test", 3)):
        for name, colour in COLOURS.items():
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                levels = np.clip(rng.normal(colour, 40, (20 + number, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(levels).save(folder / f"{number}.png")
    (tmp_path / "photos" / "train" / "red" / "4.png").write_text("no image")
    broken = tmp_path / "photos" / "validation" / "blue" / "3.png"
    broken.write_bytes(broken.read_bytes()[:500])
    return tmp_path / "photos"


def test_a_training_does_without_broken_images_and_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVSEARCH_INDEXES", str(tmp_path / "indexes"))
    data = Data(source=f"folder:{photos}", image_size=8, channels=3, num_classes=2)
    summary = train_run(msgspec.structs.replace(RUN, data=data), tmp_path / "run")
    assert summary.test is not None
    assert summary.test.images == 6
    assert summary.last.top1 >= 0.75
    left_out, replaced = (note for note in summary.notes if "could not be read" in note)
    assert left_out == "1 image could not be read and was left out: train/red/4.png (not an image of a format that is read)"
    assert replaced.startswith("1 image could not be read and was replaced by another of the same class: validation/blue/3.png (")
    assert replaced.endswith("; by validation/blue/0.png)")
