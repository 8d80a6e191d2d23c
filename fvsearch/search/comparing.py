"""measure_in_worker: measurements in a process of their own, one after the other, with word of what goes on.

The process keeps the backend's output off the terminal, may be killed for its memory without taking the user's sentence with it, and ends
at once on Ctrl-C, in the middle of a compile too.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import msgspec

from fvsearch.archs.layout import format_layout
from fvsearch.errors import RunError
from fvsearch.pools import Pool, WorkerDied, closing, make_pool
from fvsearch.records import Record
from fvsearch.training.measuring import Activity, Measured, MeasureRequest, OnActivity, measure_throughputs

POLL_SECONDS = 0.2
"""Between looks at what the worker says it does."""


class Errand(Record, frozen=True, kw_only=True):
    """A request, and the file to which the worker appends its activities, a JSON line each."""

    request: MeasureRequest
    news: str


def measure_in_worker(
    requests: Sequence[MeasureRequest], backend: str, on_activity: OnActivity = lambda activity: None
) -> tuple[Measured, ...]:
    """What each request measures, in order; the backend starts once.

    Args:
        requests: What to measure.
        backend: For KERAS_BACKEND.
        on_activity: Told what begins.

    Raises:
        RunError: An arch's step does not run, or the worker was killed.
    """
    worker = make_pool("local", 1, environment={"KERAS_BACKEND": backend})
    with tempfile.TemporaryDirectory(prefix="fvsearch-") as folder, closing(worker) as pool:
        return tuple(
            _measured(pool, Errand(request=request, news=str(Path(folder, f"{number}.jsonl"))), on_activity)
            for number, request in enumerate(requests)
        )


def run_errand(errand: Errand) -> Measured:
    """What the worker does."""
    with open(errand.news, "ab", buffering=0) as news:

        def tell(activity: Activity) -> None:
            news.write(msgspec.json.encode(activity) + b"\n")

        return measure_throughputs(errand.request, on_activity=tell)


def _measured(pool: Pool, errand: Errand, on_activity: OnActivity) -> Measured:
    future = pool.submit(run_errand, errand)
    for activity in _activities(future, Path(errand.news)):
        on_activity(activity)
    try:
        return future.result()
    except WorkerDied as error:
        request = errand.request
        layouts = " and ".join(format_layout(arch, request.image_shape[:2]) for arch in request.archs)
        raise RunError(f"{layouts} cannot be measured at batch_size={request.batch_size}: {error}; a smaller batch needs less") from error


def _activities(future: "Future[Measured]", news: Path) -> Iterator[Activity]:
    """What the worker has said, as it says it, until the work is done."""
    read, done = 0, False
    while not done:
        done = bool(wait([future], timeout=POLL_SECONDS).done)
        lines = news.read_bytes().split(b"\n")[:-1] if news.exists() else []
        for line in lines[read:]:
            yield msgspec.json.decode(line, type=Activity)
        read = len(lines)
