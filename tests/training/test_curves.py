"""curves.png: what is on it, and that drawing leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fvsearch.training.curves import curves_figure, draw_curves
from fvsearch.training.metrics import EpochMetrics

EPOCHS = tuple(
    EpochMetrics(
        epoch=number,
        seconds=1.0,
        loss=1.5 - number,
        top1=top1,
        top5=1.0,
        train_loss=2.0 - number,
        train_top1=top1 / 2,
        train_top5=1.0,
        learning_rate=0.1 / (1 + number),
    )
    for number, top1 in enumerate((0.4, 0.8))
)


def test_every_curve_has_its_epochs_and_the_best_is_ringed() -> None:
    figure = curves_figure("stripes", EPOCHS, 10)
    loss, top1, rate = figure.axes
    found = {(axes.get_title(loc="left"), line.get_label()): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}
    assert found == {
        ("loss", "training"): [2.0, 1.0],
        ("loss", "validation"): [1.5, 0.5],
        ("top-1", "training"): [0.2, 0.4],
        ("top-1", "validation"): [0.4, 0.8],
        ("top-1", "_best"): [0.8],
        ("learning rate after the epoch", "learning rate"): [0.1, 0.05],
    }
    assert all(list(line.get_xdata()) == [1, 2] for axes in (loss, rate) for line in axes.lines)
    assert top1.get_title(loc="right") == "best 80.00% after epoch 2"
    assert loss.get_xlim() == (0.5, 10.5), "as long as the recipe from the first epoch on"


@pytest.mark.parametrize("count", [1, 2])
def test_the_picture_is_a_png(count: int, tmp_path: Path) -> None:
    draw_curves("stripes", EPOCHS[:count], 2, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1500, 810))
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_drawing_chooses_no_backend_of_pyplot_and_a_training_segment_loads_none_of_it(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
import fvsearch.training.run
assert "matplotlib" not in sys.modules
from test_curves import EPOCHS
from fvsearch.training.curves import draw_curves
draw_curves("stripes", EPOCHS, 2, Path({str(tmp_path / "curves.png")!r}))
print("matplotlib.pyplot" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert found.stdout == "False\n"
