import keras
import numpy as np
import pytest
from keras import ops

from fvsearch import build_model
from fvsearch.archs.arch import Arch, Stage
from fvsearch.models.initial import Filled
from fvsearch.training.adamw import adamw


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_filled_is_one_value_everywhere(dtype):
    tensor = Filled(0.5)((2, 3), dtype=dtype)
    assert keras.backend.standardize_dtype(tensor.dtype) == dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(tensor, "float32")), np.full((2, 3), 0.5))


def test_filled_round_trips():
    again = keras.initializers.deserialize(keras.initializers.serialize(Filled(0.5)))
    assert isinstance(again, Filled) and again.value == 0.5


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX's programs")
def test_jax_compiles_nothing_for_the_shapes_of_another_model(caplog):
    import jax

    def made(width):
        stage = Stage(depth=1, width=width, mlp_dim=3 * width, num_heads=2)
        model = build_model(Arch(patch_size=2, stages=(stage,)), image_shape=(8, 8, 1), num_classes=width, dropout=0.1, seed=1)
        adamw(learning_rate=0.1).build(model.trainable_variables)

    made(16)
    with jax.log_compiles():
        made(22)
    assert [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()] == []
