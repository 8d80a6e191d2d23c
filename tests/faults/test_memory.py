"""Memory that runs out for real, and a loss that is no number: each is a result with its reason, and the worker goes on."""

import os
from pathlib import Path

import msgspec
import pool_tasks as tasks
import pytest
from trainings import ARCH, DATA, RECIPE, segment_in

from fvsearch.archs.arch import Arch, Stage
from fvsearch.pools import closing, make_pool
from fvsearch.training.segment import Segment, run_segment

BACKEND = os.environ["KERAS_BACKEND"]

MEGABYTES = {"torch": 400, "jax": 3000}
"""Beyond what a worker has when it is about to train: a tiny training fits, what JAX maps for its threads and its compiler too."""

# 7 GB on JAX, 4 on PyTorch, which take it at once or piece by piece until there is no more.
HUGE = Arch(patch_size=1, stages=(Stage(depth=8, width=64, mlp_dim=64, num_heads=4),))


@pytest.mark.slow
@pytest.mark.every_backend
@pytest.mark.skipif(BACKEND not in MEGABYTES, reason="it takes half a minute there")
def test_memory_that_runs_out_is_a_result_and_so_is_no_number_and_the_worker_goes_on(tmp_path: Path) -> None:
    def segment(name: str, arch: Arch, **recipe: object) -> Segment:
        data = msgspec.structs.replace(DATA, source="faulty_data:limited", options={"num_images": 4000, "megabytes": MEGABYTES[BACKEND]})
        settings = msgspec.structs.replace(RECIPE, epochs=1, warmup_epochs=0, batch_size=2000, **recipe)
        return segment_in(tmp_path / name, arch=arch, data=data, recipe=settings, to_epoch=1)

    with closing(make_pool("local", 1, environment={"KERAS_BACKEND": BACKEND, "NPROC": "2"}, log_path=tmp_path / "workers.log")) as pool:
        before = pool.submit(tasks.pid, 0).result()
        huge = pool.submit(run_segment, segment("huge", HUGE)).result()
        wild = pool.submit(run_segment, segment("wild", ARCH, optimizer="sgd", learning_rate=1e30)).result()
        after = pool.submit(tasks.pid, 0).result()
    assert huge.status == "over_memory"
    assert huge.reason.startswith("the memory of cpu ran out: ")
    assert "memory" in huge.reason.partition("ran out: ")[2].lower(), "in the backend's own words"
    assert not list(tmp_path.glob("huge/result.json")), "another time there may be room"
    assert wild.status == "failed"
    assert wild.reason in ("loss became NaN in epoch 1 of 1", "validation loss became NaN in epoch 1 of 1")
    assert before == after
