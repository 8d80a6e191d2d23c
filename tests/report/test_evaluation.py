"""What `fvsearch evaluate` prints and writes."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from fvsearch.report.evaluation import confused, evaluation_table, write_confusion
from fvsearch.study import Data
from fvsearch.training.evaluation import Evaluation, score


def evaluation(num_classes: int, taken: dict[int, int]) -> Evaluation:
    """Ten images of each class, all taken for it, or for the one that `taken` says."""
    labels = np.repeat(np.arange(num_classes), 10).astype(np.int32)
    logits = np.eye(num_classes, dtype=np.float32)[[taken.get(label, label) for label in labels]] * 5
    data = Data(source="shapes", image_size=8, channels=1, num_classes=num_classes)
    return score(logits, labels, data, "validation", "a test")


def shown(found: Evaluation) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(evaluation_table(found))
    return capture.get()


def test_few_classes_are_all_printed_with_their_confusion(tmp_path: Path) -> None:
    found = evaluation(3, {2: 0})
    text = shown(found)
    assert "validation: top-1 66.67%, top-5 100.00%" in text
    assert "images of the row's class that are taken for the column's" in text
    rows = [line.replace("│", " ").split() for line in text.partition("confusion:")[2].splitlines()]
    assert ["2", "10", "·", "·"] in rows
    assert "confused most, class for class: 2 for 0 (10)" in text
    assert write_confusion(tmp_path, found) == []
    assert not list(tmp_path.iterdir())


def test_of_many_classes_the_worst_are_printed_and_all_are_written(tmp_path: Path) -> None:
    found = evaluation(30, {7: 9, 21: 9})
    text = shown(found)
    assert "the 12 of 30 classes that fare worst" in text
    assert confused(found) == [(10, 7, 9), (10, 21, 9)]
    table, picture = write_confusion(tmp_path, found)
    assert (table.name, picture.name) == ("confusion-validation.csv", "confusion-validation.png")
    with table.open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", *map(str, range(30))]
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == [list(row) for row in found.confusion]
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width > 1000


def test_classes_are_called_what_their_folders_are(tmp_path: Path) -> None:
    for name in ("cat", "[red]dog", "eel"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    labels = np.array([0, 1, 2], np.int32)
    data = Data(source=f"folder:{tmp_path}", image_size=8, channels=3, num_classes=3)
    # In sorted order: the bracket comes first.
    found = score(np.eye(3, dtype=np.float32)[[0, 2, 2]], labels, data, "validation", "a test")
    assert [one.name for one in found.classes] == ["[red]dog", "cat", "eel"]
    text = shown(found)
    assert text.count("[red]dog") == 3
    assert "confused most, class for class: cat for eel (1)" in text


def test_without_mistakes_none_is_named() -> None:
    assert "confused" not in shown(evaluation(3, {}))
