import inspect

import keras
import numpy as np
import pytest
from metered import RECIPE, SHAPE, arch, compiled

from fvsearch.meters.memory import prepare, step_memory, synthetic_batch

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of the TensorFlow meter")


def train_graph(model: keras.Model, batch_size: int):
    import tensorflow as tf

    from fvsearch.meters._tensorflow import GRAPHS

    batch = synthetic_batch(SHAPE, 10, batch_size)
    prepare(model, batch)
    return GRAPHS["training"](model, tuple(tf.TensorSpec(array.shape, array.dtype) for array in batch))


def test_every_shape_of_floats_in_the_step_is_known() -> None:
    graph = train_graph(compiled(arch((1, 1), (1, 2))), 8)
    tensors = [tensor for operation in graph.get_operations() for tensor in operation.outputs if tensor.dtype.is_floating]
    assert len(tensors) > 100
    assert [tensor.name for tensor in tensors if tensor.shape.num_elements() is None] == []


def test_training_does_not_trace_the_measured_step_again() -> None:
    model = compiled(arch((1, 1)))
    step_memory(model, SHAPE, 8, "training")
    images, labels = synthetic_batch(SHAPE, 10, 16)
    model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    traced = inspect.getclosurevars(model.train_function).nonlocals["one_step_on_data"].__wrapped__
    assert traced.experimental_get_tracing_count() == 1


def test_the_graph_s_count_is_near_the_allocator_s_where_that_sees_all() -> None:
    """At a width and batch where every large tensor is above the 256 KiB from which TensorFlow's CPU allocator counts."""
    import tensorflow as tf

    from fvsearch.meters._tensorflow import STEPS

    model = compiled(arch((3, 1), width=128), RECIPE)
    batch = synthetic_batch(SHAPE, 10, 256)
    counted = step_memory(model, SHAPE, 256, "training").bytes
    step = STEPS["training"](model, batch)
    step()
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    tf.config.experimental.reset_memory_stats("CPU:0")
    np.asarray(tf.nest.flatten(step())[0])
    allocated = tf.config.experimental.get_memory_info("CPU:0")["peak"] - before
    assert 0.7 < counted / allocated < 1.3
