"""A rank: one process of a training on PyTorch. `python -m fvsearch.training._rank` is told on its standard input which it is."""

import contextlib
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from fvsearch.errors import FvsearchError, TrainingError
from fvsearch.training.environment import set_environment
from fvsearch.training.ranks import Membership, Told
from fvsearch.training.segment import SegmentResult, explain_error, import_work, run_locked

if TYPE_CHECKING:
    from fvsearch.training._distributed_torch import TorchDevices


def main() -> None:
    """Do a rank's part, say how it ended, and wait for the end: a rank that left would be an error to those that still train."""
    member: Membership = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    messages = Connection(member.messages)
    try:
        told = Told(result=_lead(member, messages)) if member.rank == 0 else _follow(member)
    except FvsearchError as error:
        told = Told(error=error)
    except Exception as error:
        status, reason = explain_error(error, Path(member.segment.folder))
        told = Told(result=SegmentResult(status=status, reason=f"{reason} (rank {member.rank} of {member.count})"))
    messages.send(told)
    threading.Event().wait()


def _lead(member: Membership, messages: Connection) -> SegmentResult:
    """Rank 0's part: all of a training, and its share of the steps."""

    def join() -> "TorchDevices":
        from fvsearch.training._distributed_torch import TorchDevices

        return TorchDevices(member.rank, member.count, member.rendezvous)

    def on_epoch(epoch: dict[str, float]) -> None:
        messages.send(Told(epoch=epoch))
        messages.recv()

    return run_locked(member.segment, on_epoch, member.on_start, join)


def _follow(member: Membership) -> Told:
    """Another rank's part: its share of the steps, and nothing written.

    What ends the training of all, such as a loss that is no number, is rank 0's to tell.
    """
    set_environment()
    import_work()
    from fvsearch.data import load_search_splits
    from fvsearch.training._distributed_torch import TorchDevices
    from fvsearch.training.fit import Stopwatch, train_epochs
    from fvsearch.training.work import fresh_model

    segment = member.segment
    devices = TorchDevices(member.rank, member.count, member.rendezvous)
    splits = load_search_splits(segment.data)
    model = fresh_model(segment, len(splits.train.labels), devices)
    epochs = devices.begin(model, range(0))
    with contextlib.suppress(TrainingError):
        for _ in train_epochs(model, segment.recipe, splits, segment.seed, epochs, Stopwatch(), devices):
            pass
    return Told()


def _end_with_parent() -> None:
    """End this process and all that it started when the parent's end of the pipe closes, in the middle of a step if need be."""
    sys.stdin.buffer.read(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
