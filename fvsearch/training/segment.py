"""The unit of work: one training from an epoch to another, picklable in and out, a pure function of its input and its checkpoint.

A segment's folder holds

    training.json     whose training this is: arch, data, recipe, seed, backend
    metrics.jsonl     every epoch's metrics, as they come
    checkpoint.npz    the state after the latest epoch
    result.json       the latest segment that ended, and its result
    transfer.json     what became of the weights that the training started from, where it started from any

so that a segment goes on from wherever an earlier process was killed, and one that has ended is answered from disk. Importing this
loads no keras: the coordinator pickles segments, a worker runs them.
"""

import contextlib
import hashlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError, FvsearchError, TrainingError
from fvsearch.files import locked_folder, no_room, write_atomically
from fvsearch.records import Record, require_at_least
from fvsearch.study import Data, require_patches
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import Recipe
from fvsearch.training.environment import lasting_imports, set_environment
from fvsearch.training.metrics import EpochMetrics, InputPace
from fvsearch.training.start import Start

if TYPE_CHECKING:
    from fvsearch.training.device import Devices

REASON = 300
"""Characters of another library's words that a reason keeps."""

Status = Literal["completed", "over_memory", "failed"]
OnEpoch = Callable[[dict[str, float]], None]
"""Told of each epoch as it ends: the fields of EpochMetrics."""
OnStart = Callable[[], list[str]]
"""Asked once the folder is the training's and the backend is up, before anything is trained; what should be known, as notes."""


class Segment(Record, frozen=True, kw_only=True):
    """Epochs `from_epoch` to `to_epoch` of one training.

    Attributes:
        arch, data, recipe, seed: What is trained; with the backend and the start's hash they are the training's identity.
        start: Whose weights the training starts from; the seed's unless said.
        from_epoch: Epochs done before; the checkpoint of an earlier segment holds them.
        to_epoch: Epochs done after.
        folder: Of the training, the same for all its segments.
        max_memory: Bytes; a step measured above them ends the training before its first epoch.
        phase: Of which the memory is said.
        cost_batch_size: Images per step of the device, at which; the recipe's unless said.
    """

    arch: Arch
    data: Data
    recipe: Recipe
    seed: int
    start: Start | None = None
    from_epoch: int = 0
    to_epoch: int
    folder: str
    max_memory: float | None = None
    phase: Phase = "training"
    cost_batch_size: int | None = None

    def __post_init__(self) -> None:
        require_at_least(0, self, "from_epoch", "seed")
        require_at_least(1, self, "cost_batch_size")
        if not self.from_epoch < self.to_epoch <= self.recipe.epochs:
            raise ConfigError(
                f"a segment must have from_epoch < to_epoch <= the recipe's epochs, but got from_epoch={self.from_epoch}, "
                f"to_epoch={self.to_epoch}, epochs={self.recipe.epochs}"
            )
        require_patches(self.arch.patch_size, self.data)
        self.recipe.augmentation.require_colors(self.data.channels)


class SegmentResult(Record, frozen=True, kw_only=True):
    """How a segment ended.

    Attributes:
        status: "over_memory" is measured above `max_memory`, or the device ran out.
        reason: Why it did not complete; empty if it did.
        epochs: Of the whole training so far, from epoch 0, not of this segment alone.
        notes: What a reader should know of how it went, such as a broken checkpoint.
        measured: Costs read from the device, by a training's first segment alone: "memory" in bytes.
        memory_source: How it was obtained.
        input_pace: How fast images came into this segment; none where they were handed over whole.
        seconds: Wall time of this process by activity: import, build (data and model), measure, compile (first steps), train, and wait,
            where a measurement had the device. On JAX the step is compiled in measure, and training finds it compiled.
        joules: Energy that this process's part in it took, "gpu" and "cpu", where they tell it; the import of the backend is left out.
        device: Its name; of several, "4 x cpu".
        versions: Of Python, fvsearch, Keras and what is below it.
    """

    status: Status
    reason: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    notes: tuple[str, ...] = ()
    measured: dict[str, float] = msgspec.field(default_factory=dict)
    memory_source: str = ""
    input_pace: InputPace | None = None
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    joules: dict[str, float] = msgspec.field(default_factory=dict)
    backend: str = ""
    device: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)


class Ended(Record, frozen=True, kw_only=True):
    """A segment that has ended, as its folder keeps it."""

    segment: Segment
    result: SegmentResult


def derive_seed(study_seed: int, arch_hash: str, repeat: int) -> int:
    """The seed of a training, from what it is and never from when it runs; below 2^31."""
    return int.from_bytes(hashlib.sha256(f"{study_seed}/{arch_hash}/{repeat}".encode()).digest()[:4], "big") >> 1


def run_segment(segment: Segment, on_epoch: OnEpoch | None = None) -> SegmentResult:
    """Train a segment, or go on with it, or answer from disk where it has ended.

    The memory of a step is measured before a training's first epoch, where `max_memory` may end it; a later segment measures nothing.
    What goes wrong in the training is a result; what is wrong with the input is an error.

    Args:
        segment: What to train.
        on_epoch: Told of every epoch that this call trains.

    Raises:
        ConfigError: The data cannot be read, or the folder cannot be written or holds another training.
        DiskFullError: There is no room for the training's files.
        LockedError: Another process trains in the folder, and does not leave.
    """
    with locked_folder(Path(segment.folder)):
        return run_locked(segment, on_epoch)


def run_locked(
    segment: Segment,
    on_epoch: OnEpoch | None = None,
    on_start: OnStart | None = None,
    find_devices: "Callable[[], Devices] | None" = None,
) -> SegmentResult:
    """As `run_segment`, for one who owns the folder already.

    Args:
        segment: What to train.
        on_epoch: Told of every epoch that this call trains.
        on_start: For what is to be done in the folder before the training begins or goes on.
        find_devices: Finds the devices to train on, once keras is imported; one unless said.
    """
    set_environment()
    clock = Clock()
    with clock.time("import"):
        import_work()
    from fvsearch.training.work import Work

    work = Work(segment, clock, find_devices() if find_devices else None)
    ended = work.ended()
    if ended is not None:
        return ended
    if on_start is not None:
        work.notes += on_start()
    with work.energy:
        try:
            result = work.run(on_epoch)
        except TrainingError as error:
            result = work.result("failed", str(error))
        except FvsearchError:
            raise
        except Exception as error:
            if full := no_room(error):
                raise full from error
            return work.result(*explain_error(error, Path(segment.folder)))
    write_atomically(work.result_path, msgspec.json.encode(Ended(segment=segment, result=result)))
    return result


def import_work() -> None:
    """Import what trains, once a process."""
    if "fvsearch.training.work" not in sys.modules:
        with lasting_imports():
            import fvsearch.training.work  # noqa: F401


def explain_error(error: Exception, folder: Path) -> tuple[Status, str]:
    """Status and reason for an error that no law of ours foresaw; its traceback goes to error.txt.

    Such a result is not kept: the device's memory may be free another time, and a bug mended.
    """
    from fvsearch.training.device import OUT_OF_MEMORY, device_name, is_out_of_memory

    write_atomically(folder / "error.txt", "".join(traceback.format_exception(error)).encode())
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    if is_out_of_memory(error):
        # Keras begins with the layer, TensorFlow with its graph.
        said = next((line for line in lines if any(sign in line for sign in OUT_OF_MEMORY)), lines[0])
        return "over_memory", f"the memory of {device_name()} ran out: {said[:REASON]}"
    line = lines[0][:REASON]
    return "failed", f"{type(error).__name__}: {line} (traceback in {folder / 'error.txt'})"


class Clock:
    """Wall time by activity.

    Attributes:
        seconds: So far.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def time(self, activity: str) -> Iterator[None]:
        """Add what the block takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(activity, time.perf_counter() - start)

    def add(self, activity: str, seconds: float) -> None:
        """Add seconds."""
        self.seconds[activity] = self.seconds.get(activity, 0.0) + seconds
