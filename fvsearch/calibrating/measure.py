"""Measures a sample in a worker process, which keeps each arch in the draft as soon as it is measured."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.calibrating.draft import Draft, append_durably
from fvsearch.calibrating.machine import this_machine
from fvsearch.costs.calibration import Machine, Sampled, Skipped
from fvsearch.costs.conditions import pattern
from fvsearch.errors import RunError
from fvsearch.meters.measured import Activity, MeasuredArch, MeasureRequest
from fvsearch.pools import Pool, WorkerDied
from fvsearch.records import Record
from fvsearch.study import Study
from fvsearch.training.measuring import OnActivity, measure_throughputs

POLL_SECONDS = 0.2
"""Between looks at what the worker says it does."""

WIDE = 0.05
"""An arch whose interval is wider than this share of its median, on either side, is measured once more, twice as long."""

PER_WORKER = 8
"""Archs that a process measures beside the baseline: Keras leaks from model to model, and what fills a process slows its small steps."""

OnProgress = Callable[[int, int, Activity], None]
"""Told how many archs of the sample the draft holds, how many they are, and what begins."""


class Errand(Record, frozen=True, kw_only=True):
    """What the worker does: the request, the draft it keeps archs in, and the file in which it says what it does."""

    request: MeasureRequest
    draft: str
    news: str


class Worker:
    """A pool of one that starts when it is first needed, and anew after `renew`.

    Args:
        open_pool: Makes the pool.
    """

    def __init__(self, open_pool: Callable[[], Pool]) -> None:
        self._open = open_pool
        self._pool: Pool | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.renew()

    def submit(self, task: Callable[[Any], Any], argument: Any) -> "Future[Any]":
        """Start `task(argument)`."""
        self._pool = self._pool or self._open()
        return self._pool.submit(task, argument)

    def renew(self) -> None:
        """End what runs; the next task has a fresh process, whose memory no earlier one holds."""
        if self._pool:
            self._pool.close(cancel=True)
        self._pool = None


def describe_machine(backend: str) -> Machine:
    """What the worker runs on."""
    from fvsearch.training.device import device_name, versions

    return this_machine(device_name(), backend, versions())


def run_errand(errand: Errand) -> None:
    """Measure, in the worker."""
    request = errand.request

    def keep(measured: MeasuredArch) -> None:
        arch = request.archs[measured.index]
        sampled = Sampled(
            arch=arch,
            layout=format_layout(arch, request.image_shape[:2]),
            pattern=pattern(arch, request.image_shape),
            memory=measured.memory.bytes,
            throughput=measured.throughput.median,
            ratio=measured.ratio.median,
            ratio_low=measured.ratio.low,
            ratio_high=measured.ratio.high,
        )
        append_durably(Path(errand.draft), sampled)

    with open(errand.news, "ab", buffering=0) as news:

        def tell(activity: Activity) -> None:
            news.write(msgspec.json.encode(activity) + b"\n")

        measure_throughputs(request, on_measured=keep, on_activity=tell)


def measure_sample(study: Study, archs: Sequence[Arch], draft: Draft, seconds: float, worker: Worker, on_progress: OnProgress) -> None:
    """Measure what the draft does not hold yet, then once more what came out wide.

    An arch that cannot be measured, for want of memory say, is kept as skipped, and the others go on.

    Args:
        study: Whose step.
        archs: The baseline first.
        draft: Where the archs are kept.
        seconds: For each arch, once compiled.
        worker: That measures.
        on_progress: Told of each step.

    Raises:
        RunError: The baseline cannot be measured, or another arch for another reason than memory.
    """

    def tell(activity: Activity) -> None:
        on_progress(sum([arch.arch_hash in draft.entries for arch in archs]), len(archs), activity)

    baseline, *others = archs
    _measure(study, baseline, [arch for arch in others if arch.arch_hash not in draft.entries], draft, seconds, worker, tell)
    wide = [arch for arch in others if _is_wide(draft, arch)]
    _measure(study, baseline, wide, draft, 2 * seconds, worker, tell)


def _is_wide(draft: Draft, arch: Arch) -> bool:
    """Whether an arch's only reading has a wide interval."""
    entry = draft.entries[arch.arch_hash]
    return isinstance(entry, Sampled) and entry.half_width > WIDE and draft.readings[arch.arch_hash] == 1


def _measure(study: Study, baseline: Arch, wanted: Sequence[Arch], draft: Draft, seconds: float, worker: Worker, tell: OnActivity) -> None:
    """Measure archs, whatever the draft holds of them; a few in each process."""
    while wanted:
        request = MeasureRequest.of_study(study, (baseline, *wanted[:PER_WORKER]), seconds)
        before = draft.readings.copy()
        if failed := _perform(request, draft, worker, tell):
            append_durably(draft.path, failed)
        worker.renew()
        draft.read()
        wanted = [arch for arch in wanted if draft.readings[arch.arch_hash] == before[arch.arch_hash]]


def _perform(request: MeasureRequest, draft: Draft, worker: Worker, tell: OnActivity) -> Skipped | None:
    """Have a request measured; the arch that it ended at, if it did not end well.

    Raises:
        RunError: It ended at the baseline, while nothing was compiled, or for another reason than memory.
    """
    news = draft.path.with_suffix(".news")
    news.unlink(missing_ok=True)
    try:
        future = worker.submit(run_errand, Errand(request=request, draft=str(draft.path), news=str(news)))
        for activity in _activities(future, news):
            draft.read()
            tell(activity)
        future.result()
    except RunError as error:
        arch = _compiling(request, _said(news))
        # A killed worker is the machine's memory run out. What else goes wrong is a fault, which a smaller sample would hide.
        of_memory = isinstance(error, WorkerDied) or "memory ran out" in str(error)
        if arch is None or arch == request.archs[0] or not of_memory:
            raise
        return Skipped(arch=arch, layout=format_layout(arch, request.image_shape[:2]), reason=str(error))
    finally:
        news.unlink(missing_ok=True)
        draft.read()
    return None


def _compiling(request: MeasureRequest, said: Sequence[Activity]) -> Arch | None:
    """The arch that was being compiled last, if nothing was begun since; archs are compiled in the request's order."""
    # Not by what it is called, for a layout does not say all: archs may differ in their activation alone.
    count = sum([activity.kind == "compile" for activity in said])
    return request.archs[count - 1] if said and said[-1].kind == "compile" else None


def _said(news: Path) -> list[Activity]:
    """What the worker has said so far; what follows the last line's end is being written, or was cut off by a kill."""
    lines = news.read_bytes().split(b"\n")[:-1] if news.exists() else []
    return [msgspec.json.decode(line, type=Activity) for line in lines]


def _activities(future: "Future[None]", news: Path) -> Iterator[Activity]:
    """What the worker has said, as it says it, until the work is done; the latest again after each look."""
    read, done = 0, False
    while not done:
        done = bool(wait([future], timeout=POLL_SECONDS).done)
        said = _said(news)
        yield from said[max(read - 1, 0) :]
        read = len(said)
