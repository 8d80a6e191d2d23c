"""Measuring in a worker, with a pool of the test's: no backend, no process."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fvsearch.errors import RunError
from fvsearch.library import load_arch
from fvsearch.pools import WorkerDied
from fvsearch.search import comparing
from fvsearch.search.comparing import Errand, measure_in_worker
from fvsearch.study.recipe import Recipe
from fvsearch.training.measuring import Activity, Measured, MeasureRequest

REQUEST = MeasureRequest(
    archs=(load_arch("vit-b16"),),
    image_shape=(224, 224, 3),
    num_classes=10,
    recipe=Recipe(epochs=1),
    batch_size=8,
    phase="training",
    time_budget=1.0,
)
MEASURED = Measured(throughput=(), ratio=(), memory=(), backend="none", device="none", versions={}, seconds={})


class ScriptedPool:
    """Tells two activities of each errand, and ends it as the test says."""

    def __init__(self, ending: Measured | Exception) -> None:
        self.ending = ending
        self.closed: list[bool] = []
        self.errands: list[Errand] = []

    def submit(self, function: Any, errand: Errand) -> "Future[Measured]":
        self.errands.append(errand)
        lines = [Activity("compile", errand.request.phase), Activity("measure")]
        Path(errand.news).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines) + b'{"kind": "meas')
        future: Future[Measured] = Future()
        if isinstance(self.ending, Exception):
            future.set_exception(self.ending)
        else:
            future.set_result(self.ending)
        return future

    def close(self, *, cancel: bool = False) -> None:
        self.closed.append(cancel)


def scripted(monkeypatch: pytest.MonkeyPatch, ending: Measured | Exception) -> ScriptedPool:
    pool = ScriptedPool(ending)
    monkeypatch.setattr(comparing, "make_pool", lambda *arguments, **options: pool)
    return pool


def test_activities_are_told_request_by_request_a_torn_line_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = scripted(monkeypatch, MEASURED)
    heard: list[Activity] = []
    other = msgspec.structs.replace(REQUEST, phase="inference")
    assert measure_in_worker([REQUEST, other], "jax", heard.append) == (MEASURED, MEASURED)
    assert [(activity.kind, activity.detail) for activity in heard] == [
        ("compile", "training"),
        ("measure", ""),
        ("compile", "inference"),
        ("measure", ""),
    ]
    assert [errand.request for errand in pool.errands] == [REQUEST, other]
    assert pool.closed == [False]


def test_a_killed_worker_is_a_sentence_about_the_arch(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = scripted(monkeypatch, WorkerDied("process 1 was killed by SIGKILL"))
    with pytest.raises(
        RunError, match=r"B12\(197\) cannot be measured at batch_size=8: process 1 was killed by SIGKILL; a smaller batch needs less"
    ):
        measure_in_worker([REQUEST], "jax")
    assert pool.closed == [True]


def test_an_interrupt_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = scripted(monkeypatch, MEASURED)

    def interrupt(activity: Activity) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_in_worker([REQUEST], "jax", interrupt)
    assert pool.closed == [True]
