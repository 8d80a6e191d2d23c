"""The options that say where a study's trainings run."""

from typing import Any

import click
import pytest
from fake_nvml import FakeNvml

from fvsearch.cli.common import make_run_settings


def settings(pool: Any = "local", workers: int | None = None, ray_address: str | None = None) -> Any:
    return make_run_settings("jax", workers, pool, ray_address, {"CPU": 1.0})


def test_there_is_a_worker_for_each_gpu_and_without_any_two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    FakeNvml(0).install(monkeypatch)
    assert settings().workers == 2
    FakeNvml(8).install(monkeypatch)
    assert settings().workers == 8
    assert settings(workers=3).workers == 3
    assert settings("inline").workers == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert settings().workers == 3


def test_a_ray_cluster_holds_as_many_workers_as_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("fvsearch.pools.count_places", lambda *arguments: asked.append(arguments) or 12)
    found = settings("ray", ray_address="head:6379")
    assert (found.pool, found.workers, found.ray_address) == ("ray", 12, "head:6379")
    assert asked == [({"CPU": 1.0}, "head:6379")]


def test_an_address_without_the_pool_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--ray-address is for --pool ray, but got it with --pool local"):
        settings(ray_address="head:6379")
