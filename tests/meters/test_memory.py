import functools

import keras
import numpy as np
import pytest
from metered import RECIPE, SHAPE, arch, compiled

from fvsearch.archs.arch import Arch
from fvsearch.meters.memory import prepare, step_memory, synthetic_batch
from fvsearch.study.recipe import Recipe

DROPS = Recipe(epochs=2, batch_size=16, dropout=0.1, stochastic_depth=0.1)
MIXED = Recipe(epochs=2, batch_size=16, dropout=0.1, stochastic_depth=0.1, dtype="mixed_bfloat16")
PHASES = ("training", "inference")
ONE, TWO, POOLED, WIDE = arch((1, 1)), arch((2, 1)), arch((1, 1), (1, 4)), arch((1, 1), width=256)


def bits(model: keras.Model) -> list[bytes]:
    return [keras.ops.convert_to_numpy(variable).tobytes() for variable in [*model.variables, *model.optimizer.variables]]


@functools.cache
def measured(of: Arch, batch_size: int, phase: str = "training") -> int:
    return step_memory(compiled(of, RECIPE), SHAPE, batch_size, phase).bytes


@pytest.mark.parametrize("phase", PHASES)
def test_nothing_of_the_model_changes(phase: str) -> None:
    model = compiled(POOLED, MIXED)
    prepare(model, synthetic_batch(SHAPE, 10, 4))
    before = bits(model)
    memory = step_memory(model, SHAPE, 4, phase)
    assert bits(model) == before
    assert keras.backend.backend() in memory.source
    assert step_memory(model, SHAPE, 4, phase) == memory


def test_a_model_trains_the_same_whether_it_was_measured_or_not() -> None:
    images, labels = synthetic_batch(SHAPE, 10, 32)
    weights = []
    for measure in (False, True):
        model = compiled(ONE, DROPS)
        if measure:
            step_memory(model, SHAPE, 16, "training")
            step_memory(model, SHAPE, 64, "inference")
        model.fit(images, labels, batch_size=16, shuffle=False, verbose=0)
        weights.append(bits(model))
    assert weights[0] == weights[1]


@pytest.mark.parametrize("phase", PHASES)
def test_a_larger_batch_needs_more(phase: str) -> None:
    assert measured(ONE, 64, phase) > 1.5 * measured(ONE, 16, phase)


def test_a_deeper_arch_needs_more() -> None:
    assert measured(TWO, 64) > 1.3 * measured(ONE, 64)


def test_a_pooled_arch_needs_less() -> None:
    assert measured(POOLED, 64) < 0.9 * measured(TWO, 64)


def test_inference_needs_less_than_training() -> None:
    assert measured(ONE, 64, "inference") < 0.7 * measured(ONE, 64)


def test_weights_and_the_optimizer_s_state_are_counted_once() -> None:
    """Weights and two moments, gradients, and what updates them; torch's optimizer holds three temporary copies, XLA next to none."""
    parameters = 4 * compiled(WIDE).count_params()
    most = {"jax": 5, "tensorflow": 6, "torch": 8}[keras.backend.backend()]
    assert 3 * parameters <= measured(WIDE, 1) < most * parameters
    assert parameters <= measured(WIDE, 1, "inference") < 2 * parameters


def test_synthetic_batches_are_of_the_wanted_shape_and_the_same_for_a_seed() -> None:
    images, labels = synthetic_batch((4, 6, 3), 7, 50, seed=1)
    assert images.shape == (50, 4, 6, 3)
    assert images.dtype == np.float32
    assert labels.shape == (50,)
    assert labels.dtype == np.int32
    assert set(labels.tolist()) == set(range(7))
    np.testing.assert_array_equal(images, synthetic_batch((4, 6, 3), 7, 50, seed=1)[0])
