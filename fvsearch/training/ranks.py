"""The ranks of a training on PyTorch, which has one device a process: who starts them, hears them, and ends them all.

The process that the user started trains nothing. It owns the folder and the ranks; rank 0 writes the folder's files and tells of epochs and
of the result. Whatever becomes of any process, none is left behind: a rank that fails or dies ends the others through this process, and
this process ends them all through the closed end of a pipe, however it died itself.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, NamedTuple

from fvsearch.errors import FvsearchError, RunError
from fvsearch.records import Record
from fvsearch.training.distribute import Distribution, require_devices
from fvsearch.training.environment import num_cores, worker_environment
from fvsearch.training.segment import OnEpoch, OnStart, Segment, SegmentResult

GRACE = 1.0
"""Seconds to see that a process has died whose death another has felt."""


class Membership(Record, frozen=True):
    """What a rank is told.

    Attributes:
        segment: What all of them train.
        rank, count: Which it is, from 0, and of how many.
        rendezvous: A file, not there yet, by which they find each other.
        messages: Descriptor of the pipe on which it answers.
        on_start: For rank 0 to call, as `run_locked` does.
    """

    segment: Segment
    rank: int
    count: int
    rendezvous: str
    messages: int
    on_start: OnStart | None = None


class Told(NamedTuple):
    """What a rank says: an epoch's metrics, or how it ended: a result, or an error for the user.

    Rank 0, which alone tells of epochs, waits until they are heard: who hears of one finds its checkpoint, not yet the next one's.
    """

    epoch: dict[str, float] | None = None
    result: SegmentResult | None = None
    error: FvsearchError | None = None


class Rank(NamedTuple):
    """A process of the training, and the pipe on which it is heard."""

    process: "subprocess.Popen[bytes]"
    messages: Connection


def count_ranks(distribution: Distribution) -> int:
    """How many ranks a distribution means: one a GPU, or, where there is none, as many as are wanted of the CPU.

    Raises:
        ConfigError: There are fewer GPUs, or nothing says how many ranks a CPU is to have.
    """
    import torch

    gpus = torch.cuda.device_count()
    if gpus or distribution.devices is None:
        return require_devices(gpus or 1, "gpu" if gpus else "cpu", distribution.devices, "torch")
    return distribution.devices


def run_ranks(segment: Segment, count: int, on_epoch: OnEpoch | None = None, on_start: OnStart | None = None) -> SegmentResult:
    """As `run_locked`, by so many ranks.

    Raises:
        ConfigError: As `run_locked`.
        RunError: A rank was killed.
    """
    log_path = Path(segment.folder) / "ranks.log"
    with tempfile.TemporaryDirectory(prefix="fvsearch-") as place, log_path.open("wb") as log, contextlib.ExitStack() as stack:
        rendezvous = os.path.join(place, "rendezvous")
        ranks = [stack.enter_context(_started(segment, rank, count, rendezvous, log, on_start)) for rank in range(count)]
        result = _hear(ranks, on_epoch, log_path)
    log_path.unlink()
    return result


@contextlib.contextmanager
def _started(segment: Segment, rank: int, count: int, rendezvous: str, log: IO[bytes], on_start: OnStart | None) -> Iterator[Rank]:
    """A rank, which is gone, and all that it started, when the block ends."""
    messages, told = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "fvsearch.training._rank"],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[told.fileno()],
        env=os.environ | worker_environment({"KERAS_BACKEND": "torch", "PYTHONSAFEPATH": "1"}, min(count, num_cores())),
        # Ctrl-C in a terminal is meant for this process, and killing a rank is to kill what it started.
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        # Its standard input stays open: that it closes tells the rank that this process is gone.
        with contextlib.suppress(BrokenPipeError):  # dead already: its silence will be noticed
            process.stdin.write(pickle.dumps(Membership(segment, rank, count, rendezvous, told.fileno(), on_start)))
            process.stdin.flush()
        told.close()
        yield Rank(process, messages)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        messages.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _hear(ranks: list[Rank], on_epoch: OnEpoch | None, log_path: Path) -> SegmentResult:
    """The result of the first rank that has one: rank 0's, or of one that failed."""
    while True:
        ready = wait([rank.messages for rank in ranks])
        for rank in [rank for rank in ranks if rank.messages in ready]:
            try:
                told: Told = rank.messages.recv()
            except (EOFError, ConnectionResetError):
                _require_living(ranks, log_path)
                raise RunError(f"a rank must live until its training ends, but one has ended; its output is in {log_path}") from None
            if told.error is not None:
                raise told.error
            if told.result is not None:
                if told.result.status != "completed":
                    # What it met may be no more than the silence of another.
                    _require_living(ranks, log_path)
                return told.result
            if told.epoch is not None:
                if on_epoch is not None:
                    on_epoch(told.epoch)
                with contextlib.suppress(OSError):  # it has died since: its silence will be noticed
                    rank.messages.send(None)


def _require_living(ranks: list[Rank], log_path: Path) -> None:
    """The law that no rank has died.

    Raises:
        RunError: One has, or does within the grace.
    """
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
        for number, rank in enumerate(ranks):
            code = rank.process.poll()
            if code is not None:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                hint = " (as the system does when memory runs out)" if code == -signal.SIGKILL else ""
                raise RunError(
                    f"all ranks must live until their training ends, but rank {number} of {len(ranks)} {how}{hint}; its output is in "
                    f"{log_path}, and the same command goes on from the last epoch"
                )
        time.sleep(0.02)
