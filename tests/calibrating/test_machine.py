from pathlib import Path

import pytest

from fvsearch.calibrating import machine
from fvsearch.calibrating.machine import this_machine
from fvsearch.training.environment import THREADS

VERSIONS = {"keras": "1", "numpy": "2", "jax": "3", "fvsearch": "4"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def test_a_cpu_goes_by_its_processor_cores_and_threads(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9554\n\nprocessor\t: 1\nmodel name\t: AMD EPYC 9554\n", encoding="utf-8")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    plain = this_machine("cpu", "jax", VERSIONS)
    assert (plain.processor, plain.cores, plain.threads) == ("AMD EPYC 9554", 2, {})
    assert plain.text == "AMD EPYC 9554 (2 cores)"
    monkeypatch.setenv("NPROC", "1")
    assert this_machine("cpu", "jax", VERSIONS).threads == {"NPROC": "1"}
    assert this_machine("cpu", "jax", VERSIONS).text == "AMD EPYC 9554 (2 cores, NPROC=1)"


def test_where_the_system_names_no_processor_its_architecture_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert this_machine("cpu", "jax", VERSIONS).processor == "riscv64"


def test_a_gpu_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPROC", "1")
    found = this_machine("NVIDIA H200", "jax", VERSIONS)
    assert (found.processor, found.cores, found.threads, found.text) == ("", 0, {}, "NVIDIA H200")


def test_versions_are_those_that_a_step_depends_on() -> None:
    assert this_machine("cpu", "jax", VERSIONS).versions == {"fvsearch": "4", "keras": "1", "jax": "3"}
