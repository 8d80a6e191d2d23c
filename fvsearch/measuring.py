"""measure_throughputs: images/s of several archs' steps as training runs them, interleaved, alone on the device; run by a worker process.

Importing this loads no keras: the coordinator pickles its functions.
"""

import gc
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fvsearch.arch import Arch
from fvsearch.costs import predict
from fvsearch.errors import RunError
from fvsearch.layout import format_layout
from fvsearch.meters.lock import device_lock
from fvsearch.meters.measured import Anchor, Interval, Measured, MeasureRequest, StepMemory
from fvsearch.meters.rounds import Runner, median_interval, time_interleaved
from fvsearch.training.segment import Clock

if TYPE_CHECKING:
    import keras

__all__ = ["Anchor", "Interval", "MeasureRequest", "Measured", "StepMemory", "measure_anchor", "measure_throughputs"]

RESIDENT_BYTES = 4 * 2**30
"""Archs are measured in groups whose weights and optimizer states take no more than about this, all together."""

STEPS_PER_EPOCH = 100
"""Of the learning rate's schedule, on which no step's time depends."""


def measure_throughputs(request: MeasureRequest) -> Measured:
    """Images/s and memory of each arch's step, as training runs it, with nothing else running on the device.

    Each model is built and compiled once and runs on one synthetic batch. Archs take turns; the first is the reference and takes part
    in every group and round. Another process's measurement on the same device is waited for.

    Raises:
        RunError: An arch's step does not run; the message names the arch.
    """
    clock = Clock()
    with clock.time("import"):
        import keras

        from fvsearch.training.device import device_name, make_deterministic, versions
    make_deterministic()  # As training: deterministic operations may be slower.
    device = device_name()
    with ExitStack() as owned:
        with clock.time("wait"):
            owned.enter_context(device_lock(device))
        memory, step_seconds = _measure(request, clock)
    return Measured(
        throughput=tuple(median_interval([request.batch_size / step for step in samples]) for samples in step_seconds),
        memory=tuple(memory),
        backend=keras.backend.backend(),
        device=device,
        versions=versions(),
        seconds=clock.seconds,
    )


def _measure(request: MeasureRequest, clock: Clock) -> tuple[list[StepMemory], list[list[float]]]:
    """By arch: the memory of its step, and samples of the step's seconds."""
    memory: dict[int, StepMemory] = {}
    samples: list[list[float]] = [[] for _ in request.archs]
    runners: dict[int, Runner] = {}
    for group in group_archs(request):
        for index in group:
            if index not in runners:
                runners[index], memory[index] = _ready(request, request.archs[index], clock)
        with clock.time("measure"):
            taken = time_interleaved([runners[index] for index in group], request.time_budget * len(group) / len(request.archs))
        for index, steps in zip(group, taken, strict=True):
            samples[index] += steps
        runners = {0: runners[0]}
        gc.collect()
    return [memory[index] for index in sorted(memory)], samples


def measure_anchor(request: MeasureRequest) -> Anchor:
    """The costs of the request's first arch, by which predictions are scaled."""
    measured = measure_throughputs(request)
    return Anchor(
        throughput=measured.throughput[0].median,
        memory=measured.memory[0].bytes,
        memory_source=measured.memory[0].source,
        device=measured.device,
        seconds=sum(measured.seconds.values()),
    )


def group_archs(request: MeasureRequest) -> list[list[int]]:
    """Indices of the archs that are measured together: each group starts with the reference, and fits in `RESIDENT_BYTES` if it can."""
    resident = [_resident_bytes(request, arch) for arch in request.archs]
    groups, used = [[0]], resident[0]
    for index in range(1, len(resident)):
        if len(groups[-1]) > 1 and used + resident[index] > RESIDENT_BYTES:
            groups.append([0])
            used = resident[0]
        groups[-1].append(index)
        used += resident[index]
    return groups


def _resident_bytes(request: MeasureRequest, arch: Arch) -> int:
    """Weights, gradients and optimizer state, by formula."""
    cost = predict(arch, image_shape=request.data.image_shape, num_classes=request.data.num_classes, batch_size=1, phase=request.phase)
    return cost.weight_memory


def _ready(request: MeasureRequest, arch: Arch, clock: Clock) -> tuple[Runner, StepMemory]:
    """The arch's steps, ready to run, and their memory."""
    from fvsearch.training.device import is_out_of_memory

    try:
        return _make_runner(request, arch, clock)
    except Exception as error:
        layout = format_layout(arch, request.data.image_shape[:2])
        reason = "the device's memory ran out" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
        raise RunError(f"{layout} cannot be measured at batch_size={request.batch_size}: {reason}") from error


def _make_runner(request: MeasureRequest, arch: Arch, clock: Clock) -> tuple[Runner, StepMemory]:
    """Build and compile the arch's model, ask its memory, and run the first step."""
    from fvsearch.meters.backend import meter
    from fvsearch.meters.memory import step_memory, synthetic_batch

    data = request.data
    with clock.time("build"):
        model = _build(request, arch)
    with clock.time("compile"):
        memory = step_memory(model, data.image_shape, request.batch_size, request.phase)
        batch = synthetic_batch(data.image_shape, data.num_classes, request.batch_size, request.seed)
        runner = meter().make_runner(model, batch, request.phase)
        runner(1)
    return runner, memory


def _build(request: MeasureRequest, arch: Arch) -> "keras.Model":
    """The model as a trial trains it."""
    from fvsearch.training.fit import compile_model, recipe_model

    model = recipe_model(arch, request.data, request.recipe, request.seed)
    compile_model(model, request.recipe, STEPS_PER_EPOCH)
    return model
