import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from fvsearch.meters.lock import SharedDevice, device_lock, lock_path


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def train(folder: str, device: str, pipe: Connection) -> None:
    """Train: tell that an epoch has begun, end it when told to, give way, begin another."""
    import tempfile

    tempfile.tempdir = folder
    with SharedDevice(device) as shared:
        while True:
            pipe.send(shared.waited)
            pipe.recv()
            shared.give_way()


def hold(folder: str, device: str, pipe: Connection) -> None:
    import tempfile

    tempfile.tempdir = folder
    with device_lock(device):
        pipe.send("owned")
        pipe.recv()
        pipe.send(time.monotonic())


def other_process(
    folder: Path, device: str, do: Callable[[str, str, Connection], None] = hold
) -> tuple[multiprocessing.Process, Connection]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=do, args=(str(folder), device, there), daemon=True)
    process.start()
    return process, here


def test_a_second_process_waits_for_the_device(tmp_path: Path) -> None:
    with device_lock("cpu"):
        process, pipe = other_process(tmp_path, "cpu")
        assert not pipe.poll(1.5)
    assert pipe.poll(30)
    process.kill()


def test_another_device_is_free(tmp_path: Path) -> None:
    with device_lock("cpu"):
        process, pipe = other_process(tmp_path, "NVIDIA H200")
        assert pipe.poll(30)
        process.kill()


def test_the_owner_s_death_frees_the_device(tmp_path: Path) -> None:
    process, pipe = other_process(tmp_path, "cpu")
    assert pipe.poll(30)
    process.kill()
    process.join()
    with device_lock("cpu"):
        pass


def test_the_lock_is_named_by_the_device() -> None:
    assert lock_path("cpu", {}).name == "cpu.lock"
    assert lock_path("NVIDIA H200 (MIG 1g)", {}).name == "nvidia-h200-mig-1g-0.lock"


def test_of_several_devices_of_a_name_each_has_a_lock() -> None:
    names = [lock_path("NVIDIA H200", {"CUDA_VISIBLE_DEVICES": visible}).name for visible in ("0", "1", "1,0", "GPU-8f2c, 0", "")]
    assert names == [f"nvidia-h200-{which}.lock" for which in ("0", "1", "1", "gpu-8f2c", "0")]
    assert lock_path("cpu", {"CUDA_VISIBLE_DEVICES": "1"}).name == "cpu.lock"


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    process, pipe = other_process(tmp_path, "cpu")
    assert pipe.poll(30)
    heard: list[str] = []

    def told(owner: str) -> None:
        heard.append(owner)
        process.kill()

    with device_lock("cpu", told):
        assert heard == [f"process {process.pid}, which measures on this device"]


def test_who_need_not_wait_is_told_nothing() -> None:
    heard: list[str] = []
    for _ in range(2):
        with device_lock("cpu", heard.append):
            pass
    assert heard == []


def test_a_measurement_waits_for_epochs_and_has_the_device_before_the_next(tmp_path: Path) -> None:
    trainings = [other_process(tmp_path, "cpu", train) for _ in range(2)]
    # They share it.
    assert all(pipe.poll(30) and pipe.recv() < 1.0 for _, pipe in trainings)
    measurement, measured = other_process(tmp_path, "cpu")
    assert not measured.poll(1.5)
    for _, pipe in trainings:
        pipe.send("end the epoch")
    assert measured.poll(30)
    time.sleep(0.5)
    assert not any(pipe.poll() for _, pipe in trainings)
    measured.recv()
    measured.send("measured")
    assert all(pipe.poll(30) and pipe.recv() > 0.4 for _, pipe in trainings)
    for process in (measurement, *(process for process, _ in trainings)):
        process.kill()


def test_a_training_that_is_killed_keeps_no_device(tmp_path: Path) -> None:
    process, pipe = other_process(tmp_path, "cpu", train)
    assert pipe.poll(30)
    process.kill()
    process.join()
    heard: list[str] = []
    with device_lock("cpu", heard.append):
        assert heard == []


def test_who_measures_is_told_that_trainings_are_under_way(tmp_path: Path) -> None:
    process, pipe = other_process(tmp_path, "cpu", train)
    assert pipe.poll(30)
    heard: list[str] = []

    def told(owner: str) -> None:
        heard.append(owner)
        process.kill()

    with device_lock("cpu", told):
        assert heard == ["trainings on this device to end their epochs"]
