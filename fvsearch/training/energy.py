"""Energy, where the device tells it: of an NVIDIA GPU its own counter's, of a CPU RAPL's, shared out by time on the processor."""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from fvsearch.training.gpus import SHARERS, gpu_handles

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows RAPL's counters; most systems let root alone read them."""

SAMPLE_SECONDS = 20.0
"""RAPL's counters begin anew after some minutes of full load, and must be read before they have done so twice."""


class Counter(Protocol):
    """Joules that count for this process, from some moment on."""

    def joules(self) -> float:
        """So far.

        Raises:
            OSError: They are not told any more.
        """
        ...


class GpuCounter:
    """What GPUs have taken, since the driver was loaded; of a GPU that several workers use, each counts its part alone.

    Args:
        nvml: The driver.
        handles: Of the GPUs.
        sharers: Workers that use them.
    """

    def __init__(self, nvml: object, handles: Sequence[object], sharers: int) -> None:
        self._nvml, self._handles, self._sharers = nvml, handles, sharers

    def joules(self) -> float:
        """So far."""
        read = self._nvml.nvmlDeviceGetTotalEnergyConsumption  # type: ignore[attr-defined]
        try:
            return sum(read(handle) for handle in self._handles) / 1000 / self._sharers
        except self._nvml.NVMLError as error:  # type: ignore[attr-defined]
            raise OSError(str(error)) from None


class CpuCounter:
    """What the machine's processors take, of which this process's part is its part of the time that they are busy.

    Args:
        domains: Folders of RAPL, one a processor.
    """

    def __init__(self, domains: Sequence[Path]) -> None:
        self._domains = domains
        self._total = 0.0
        self._energy, self._own, self._busy = self._read(), _own_seconds(), busy_seconds()

    def joules(self) -> float:
        """So far; to be asked now and then."""
        energy, own, busy = self._read(), _own_seconds(), busy_seconds()
        taken = 0.0
        for domain, before, after in zip(self._domains, self._energy, energy, strict=True):
            # A counter that is lower than before has begun anew.
            taken += after - before if after >= before else after - before + _number(domain / "max_energy_range_uj")
        if busy > self._busy:
            self._total += taken / 1e6 * min(1.0, (own - self._own) / (busy - self._busy))
            self._energy, self._own, self._busy = energy, own, busy
        return self._total

    def _read(self) -> list[int]:
        return [_number(domain / "energy_uj") for domain in self._domains]


def cpu_domains(root: Path = POWERCAP) -> list[Path]:
    """RAPL's domains that are whole processors and may be read; parts of one (`intel-rapl:0:0`) and the platform's are left out."""
    found = []
    for domain in sorted(root.glob("intel-rapl:*")):
        with contextlib.suppress(OSError, ValueError):
            if (domain / "name").read_text(encoding="ascii").startswith("package"):
                _number(domain / "energy_uj")
                found.append(domain)
    return found


def counters(gpus: int, environment: Mapping[str, str] = os.environ, powercap: Path = POWERCAP) -> dict[str, Counter]:
    """What tells energy here: "gpu", "cpu", or neither.

    Args:
        gpus: How many of the GPUs that this process sees it uses.
        environment: Of this process.
        powercap: Where RAPL is.
    """
    found: dict[str, Counter] = {}
    if gpus and (known := gpu_handles(gpus, environment)):
        found["gpu"] = GpuCounter(*known, sharers=int(environment.get(SHARERS, "1")))
    if domains := cpu_domains(powercap):
        found["cpu"] = CpuCounter(domains)
    return {name: counter for name, counter in found.items() if _joules(counter) is not None}


def device_energy(count: int, is_cpu: bool) -> "EnergyMeter":
    """The meter of what a training or a measurement takes on its devices.

    Args:
        count: Of the devices.
        is_cpu: Whether they are no accelerators, so that GPUs have no part in it.
    """
    return EnergyMeter(counters(0 if is_cpu else count))


class EnergyMeter:
    """The energy that a block takes.

    Args:
        counters: By what they tell of.
    """

    def __init__(self, counters: Mapping[str, Counter]) -> None:
        self._counters = dict(counters)
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._left = threading.Event()

    def __enter__(self) -> "EnergyMeter":
        self._began = self._read()
        if self._began:
            threading.Thread(target=self._sample, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._left.set()

    def joules(self) -> dict[str, float]:
        """Since the block began, by what it is of; what is not told all the time is left out."""
        return {name: after - self._began[name] for name, after in self._read().items()}

    def _read(self) -> dict[str, float]:
        with self._lock:
            found = {name: _joules(counter) for name, counter in self._counters.items()}
            read = {name: joules for name, joules in found.items() if joules is not None}
            self._counters = {name: self._counters[name] for name in read}
            return read

    def _sample(self) -> None:
        while not self._left.wait(SAMPLE_SECONDS):
            self._read()


def add_joules(*parts: Mapping[str, float]) -> dict[str, float]:
    """All together, by what they are of."""
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def busy_seconds() -> float:
    """Seconds that all the machine's cores together have worked since it was started."""
    import psutil

    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _joules(counter: Counter) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        return counter.joules()
    return None
