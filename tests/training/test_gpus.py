"""Which GPU a worker has, on a machine whose driver tells of as many as the test says."""

import pynvml
import pytest
from fake_nvml import FakeNvml

from fvsearch.training.gpus import gpu_environment, gpu_handles, gpu_names, visible_gpus


def test_without_a_driver_there_are_no_gpus_and_nothing_is_pinned(monkeypatch):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert gpu_names() == visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1"}) == ()
    assert gpu_environment(0, 2, {}) == {}
    assert gpu_handles(1, {}) is None


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, ("0", "1", "2", "3")),
        ({"CUDA_VISIBLE_DEVICES": "2, 1"}, ("2", "1")),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8f2c,0"}, ("GPU-8f2c", "0")),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,2"}, ("1",)),
        ({"CUDA_VISIBLE_DEVICES": "3,7,2"}, ("3",)),
    ],
)
def test_gpus_are_seen_as_cuda_sees_them(environment, seen, monkeypatch):
    FakeNvml(4).install(monkeypatch)
    assert visible_gpus(environment) == seen


def test_each_worker_has_a_gpu_of_its_own_while_there_are_enough(monkeypatch):
    FakeNvml(4).install(monkeypatch)
    pinned = [gpu_environment(place, 4, {}) for place in range(4)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in pinned] == ["0", "1", "2", "3"]
    assert {one["FVSEARCH_WORKERS_ON_GPU"] for one in pinned} == {"1"}
    assert {one["CUDA_DEVICE_ORDER"] for one in pinned} == {"PCI_BUS_ID"}


def test_more_workers_than_gpus_share_them_evenly(monkeypatch):
    FakeNvml(2).install(monkeypatch)
    pinned = [gpu_environment(place, 5, {}) for place in range(5)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in pinned] == ["0", "1", "0", "1", "0"]
    assert [one["FVSEARCH_WORKERS_ON_GPU"] for one in pinned] == ["3", "2", "3", "2", "3"]


def test_workers_have_what_the_user_leaves_them_by_the_users_names(monkeypatch):
    FakeNvml(4).install(monkeypatch)
    mine = {"CUDA_VISIBLE_DEVICES": "GPU-8f2c,3"}
    pinned = [gpu_environment(place, 2, mine) for place in range(2)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in pinned] == ["GPU-8f2c", "3"]
    assert all("CUDA_DEVICE_ORDER" not in one for one in pinned), "3 is the third by the user's order, whichever that is"


@pytest.mark.parametrize(
    ("names", "environment", "handles"),
    [
        (("A", "A", "A"), {"CUDA_VISIBLE_DEVICES": "2"}, ["handle 2"]),
        (("A", "B"), {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["handle 1"]),
        # The fastest first: which of the two is that?
        (("A", "B"), {"CUDA_VISIBLE_DEVICES": "1"}, None),
        (("A", "B"), {"CUDA_VISIBLE_DEVICES": "GPU-1"}, ["handle 1"]),
        (("A", "B"), {"CUDA_VISIBLE_DEVICES": "GPU-none"}, None),
        (("A", "B"), {"CUDA_VISIBLE_DEVICES": ""}, None),
    ],
)
def test_the_driver_is_asked_of_a_gpu_that_is_certain(names, environment, handles, monkeypatch):
    FakeNvml(len(names), names).install(monkeypatch)
    found = gpu_handles(1, environment)
    assert (found and found[1]) == handles
