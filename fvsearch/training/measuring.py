"""measure_throughputs: images/s of several archs' steps as training runs them, interleaved, alone on the device; run by a worker process.

Importing this loads no keras: the coordinator pickles its functions.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.costs.formula import predict
from fvsearch.errors import RunError
from fvsearch.meters.lock import device_lock
from fvsearch.meters.measured import Activity, Anchor, Interval, Measured, MeasuredArch, MeasureRequest, StepMemory
from fvsearch.meters.rounds import Runner, median_interval, paired_ratio, time_interleaved
from fvsearch.study import Data
from fvsearch.training.energy import device_energy
from fvsearch.training.environment import set_environment
from fvsearch.training.segment import Clock, import_work

if TYPE_CHECKING:
    import keras

__all__ = [
    "Activity",
    "Anchor",
    "Interval",
    "MeasureRequest",
    "Measured",
    "MeasuredArch",
    "StepMemory",
    "measure_anchor",
    "measure_memory",
    "measure_throughputs",
]

GROUP_SIZE = 4
"""Archs that are measured together, beside the reference: when a group is done its archs are told, and a kill loses no more than one."""

RESIDENT_BYTES = 4 * 2**30
"""A group's weights and optimizer states take no more than about this, all together, if fewer archs make that true."""

STEPS_PER_EPOCH = 100
"""Of the learning rate's schedule, on which no step's time depends."""

OnMeasured = Callable[[MeasuredArch], None]
OnActivity = Callable[[Activity], None]


def measure_throughputs(
    request: MeasureRequest, on_measured: OnMeasured = lambda measured: None, on_activity: OnActivity = lambda activity: None
) -> Measured:
    """Images/s and memory of each arch's step, as training runs it, with nothing else running on the device.

    Each model is built and compiled once and runs on one synthetic batch. Archs take turns; the first is the reference and takes part
    in every group and round. Another process's measurement on the same device is waited for.

    Args:
        request: What to measure.
        on_measured: Told of each arch as soon as its group is done; of the reference first, as the first group finds it.
        on_activity: Told what begins.

    Raises:
        RunError: An arch's step does not run; the message names the arch.
    """
    set_environment()
    clock = Clock()
    if "keras" not in sys.modules:
        on_activity(Activity("start"))
    with clock.time("import"):
        import_work()
    import keras

    from fvsearch.training.device import device_name, set_up_device, versions

    set_up_device()  # As training: deterministic operations may be slower.
    device = device_name()
    measuring = _Measuring(request, clock, on_measured, on_activity)
    with ExitStack() as owned:
        with clock.time("wait"):
            owned.enter_context(device_lock(device, on_wait=lambda owner: on_activity(Activity("wait", owner))))
        energy = owned.enter_context(device_energy(1, device == "cpu"))
        measuring.run()
        joules = energy.joules()
    found = [measuring.found[index] for index in range(len(request.archs))]
    return Measured(
        throughput=(measuring.throughput(measuring.reference), *(arch.throughput for arch in found[1:])),
        ratio=tuple(arch.ratio for arch in found),
        memory=tuple(arch.memory for arch in found),
        backend=keras.backend.backend(),
        device=device,
        versions=versions(),
        seconds=clock.seconds,
        joules=joules,
    )


def measure_anchor(request: MeasureRequest) -> Anchor:
    """The costs of the request's first arch, by which predictions are scaled."""
    measured = measure_throughputs(request)
    return Anchor(
        throughput=measured.throughput[0].median,
        memory=measured.memory[0].bytes,
        memory_source=measured.memory[0].source,
        device=measured.device,
        seconds=sum(measured.seconds.values()),
        backend=measured.backend,
        versions=measured.versions,
        joules=measured.joules,
    )


def measure_memory(request: MeasureRequest) -> tuple[StepMemory, ...]:
    """Memory of each arch's step and nothing else: where the meter runs no step, as on CPUs, far larger models than could be timed.

    Raises:
        RunError: An arch's step cannot be metered; the message names the arch.
    """
    set_environment()
    from fvsearch.meters.memory import step_memory

    found = []
    for arch in request.archs:
        with _named_errors(request, arch):
            found.append(step_memory(_build(request, arch), request.image_shape, request.batch_size, request.phase))
        gc.collect()
    return tuple(found)


class _Ready(NamedTuple):
    """An arch whose steps are compiled."""

    runner: Runner
    memory: StepMemory
    seconds: dict[str, float]


class _Measuring:
    """A request on its way, on a device that this process owns.

    Attributes:
        found: By arch.
        reference: The reference's seconds a turn, of all groups.
    """

    def __init__(self, request: MeasureRequest, clock: Clock, on_measured: OnMeasured, on_activity: OnActivity) -> None:
        self.request, self.clock = request, clock
        self.on_measured, self.on_activity = on_measured, on_activity
        self.found: dict[int, MeasuredArch] = {}
        self.reference: list[float] = []

    def run(self) -> None:
        """Group by group; the reference's model stays."""
        groups = group_archs(self.request)
        seconds = self.request.time_budget / sum(map(len, groups))
        ready = {0: self._ready(0)}
        for group in groups:
            ready |= {index: self._ready(index) for index in group if index not in ready}
            self.on_activity(Activity("measure", f"{self.request.phase}, {len(group)} of {len(self.request.archs)} archs"))
            with self.clock.time("measure"):
                samples = time_interleaved([ready[index].runner for index in group], seconds * len(group))
            self.reference += samples[0]
            for index, taken in zip(group, samples, strict=True):
                if index not in self.found:
                    self.found[index] = MeasuredArch(
                        index=index,
                        throughput=self.throughput(taken),
                        ratio=paired_ratio(samples[0], taken),
                        memory=ready[index].memory,
                        seconds=ready[index].seconds,
                    )
                    self.on_measured(self.found[index])
            ready = {0: ready[0]}
            gc.collect()

    def throughput(self, seconds: list[float]) -> Interval:
        """Images/s.

        Args:
            seconds: Of a runner's turn.
        """
        images = self.request.batch_size * _steps_per_turn(self.request)
        return median_interval([images / turn for turn in seconds])

    def _ready(self, index: int) -> _Ready:
        """An arch's steps, ready to run."""
        request, arch = self.request, self.request.archs[index]
        self.on_activity(Activity("compile", f"{format_layout(arch, request.image_shape[:2])}, {request.phase}"))
        clock = Clock()
        with _named_errors(request, arch):
            runner, memory = _make_runner(request, arch, clock)
        for activity, taken in clock.seconds.items():
            self.clock.add(activity, taken)
        return _Ready(runner, memory, clock.seconds)


@contextmanager
def _named_errors(request: MeasureRequest, arch: Arch) -> Iterator[None]:
    """Say of which arch an error is."""
    from fvsearch.training.device import is_out_of_memory

    try:
        yield
    except Exception as error:
        reason = (
            "the device's memory ran out; a smaller batch needs less" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
        )
        layout = format_layout(arch, request.image_shape[:2])
        raise RunError(f"{layout} cannot be measured at batch_size={request.batch_size}: {reason}") from error


def group_archs(request: MeasureRequest) -> list[list[int]]:
    """Indices of the archs that are measured together: each group starts with the reference, and fits in `RESIDENT_BYTES` if it can."""
    resident = [_resident_bytes(request, arch) for arch in request.archs]
    groups, used = [[0]], resident[0]
    for index in range(1, len(resident)):
        group = groups[-1]
        if len(group) > GROUP_SIZE or (len(group) > 1 and used + resident[index] > RESIDENT_BYTES):
            groups.append([0])
            used = resident[0]
        groups[-1].append(index)
        used += resident[index]
    return groups


def _resident_bytes(request: MeasureRequest, arch: Arch) -> int:
    """Weights, gradients and optimizer state, by formula."""
    return predict(
        arch,
        image_shape=request.image_shape,
        num_classes=request.num_classes,
        batch_size=1,
        dtype=request.recipe.dtype,
        phase=request.phase,
        optimizer=request.recipe.optimizer,
        ema=request.recipe.ema is not None,
        accumulates=request.recipe.accumulate > 1,
    ).weight_memory


def _make_runner(request: MeasureRequest, arch: Arch, clock: Clock) -> tuple[Runner, StepMemory]:
    """Build and compile the arch's model, ask its memory, and run the first step."""
    from fvsearch.meters.backend import meter
    from fvsearch.meters.memory import step_memory, synthetic_batch

    with clock.time("build"):
        model = _build(request, arch)
    with clock.time("compile"):
        memory = step_memory(model, request.image_shape, request.batch_size, request.phase)
        batch = synthetic_batch(request.image_shape, request.num_classes, request.batch_size, request.seed)
        run_steps = meter().make_runner(model, batch, request.phase)
        turn = _steps_per_turn(request)

        def runner(turns: int) -> None:
            run_steps(turns * turn)

        runner(1)
    return runner, memory


def _steps_per_turn(request: MeasureRequest) -> int:
    """Steps of the device that make a whole: where gradients are accumulated, the optimizer's step comes after some, and takes longer."""
    return request.recipe.accumulate if request.phase == "training" else 1


def _build(request: MeasureRequest, arch: Arch) -> "keras.Model":
    """The model as a trial trains it."""
    from fvsearch.training.fit import compile_model, recipe_model

    height, width, channels = request.image_shape
    noise = Data(source="noise", image_size=(height, width), channels=channels, num_classes=request.num_classes)
    model = recipe_model(arch, noise, request.recipe, request.seed)
    compile_model(model, request.recipe, STEPS_PER_EPOCH)
    return model
