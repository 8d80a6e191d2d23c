"""Which machine this is: what a calibration is bound to beside its conditions. Coordinator and worker see the same."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from fvsearch.costs.calibration import Machine
from fvsearch.training.environment import THREADS, num_cores

CPUINFO = Path("/proc/cpuinfo")
"""Linux's word on its processors."""


def this_machine(device: str, backend: str, versions: Mapping[str, str]) -> Machine:
    """This machine, by what a worker process on it said; processor, cores and threads matter where the device is the CPU.

    Args:
        device: Its name, as the backend says it.
        backend: That runs on it.
        versions: Of fvsearch, Keras, the backend, and of what else the worker named.
    """
    of_cpu = device == "cpu"
    return Machine(
        device=device,
        processor=_processor() if of_cpu else "",
        cores=num_cores() if of_cpu else 0,
        threads={name: os.environ[name] for name in THREADS if name in os.environ} if of_cpu else {},
        versions={name: versions.get(name, "") for name in ("fvsearch", "keras", backend)},
    )


def _processor() -> str:
    """The processor's name, as far as the system tells it: `AMD EPYC 9554`; at least the architecture, `x86_64`."""
    lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names[0] if names else "") or platform.processor() or platform.machine()
