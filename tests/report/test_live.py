"""Running trials, read while they are written."""

import json
from pathlib import Path

from ledgers import EPOCHS, STUDY, TRIALS, empty, fill

from fvsearch.report.live import progress, read_lines

RUNNING = (TRIALS[0], TRIALS[11])


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines))


def epoch(number: int, top1: float) -> str:
    return json.dumps({"epoch": number, "top1": top1}) + "\n"


def test_a_trial_that_has_written_nothing_is_at_no_epoch(tmp_path: Path) -> None:
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.number, one.epochs, one.of, one.latest) == (1, 0, EPOCHS, None)


def test_epochs_and_the_latest_value_come_from_the_metrics_file(tmp_path: Path) -> None:
    write(tmp_path / "trials" / "0001" / "repeat0" / "metrics.jsonl", epoch(0, 0.5), epoch(1, 0.7))
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.epochs, one.latest) == (2, 0.7)


def test_an_epoch_that_was_run_again_counts_once_and_a_torn_line_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "trials" / "0001" / "repeat0" / "metrics.jsonl", epoch(0, 0.5), epoch(0, 0.6), epoch(1, 0.7)[:-9])
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.epochs, one.latest) == (1, 0.6)


def test_repeats_add_up(tmp_path: Path) -> None:
    for repeat, values in enumerate(((0.5, 0.6), (0.4,))):
        lines = [epoch(number, value) for number, value in enumerate(values)]
        write(tmp_path / "trials" / "0001" / f"repeat{repeat}" / "metrics.jsonl", *lines)
    (one,) = progress(fill(empty(tmp_path, STUDY.with_settings(repeats=2)), RUNNING))
    assert (one.epochs, one.of, one.latest) == (3, 2 * EPOCHS, 0.4)


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('3\n{"epoch": 0}\n\n[1]\nnull\n')
    assert list(read_lines(path)) == [{"epoch": 0}]
    assert list(read_lines(tmp_path / "none")) == []
