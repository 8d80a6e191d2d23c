"""`fvsearch` with everything real but trainings and measurements: command line, coordinator, ledger, pool, workers, locks.

An epoch is a moment's sleep and a line of metrics, so that a search begins, dies and goes on in seconds. `command(...)` is one to start;
`FAULTS` in its environment says what goes wrong in which trial: {"2": "hang"}.
"""

import datetime
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from fvsearch.files import locked_folder, write_atomically
from fvsearch.meters.measured import Anchor, Interval, Measured, MeasureRequest, StepMemory
from fvsearch.training.metrics import EpochMetrics, MetricsFile
from fvsearch.training.segment import Segment, SegmentResult

EPOCH_SECONDS = 0.1
CHECKPOINT_BYTES = 200_000
SMALL = ("quickstart", "--set", "recipe.epochs=4", "--set", "recipe.warmup_epochs=0.5", "--set", "engine.starts=0", "--backend", "jax")
"""A study, as `fvsearch run` takes it."""

DUMP = "import faulthandler, signal; faulthandler.register(signal.SIGUSR1)"
"""What a command does first: asked with SIGUSR1, as storms.py does of one that hangs, it says in its log where each of its threads is."""


def command(*arguments: str) -> list[str]:
    """The command line of such a `fvsearch`."""
    return [sys.executable, "-c", f"{DUMP}; import pretend; pretend.main()", *arguments]


def environment(faults: dict[int, str] | None = None, **others: str) -> dict[str, str]:
    """For the command: where it finds this module, and what is to go wrong."""
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": paths, "FAULTS": json.dumps(faults or {})} | others


def main() -> None:
    """The command line, with these functions in the place of those that load a backend."""
    if os.environ.get("CLOCK") == "jumps":
        make_clock_jump()
    from fvsearch.cli import main as cli
    from fvsearch.search import confirming, loop, quiet

    loop.run_segment = confirming.run_segment = run_segment  # type: ignore[attr-defined]
    quiet.measure_anchor, quiet.measure_throughputs = measure_anchor, measure_throughputs  # type: ignore[attr-defined]
    cli()


def make_clock_jump() -> None:
    """Have the clock on the wall jump by up to two days, back or forth, whenever it is asked."""
    true_time, true_datetime, rng = time.time, datetime.datetime, random.Random(0)

    class Jumping(true_datetime):  # type: ignore[valid-type, misc]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return true_datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: true_time() + rng.uniform(-172_800, 172_800)
    datetime.datetime = Jumping  # type: ignore[misc]


def run_segment(segment: Segment) -> SegmentResult:
    """Epochs that take a moment each; what stands is not trained again. The number of the process is noted beside each."""
    folder = Path(segment.folder)
    number = int(folder.parent.name)
    with locked_folder(folder):
        metrics, checkpoint = MetricsFile(folder / "metrics.jsonl"), folder / "checkpoint.npz"
        # As a training does: an epoch whose checkpoint a kill cut short is trained again.
        done = metrics.read()[: checkpoint.read_bytes()[0] if checkpoint.exists() else 0]
        metrics.keep(done)
        for epoch in range(len(done), segment.to_epoch):
            go_wrong(json.loads(os.environ["FAULTS"]).get(str(number), ""), epoch, folder)
            time.sleep(EPOCH_SECONDS)
            top1 = 1 - 1 / (2 + segment.arch.depth + epoch)
            rest = {"loss": 1.0, "top5": 1.0, "train_loss": 1.0, "train_top1": top1, "train_top5": 1.0}
            metrics.append(EpochMetrics(epoch=epoch, seconds=EPOCH_SECONDS, top1=top1, **rest))
            write_atomically(checkpoint, bytes([epoch + 1]) + bytes(CHECKPOINT_BYTES - 1))
        return SegmentResult(
            status="completed",
            epochs=metrics.read(),
            measured={"memory": memory(segment.arch)},
            memory_source="made up",
            seconds={"train": EPOCH_SECONDS * (segment.to_epoch - len(done))},
            backend="jax",
            device="none",
        )


def go_wrong(fault: str, epoch: int, folder: Path) -> None:
    """What is to go wrong before an epoch: "loop", say, or "loop after 2" of them."""
    what, _, after = fault.partition(" after ")
    if epoch < int(after or 0):
        return
    if what == "loop":
        while True:
            pass
    if what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "die" or (what == "die once" and not (folder / "died").exists()):
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def memory(arch: Any) -> float:
    """Bytes."""
    return 1e6 * sum(stage.depth * stage.width / 16 for stage in arch.stages)


def measure_anchor(request: MeasureRequest) -> Anchor:
    """The baseline's costs."""
    return Anchor(throughput=1000.0, memory=20e6, memory_source="made up", device="none", seconds=0.1)


def measure_throughputs(request: MeasureRequest) -> Measured:
    """The front's."""
    time.sleep(3 * EPOCH_SECONDS)
    intervals = tuple(Interval(median=1e9 / memory(arch), low=1.0, high=9e9) for arch in request.archs)
    ratios = tuple(Interval(median=found.median / intervals[0].median, low=1e-3, high=1e3) for found in intervals)
    parts = (StepMemory(bytes=1, source="made up"),) * len(intervals)
    return Measured(throughput=intervals, ratio=ratios, memory=parts, backend="jax", device="none", versions={}, seconds={"measure": 0.1})
