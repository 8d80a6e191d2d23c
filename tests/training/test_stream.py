"""Streams: in order whatever the threads do, with the time that was waited, and errors as they were."""

import threading
import time

import numpy as np
import pytest

from fvsearch.errors import RunError
from fvsearch.training.batches import Batch
from fvsearch.training.stream import Stream, num_threads


def numbered(index: int) -> Batch:
    """Ready out of order: every third takes longest."""
    time.sleep(0.01 * (index % 3 == 0))
    return np.full((2, 1, 1, 1), index, np.float32), np.full(2, index, np.int32)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_come_in_order_whatever_the_threads(threads: int) -> None:
    with Stream(numbered, range(3, 20), batch_bytes=8, threads=threads) as stream:
        first = [int(labels[0]) for _, labels in stream.take(7)]
        assert stream.taken == 7
        second = [int(labels[0]) for _, labels in stream.take(10)]
    assert first + second == list(range(3, 20))


@pytest.mark.parametrize(("batch_bytes", "ahead"), [(8, 4), (2**29, 2), (2**31, 1)])
def test_batches_are_made_while_nobody_takes_them_and_few_of_the_large_ones(batch_bytes: int, ahead: int) -> None:
    made: list[int] = []
    enough = threading.Event()

    def note(index: int) -> Batch:
        made.append(index)
        if len(made) == 1 + ahead:
            enough.set()
        return numbered(index)

    with Stream(note, range(50), batch_bytes, threads=2) as stream:
        next(stream.take(1))
        assert enough.wait(10)
        time.sleep(0.05)
    assert sorted(made) == list(range(1 + ahead))


def test_waiting_is_counted() -> None:
    def slow(index: int) -> Batch:
        time.sleep(0.05)
        return numbered(1)

    with Stream(slow, range(4), batch_bytes=8, threads=1) as stream:
        start = time.perf_counter()
        for _ in stream.take(4):
            pass
        assert 0.2 <= stream.waited <= time.perf_counter() - start
        waited = stream.waited
    with Stream(numbered, range(1, 3), batch_bytes=8, threads=2) as stream:
        batches = stream.take(2)
        next(batches)
        time.sleep(0.3)
        before = stream.waited
        next(batches)
        assert stream.waited - before < waited / 2


def test_an_error_is_told_as_it_was_however_it_was_wrapped() -> None:
    def broken(index: int) -> Batch:
        if index == 2:
            raise RunError("image 17 cannot be read")
        return numbered(index)

    def wrapped(stream: Stream) -> None:
        with stream:
            try:
                list(stream.take(5))
            except RunError as error:
                raise ValueError("a backend's words") from error

    with pytest.raises(RunError, match="image 17 cannot be read"):
        wrapped(Stream(broken, range(5), batch_bytes=8))


def test_an_error_of_others_is_left_alone() -> None:
    def fail(stream: Stream) -> None:
        with stream:
            next(stream.take(1))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail(Stream(numbered, range(5), batch_bytes=8))


def test_threads_are_the_workers_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.training.stream.num_cores", lambda: 4)
    for said, threads in (("2", 2), ("16", 4), ("0", 4), ("", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert num_threads() == threads
