"""What a backend is told before it is imported, and how it says that its memory ran out."""

import os

import keras
import pytest

from fvsearch.training.device import device_name, is_out_of_memory, set_up_device
from fvsearch.training.environment import TRAINING, set_environment, worker_environment


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing; what a test sets is undone."""
    for name in (*TRAINING, "OMP_NUM_THREADS", "NPROC"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare")
def test_what_the_user_says_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--the_users")
    monkeypatch.setenv("NPROC", "7")
    told = worker_environment({"KERAS_BACKEND": "torch"}, num_workers=1000)
    assert told["OMP_NUM_THREADS"] == "1" and told["KERAS_BACKEND"] == "torch"
    assert not {"XLA_FLAGS", "NPROC"} & set(told)
    set_environment()
    assert os.environ["XLA_FLAGS"] == "--the_users"
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


@pytest.mark.usefixtures("bare")
def test_a_single_worker_has_all_cores() -> None:
    assert "OMP_NUM_THREADS" not in worker_environment({}, num_workers=1)


def test_the_device_has_a_name() -> None:
    assert device_name()


def test_running_out_is_told_from_other_errors() -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each backend has a type of its own
        keras.ops.sum(keras.ops.ones((2**31, 2**20)))
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("shapes (2, 3) and (4, 5)"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_on_a_cpu_tensorflow_does_not_rewrite_graphs() -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("on a GPU it does")
    set_up_device()
    assert tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"] is True
