"""The NVIDIA GPUs of this machine, asked of the driver: no backend is loaded for it, and nothing of a GPU's memory taken."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
"""Which GPUs a process sees, and what their numbers mean: as the driver counts them, or, unless said, the fastest first."""

SHARERS = "FVSEARCH_WORKERS_ON_GPU"
"""How many workers use a worker's GPU."""


def driver() -> Any | None:
    """NVIDIA's management library, ready to be asked; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def gpu_names() -> tuple[str, ...]:
    """Names of the machine's GPUs, such as "NVIDIA H200", in the driver's order; of all, whatever this process is to see."""
    nvml = driver()
    if nvml is None:
        return ()
    handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
    return tuple(_text(nvml.nvmlDeviceGetName(handle)) for handle in handles)


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that a process with this environment sees, as CUDA_VISIBLE_DEVICES names them: "0", or "GPU-8f2c..."."""
    names = gpu_names()
    if not names or VISIBLE not in environment:
        return tuple(map(str, range(len(names))))
    found: list[str] = []
    for name in (part.strip() for part in environment[VISIBLE].split(",")):
        # What follows a GPU that there is not is not seen.
        if not name or name.startswith("-") or (name.isdecimal() and int(name) >= len(names)):
            break
        found.append(name)
    return tuple(found)


def gpu_environment(place: int, num_workers: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What pins a worker to one of the GPUs that this process sees; nothing where it sees none.

    Args:
        place: Of the worker among its pool's; where there are more workers than GPUs, some share one.
        num_workers: Of the pool.
        environment: Of this process.
    """
    gpus = visible_gpus(environment)
    if not gpus:
        return {}
    own = place % len(gpus)
    sharers = len(range(own, num_workers, len(gpus)))
    # Where the user named none, the numbers are the driver's.
    order = {ORDER: "PCI_BUS_ID"} if VISIBLE not in environment and ORDER not in environment else {}
    return {VISIBLE: gpus[own], SHARERS: str(sharers), **order}


def gpu_handles(count: int, environment: Mapping[str, str] = os.environ) -> tuple[Any, list[Any]] | None:
    """The driver, and its handles of the first so many GPUs that this process sees; none where it cannot be told which they are."""
    nvml, names = driver(), gpu_names()
    gpus = visible_gpus(environment)[:count]
    if nvml is None or len(gpus) < count:
        return None
    numbers_are_the_drivers = environment.get(ORDER) == "PCI_BUS_ID" or len(set(names)) == 1
    handles: list[Any] = []
    with contextlib.suppress(nvml.NVMLError):
        for gpu in gpus:
            if not gpu.isdecimal():
                handles.append(nvml.nvmlDeviceGetHandleByUUID(gpu))
            elif numbers_are_the_drivers:
                handles.append(nvml.nvmlDeviceGetHandleByIndex(int(gpu)))
    return (nvml, handles) if len(handles) == count else None


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
