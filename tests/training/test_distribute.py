"""A training on several devices: the curve of one device, resumed on more or fewer, its laws, and no process left behind.

Devices are counted before a backend starts, so all that trains on several runs in a process of its own (tests/distributed.py).
"""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from distributed import RECIPE, RUN, train
from trainings import segment_in

from fvsearch.errors import ConfigError, RunError, TrainingError
from fvsearch.training import ranks
from fvsearch.training._shares import batches_of, share_of
from fvsearch.training.distribute import Distribution, check_distribution, require_devices
from fvsearch.training.ranks import Membership, Rank, Told
from fvsearch.training.run import train_run
from fvsearch.training.segment import SegmentResult

BACKEND = keras.backend.backend()
TESTS = Path(__file__).parents[1]

DEVICES = {"jax": 4, "tensorflow": 2, "torch": 2}[BACKEND]
MASKS = {"jax": 0.02, "tensorflow": 0.0, "torch": 0.0}[BACKEND]
"""Dropout: JAX draws the same masks on any number of devices."""

NOISE = {"loss": 2e-5, "train_loss": 2e-5}
"""Of float32 sums in another order, after three epochs (5e-7 was seen); accuracies may differ by an image on the edge."""

AHEAD = {"interrupt": 1, "augmentation": {"flip": True}}
"""An epoch of batches that are made ahead, one by one; without augmentation digits are handed over whole."""

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


def require_same_curve(one: list[dict[str, float]], other: list[dict[str, float]]) -> None:
    """Epoch by epoch the same to rounding, accuracies to one image of the 321."""
    for expected, found in zip(one, other, strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=NOISE.get(name, 1.01 / 321)), (name, found, expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all runs."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(folder: Path) -> Came:
    """The training on one device, unbroken; its first epoch lies in another folder too."""
    return train(str(folder / "one"), copy=str(folder / "handed over"), dropout=MASKS)


@pytest.fixture(scope="module")
def several(one: Came, folder: Path) -> list[Came]:
    """What came of the jobs on several devices: the whole training, the second epoch of the one in hand, and by layers on JAX."""
    data: dict[str, Any] = {"devices": DEVICES, "dropout": MASKS}
    jobs = [{"folder": "whole", **data}, {"folder": "handed over", "interrupt": 2, **data}, {"folder": "ahead", **AHEAD, **data}]
    if BACKEND == "jax":
        jobs.append({"folder": "layers", "shared": "model", "devices": 2, "dropout": MASKS, "interrupt": 1})
    output, said = (process := start(*jobs, folder=folder)).communicate(timeout=220)
    assert process.returncode == 0, said
    return json.loads(output.splitlines()[-1])


@pytest.mark.slow
def test_several_devices_train_as_one_does(one: Came, several: list[Came]) -> None:
    whole = several[0]
    require_same_curve(one["curve"], whole["curve"])
    assert one["curve"][-1]["train_loss"] < one["curve"][0]["train_loss"] - 0.5, "it learned"
    assert (one["device"], whole["device"]) == ("cpu", f"{DEVICES} x cpu")
    assert whole["files"] == one["files"]


@pytest.mark.slow
def test_batches_that_are_made_ahead_are_each_trained_on_once(several: list[Came], folder: Path) -> None:
    alone = train(str(folder / "ahead alone"), dropout=MASKS, **AHEAD)
    require_same_curve([{**alone["curve"][0], "waited": 0.0}], [{**several[2]["curve"][0], "waited": 0.0}])


@pytest.mark.slow
def test_a_training_goes_from_one_device_to_several_and_back(one: Came, several: list[Came], folder: Path) -> None:
    assert len(several[1]["curve"]) == 2 and several[1]["ended"]
    finished = train(str(folder / "handed over"), dropout=MASKS)
    require_same_curve(one["curve"], finished["curve"])
    assert (finished["device"], finished["notes"]) == ("cpu", ())


@pytest.mark.slow
def test_no_process_is_left(several: list[Came]) -> None:
    assert [came["left"] for came in several] == [[] for _ in several]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_devices_that_share_layers_train_as_one_does(one: Came, several: list[Came]) -> None:
    require_same_curve(one["curve"][:1], several[3]["curve"])


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_heads_and_hidden_units_are_what_layers_share() -> None:
    from fvsearch.training._distributed_jax import DISTRIBUTIONS, JaxDevices
    from fvsearch.training.fit import recipe_model

    model = JaxDevices(DISTRIBUTIONS["model"](["cpu:0"])).build(lambda: recipe_model(RUN.arch, RUN.data, RECIPE, 0))
    shared = {variable.path: variable._layout.axes for variable in model.trainable_variables}
    divided = {path for path, axes in shared.items() if "model" in axes}
    block = "stage1_block0"
    attention = {f"{block}_attention/{name}/{kind}" for name in ("query", "key", "value") for kind in ("kernel", "bias")}
    mlp = {f"{block}_mlp/expand/kernel", f"{block}_mlp/expand/bias", f"{block}_mlp/contract/kernel"}
    assert {path for path in divided if path.startswith(block)} == attention | mlp | {f"{block}_attention/projection/kernel"}
    assert shared[f"{block}_attention/projection/kernel"] == ("model", None)
    assert len(divided) == 2 * 10


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch, which has a process for each device")
def test_one_rank_killed_all_end(several: list[Came]) -> None:
    sentence = r"RunError: .* but rank [01] of 2 was killed by SIGKILL \(as .*\); its output is in handed over/ranks.log, and"
    assert re.match(sentence, several[1]["ended"])


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch, which has a process for each device")
def test_a_rank_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    _, told = Pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "fvsearch.training._rank"],
        stdin=subprocess.PIPE,
        env=environment(),
        pass_fds=[told.fileno()],
        start_new_session=True,
    ) as process:
        member = Membership(segment_in(tmp_path), 0, 2, str(tmp_path / "rendezvous"), told.fileno())
        process.stdin.write(pickle.dumps(member))
        process.stdin.flush()
        # It waits for another rank, which there is not; the system closes the pipes of a process that ends, however it ends.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.stdin.close()
        assert process.wait(30) == -signal.SIGKILL


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


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_what_accumulates_gradients_is_refused() -> None:
    from fvsearch.training._distributed_tensorflow import MirroredDevices

    def make() -> keras.Model:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse")
        return model

    with pytest.raises(ConfigError, match="but got 2 parts of a batch for 1 devices"):
        MirroredDevices(["CPU:0"]).build(make)


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
        pipes = [Pipe() for _ in range(2)]
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
    assert talk.said[0].poll() and talk.said[0].recv() is None, "the rank may go on"
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
