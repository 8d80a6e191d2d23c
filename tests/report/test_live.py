"""Running trials, read while they are written."""

from pathlib import Path

from ledgers import EPOCHS, STUDY, TRIALS, empty, fill, write_metrics

from fvsearch.report.live import progress

RUNNING = (TRIALS[0], TRIALS[11])


def test_a_trial_that_has_written_nothing_is_at_no_epoch(tmp_path: Path) -> None:
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.number, one.epochs, one.of, one.latest) == (1, 0, EPOCHS, None)


def test_epochs_and_the_latest_value_come_from_the_metrics_file(tmp_path: Path) -> None:
    write_metrics(tmp_path, 1, 0, 0.5, 0.7)
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.epochs, one.latest) == (2, 0.7)


def test_a_line_that_is_being_written_does_not_count(tmp_path: Path) -> None:
    path = write_metrics(tmp_path, 1, 0, 0.5, 0.7)
    path.write_bytes(path.read_bytes()[:-9])
    (one,) = progress(fill(empty(tmp_path), RUNNING))
    assert (one.epochs, one.latest) == (1, 0.5)


def test_repeats_add_up(tmp_path: Path) -> None:
    write_metrics(tmp_path, 1, 0, 0.5, 0.6)
    write_metrics(tmp_path, 1, 1, 0.4)
    (one,) = progress(fill(empty(tmp_path, STUDY.with_settings(repeats=2)), RUNNING))
    assert (one.epochs, one.of, one.latest) == (3, 2 * EPOCHS, 0.4)


def test_trials_that_have_ended_are_not_in_progress(tmp_path: Path) -> None:
    write_metrics(tmp_path, 0, 0, 0.5)
    assert [one.number for one in progress(fill(empty(tmp_path), RUNNING))] == [1]
