import logging

import keras
import pytest
from metered import SHAPE, arch, compiled

from fvsearch.meters.memory import step_memory, synthetic_batch

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of the JAX meter")


@pytest.fixture
def compiles(caplog: pytest.LogCaptureFixture):
    """Counts the train steps that XLA has compiled so far."""
    import jax

    jax.config.update("jax_log_compiles", True)
    caplog.set_level(logging.WARNING, "jax")
    yield lambda: sum("Compiling" in record.getMessage() and "train_step" in record.getMessage() for record in caplog.records)
    jax.config.update("jax_log_compiles", False)


def test_training_reuses_the_measured_step(compiles) -> None:
    images, labels = synthetic_batch(SHAPE, 10, 8)
    model = compiled(arch((1, 1)))
    step_memory(model, SHAPE, 8, "training")
    assert compiles() == 1
    model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    assert compiles() == 1
