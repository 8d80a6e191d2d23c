"""A training on several devices: the curve of one device, resumed on more or fewer, its laws, and no process left behind.

Devices are counted before a backend starts, so all that trains on several runs in a process of its own (tests/distributed.py).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import psutil
import pytest
from distributed import EPOCHS, RECIPE, RUN, train

from fvsearch.errors import ConfigError, RunError, TrainingError
from fvsearch.training import ranks
from fvsearch.training._shares import batches_of, share_of
from fvsearch.training.distribute import Distribution, check_distribution, require_devices
from fvsearch.training.ranks import Rank, Told
from fvsearch.training.run import train_run
from fvsearch.training.segment import SegmentResult

BACKEND = keras.backend.backend()
TESTS = Path(__file__).parents[1]

DEVICES = {"jax": 4, "tensorflow": 2, "torch": 2}[BACKEND]
MASKS = {"jax": 0.02, "tensorflow": 0.0, "torch": 0.0}[BACKEND]
"""Dropout: JAX draws the same masks on any number of devices."""

NOISE = {"loss": 2e-4, "train_loss": 2e-4}
"""Of float32 sums in another order, after three epochs; accuracies may differ by an image whose logits are all but equal."""

Came = dict[str, Any]


def environment() -> dict[str, str]:
    """Of a process that finds tests/ and this checkout."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]), "KERAS_BACKEND": BACKEND}


def start(*jobs: dict[str, Any], folder: Path) -> "subprocess.Popen[str]":
    """The jobs in a process of their own."""
    command = [sys.executable, "-m", "distributed", json.dumps(jobs)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment() | {"TMPDIR": str(folder)}
    )


def require_same_curve(one: Came, other: Came) -> None:
    """Epoch by epoch the same to rounding, accuracies to one image of 321, or of those trained on."""
    assert len(one["curve"]) == len(other["curve"]) == EPOCHS
    for expected, found in zip(one["curve"], other["curve"], strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=NOISE.get(name, 1.01 / 321)), (name, found, expected)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Came:
    """The training on one device, unbroken."""
    return train(str(tmp_path_factory.mktemp("one") / "run"), dropout=MASKS)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that one device began, two epochs of it."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    assert train(str(folder), 2, dropout=MASKS)["interrupted"]
    return folder


@pytest.fixture(scope="module")
def several(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Came]]:
    """What came of the jobs on several devices: the whole training, one that goes on, one that is begun, and by layers on JAX."""
    folder = tmp_path_factory.mktemp("several")
    shutil.copytree(begun, folder / "resumed")
    data: dict[str, Any] = {"devices": DEVICES, "dropout": MASKS}
    jobs = [{"folder": "whole", **data}, {"folder": "resumed", **data}, {"folder": "begun", "interrupt": 1, **data}]
    if BACKEND == "jax":
        jobs.append({"folder": "layers", "shared": "model", "devices": 2, "dropout": MASKS})
    output, said = (process := start(*jobs, folder=folder)).communicate(timeout=200)
    assert process.returncode == 0, said
    return folder, json.loads(output.splitlines()[-1])


@pytest.mark.slow
def test_several_devices_train_as_one_does(one: Came, several: tuple[Path, list[Came]]) -> None:
    whole = several[1][0]
    require_same_curve(one, whole)
    assert one["curve"][-1]["train_loss"] < one["curve"][0]["train_loss"] - 0.5, "it learned"
    assert one["device"] == "cpu" and whole["device"] == f"{DEVICES} x cpu"
    assert whole["files"] == one["files"]


@pytest.mark.slow
def test_what_one_device_began_several_finish(one: Came, several: tuple[Path, list[Came]]) -> None:
    resumed = several[1][1]
    require_same_curve(one, resumed)
    assert resumed["notes"] == [] and resumed["device"] == f"{DEVICES} x cpu"


@pytest.mark.slow
def test_what_several_devices_began_one_finishes(one: Came, several: tuple[Path, list[Came]]) -> None:
    folder, came = several
    assert came[2]["interrupted"] and len(came[2]["curve"]) == 1
    finished = train(str(folder / "begun"), dropout=MASKS)
    require_same_curve(one, finished)
    assert list(finished["notes"]) == [] and finished["device"] == "cpu"


@pytest.mark.slow
def test_no_process_is_left(several: tuple[Path, list[Came]]) -> None:
    assert [came["left"] for came in several[1]] == [[] for _ in several[1]]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_devices_that_share_layers_train_as_one_does(one: Came, several: tuple[Path, list[Came]]) -> None:
    require_same_curve(one, several[1][3])


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_heads_and_hidden_units_are_what_layers_share() -> None:
    from fvsearch.training._distributed_jax import DISTRIBUTIONS
    from fvsearch.training.fit import recipe_model

    layout = DISTRIBUTIONS["model"](["cpu:0"]).get_variable_layout
    shared = {}
    for variable in recipe_model(RUN.arch, RUN.data, RECIPE, 0).trainable_variables:
        variable._layout = None
        shared[variable.path] = layout(variable).axes
    divided = {path for path, axes in shared.items() if "model" in axes}
    block = "stage1_block0"
    attention = {f"{block}_attention/{name}/{kind}" for name in ("query", "key", "value") for kind in ("kernel", "bias")}
    mlp = {f"{block}_mlp/expand/kernel", f"{block}_mlp/expand/bias", f"{block}_mlp/contract/kernel"}
    assert {path for path in divided if path.startswith(block)} == attention | mlp | {f"{block}_attention/projection/kernel"}
    assert shared[f"{block}_attention/projection/kernel"] == ("model", None)
    assert len(divided) == 2 * 10


def waiting_ranks(process: "subprocess.Popen[str]", folder: Path) -> list[psutil.Process]:
    """The two ranks of a training, once it has an epoch behind it."""
    until = time.monotonic() + 100
    while not (folder / "run" / "checkpoint.npz").exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    found = psutil.Process(process.pid).children()
    assert len(found) == 2
    return found


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch, which has a process for each device")
@pytest.mark.parametrize("victim", ["a rank", "the parent"])
def test_whoever_is_killed_all_end(victim: str, tmp_path: Path) -> None:
    process = start({"folder": "run", "devices": 2, "epochs": 10**5}, folder=tmp_path)
    members = waiting_ranks(process, tmp_path)
    if victim == "a rank":
        members[1].kill()
    else:
        process.send_signal(signal.SIGKILL)
    said = process.communicate(timeout=60)[1]
    gone, alive = psutil.wait_procs(members, timeout=10)
    assert len(gone) == 2 and not alive
    if victim == "a rank":
        assert "all ranks must live until their training ends, but rank 1 of 2" in said
        assert "was killed by SIGKILL (as the system does when memory runs out); its output is in run/ranks.log" in said


def test_a_batch_must_divide_among_devices(tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, recipe=msgspec.structs.replace(RECIPE, batch_size=10))
    with pytest.raises(ConfigError, match="`batch_size` must divide by the devices that share each batch, but got 10 for 4 at recipe"):
        train_run(run, tmp_path / "run", distribution=Distribution(devices=4))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="`devices` must be at least 2, but got 1"):
        Distribution(devices=1).__post_init__()


def test_layers_must_divide_among_devices_and_jax_must_do_it() -> None:
    distribution = Distribution(shared="model", devices=4)
    sentence = r"`num_heads` must divide by the devices that share each layer, but got 2 for 4 at arch.stages\[0\]"
    if BACKEND != "jax":
        sentence = f"a model is shared among devices on jax alone, but the backend is {BACKEND}; take --backend jax, or --distribute data"
    with pytest.raises(ConfigError, match=sentence):
        check_distribution(distribution, RUN.arch, RUN.recipe)


def test_devices_that_are_not_there_are_refused() -> None:
    assert require_devices(8, "gpu", None, "jax") == 8
    assert require_devices(8, "gpu", 4, "jax") == 4
    with pytest.raises(ConfigError, match=r"`devices` must be at most the 2 \(gpu\) that torch sees, but got 4"):
        require_devices(2, "gpu", 4, "torch")
    with pytest.raises(ConfigError, match=r"at least 2 devices, but jax sees 1 \(cpu\); --devices 2 splits it, to rehearse"):
        require_devices(1, "cpu", None, "jax")


def test_shares_are_the_batch_each_image_once() -> None:
    pair = np.arange(10), np.arange(10) * 2
    batches = list(batches_of(pair, 4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert [tuple(map(list, batch)) for batch in batches_of(iter(batches))] == [tuple(map(list, batch)) for batch in batches]
    for batch in batches:
        shares = [share_of(batch, rank, 3) for rank in range(3)]
        assert sorted(image for images, _ in shares for image in images) == list(batch[0])
        assert all((labels == 2 * images).all() for images, labels in shares)


class Talk:
    """Two ranks that say what a test has them say; each lives in a process that does nothing."""

    def __init__(self) -> None:
        pipes = [Pipe(duplex=False) for _ in range(2)]
        self.said = [told for _, told in pipes]
        self.ranks = [Rank(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE), heard) for heard, _ in pipes]

    def end(self) -> None:
        for rank, told in zip(self.ranks, self.said, strict=True):
            rank.process.kill()
            rank.process.communicate()
            rank.messages.close()
            told.close()


@pytest.fixture
def talk() -> Any:
    made = Talk()
    yield made
    made.end()


def test_a_ranks_word_is_the_trainings(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "GRACE", 0.05)
    epochs: list[dict[str, float]] = []
    for told in (Told(epoch={"epoch": 0}), Told(), Told(result=SegmentResult(status="completed"))):
        talk.said[0].send(told)
    assert ranks._hear(talk.ranks, epochs.append, Path("log")).status == "completed"
    assert epochs == [{"epoch": 0}]
    talk.said[1].send(Told(result=SegmentResult(status="over_memory", reason="the memory of cpu ran out: no room (rank 1 of 2)")))
    assert ranks._hear(talk.ranks, None, Path("log")).status == "over_memory"
    talk.said[1].send(Told(error=TrainingError("a law")))
    with pytest.raises(TrainingError, match="a law"):
        ranks._hear(talk.ranks, None, Path("log"))


def test_a_death_explains_what_another_rank_met(talk: Talk) -> None:
    talk.said[0].send(Told(result=SegmentResult(status="failed", reason="RuntimeError: connection closed by peer")))
    talk.ranks[1].process.kill()
    sentence = (
        r"but rank 1 of 2 was killed by SIGKILL \(as the system does when memory runs out\); "
        "its output is in log, and the same command goes on from the last epoch"
    )
    with pytest.raises(RunError, match=sentence):
        ranks._hear(talk.ranks, None, Path("log"))
