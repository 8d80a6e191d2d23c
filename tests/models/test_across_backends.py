"""One process a backend (parity.py), then its numbers side by side."""

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BACKENDS = ["jax", "tensorflow", "torch"]
PARITY = Path(__file__).with_name("parity.py")

pytestmark = [
    pytest.mark.cross_backend,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not all(importlib.util.find_spec(name) for name in BACKENDS), reason="needs all three backends"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each backend found, by its name. The first comes again at the end, to load the models of the others."""
    folder = tmp_path_factory.mktemp("parity")
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # compiles in half the time
    for backend in [*BACKENDS, BACKENDS[0]]:
        process = subprocess.run(
            [sys.executable, PARITY, folder],
            env=environment | {"KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert process.returncode == 0, process.stderr[-2000:]
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in BACKENDS}


def relative_error(value, reference, scale):
    return np.linalg.norm(value - reference) / max(np.linalg.norm(reference), scale)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_seed_gives_the_same_initial_weights(found, backend):
    names = [name for name in found["jax"] if ":initial:" in name]
    assert len(names) > 60
    for name in names:
        np.testing.assert_array_equal(found[backend][name], found["jax"][name], err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_logits_agree(found, backend):
    names = [name for name in found["jax"] if name.endswith(":logits")]
    assert len(names) == 3
    for name in names:
        assert np.linalg.norm(found["jax"][name]) > 0.1
        assert relative_error(found[backend][name], found["jax"][name], 0) < 1e-5, name


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_gradients_agree(found, backend):
    names = [name for name in found["jax"] if ":gradient:" in name]
    assert len(names) > 60
    for name in names:
        # A key's bias shifts all scores of a query alike, which a softmax does not see: its gradient is zero but for rounding.
        vanishes = name.endswith("/key/bias")
        reference = found["jax"][name]
        assert (np.linalg.norm(reference) < 1e-6) == vanishes, name
        assert relative_error(found[backend][name], reference, 0.1 if vanishes else 0) < 1e-5, name


# TensorFlow's process ends before torch's writes; torch reads what TensorFlow wrote.
@pytest.mark.parametrize(("reader", "writer"), sorted({*itertools.product(BACKENDS, BACKENDS)} - {("tensorflow", "torch")}))
def test_a_model_saved_on_one_backend_loads_on_another(found, reader, writer):
    names = [name for name in found[reader] if name.startswith("loaded:") and name.endswith(f".{writer}")]
    assert len(names) == 3
    for name in names:
        arch = name.removeprefix("loaded:").removesuffix(f".{writer}")
        assert relative_error(found[reader][name], found[writer][f"{arch}:logits"], 0) < 1e-5, name
