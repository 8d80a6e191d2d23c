import keras
import numpy as np
import pytest
import twins

from fvsearch.errors import ConfigError
from fvsearch.models import POOLINGS, TokenPooling


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("patches", [1, 2, 3, 4, 8, 9, 11, 12])
def test_pooling_is_its_twin_ragged_or_not(pooling, stride, patches):
    h = np.random.default_rng(0).normal(size=(3, 1 + patches, 5)).astype("float32")
    found = keras.ops.convert_to_numpy(TokenPooling(stride, pooling)(h))
    np.testing.assert_allclose(found, [twins.pool(sample, stride, pooling) for sample in h], rtol=1e-6, atol=1e-6)


def test_a_worked_example():
    h = np.array([[[9.0], [1.0], [2.0], [3.0], [4.0], [5.0]]])
    assert keras.ops.convert_to_numpy(TokenPooling(2, "mean")(h)).ravel().tolist() == [9.0, 1.5, 3.5, 5.0]
    assert keras.ops.convert_to_numpy(TokenPooling(2, "max")(h)).ravel().tolist() == [9.0, 2.0, 4.0, 5.0]
    assert keras.ops.convert_to_numpy(TokenPooling(4, "mean")(h)).ravel().tolist() == [9.0, 2.5, 5.0]


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_shape_inferred_is_shape_computed(stride):
    layer = TokenPooling(stride)
    symbolic = layer(keras.Input((6, 4)))
    assert symbolic.shape[1:] == tuple(layer(np.zeros((2, 6, 4), "float32")).shape)[1:]


def test_config_is_the_constructors_arguments_and_round_trips():
    layer = TokenPooling(3, "max", name="stage1_pool")
    config = layer.get_config()
    assert (config["stride"], config["pooling"]) == (3, "max")
    again = TokenPooling.from_config(config)
    assert again.get_config() == config
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config() == config


@pytest.mark.parametrize(("arguments", "words"), [({"stride": 0}, "`stride`.*0"), ({"stride": 2, "pooling": "maxx"}, "`pooling`.*'max'")])
def test_a_wrong_argument_is_refused_with_its_law(arguments, words):
    with pytest.raises(ConfigError, match=words):
        TokenPooling(**arguments)
