"""TensorFlow: on a GPU the allocator's peak over one real step; on CPU the step's graph, counting the tensors alive.

TensorFlow's CPU allocator counts no allocation below 256 KiB, and a small model's tensors are all smaller: hence the graph. It is the one
that Keras's trainer traces for the step, so training does not trace it again.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fvsearch.meters.backend import Batch, model_variables, steps_per_update
from fvsearch.meters.liveness import peak_bytes
from fvsearch.meters.measured import StepMemory
from fvsearch.meters.rounds import Runner
from fvsearch.study.budgets import Phase

Step = Callable[[], Any]


def step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """What is alive at the peak of a step, and the variables."""
    return METERS[bool(tf.config.list_physical_devices("GPU"))](model, batch, phase)


def make_runner(model: keras.Model, batch: Batch, phase: Phase) -> Runner:
    """Calls Keras's step function on the same batch again and again."""
    step = STEPS[phase](model, batch)

    def run(steps: int) -> None:
        for _ in range(steps):
            outputs = step()
        # A device works its queue off in order: reading one result of the last step waits for all.
        np.asarray(tf.nest.flatten(outputs)[0])

    return run


def _graph_step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """Tensors alive at the peak of the step's graph, on top of variables and batch."""
    graph = GRAPHS[phase](model, tuple(tf.TensorSpec(array.shape, array.dtype) for array in batch))
    alive = peak_bytes(graph.get_operations(), graph.outputs, _branch_bytes)
    return StepMemory(bytes=alive + _resident_bytes(model, batch, phase), source="tensorflow: tensors alive in the step's graph")


def _branch_bytes(operation: Any) -> int:
    """What a condition needs inside, in the branch that needs more: where gradients accumulate, the optimizer's step is such a branch."""
    if operation.type not in ("If", "StatelessIf"):
        return 0
    names = [operation.get_attr(f"{branch}_branch").name for branch in ("then", "else")]
    graphs = [operation.graph._get_function(name).graph for name in names]
    return max(peak_bytes(graph.get_operations(), graph.outputs, _branch_bytes) for graph in graphs)


def _allocator_step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """The allocator's peak in a real step, less what it held before that is not of this model."""
    step, turn = STEPS[phase](model, tuple(map(tf.constant, batch))), range(steps_per_update(model, phase))
    with _kept(model, phase):
        step()  # The first one compiles.
        others = _allocated("current") - _resident_bytes(model, batch, phase)
        tf.config.experimental.reset_memory_stats("GPU:0")
        for _ in turn:
            outputs = step()
        np.asarray(tf.nest.flatten(outputs)[0])
        peak = _allocated("peak")
    return StepMemory(bytes=peak - others, source="tensorflow: GPU allocator's peak over a real step")


METERS: dict[bool, Callable[[keras.Model, Batch, Phase], StepMemory]] = {False: _graph_step_memory, True: _allocator_step_memory}
"""By whether steps run on a GPU."""


def _train_step(model: keras.Model, batch: Batch) -> Step:
    model.make_train_function()
    batches = FEEDS[bool(tf.config.list_physical_devices("GPU"))](batch)
    return lambda: model.train_function(batches)


FEEDS: dict[bool, Callable[[Batch], Iterator[Any]]] = {
    False: lambda batch: iter(tf.data.Dataset.from_tensors(batch).repeat()),
    # A dataset's tensors are the host's: every step would wait for its copy, which `fit` makes ahead. Other backends' batch is there too.
    True: lambda batch: itertools.repeat(tuple(map(tf.constant, batch))),
}
"""By whether steps run on a GPU: the same batch again and again."""


def _predict_step(model: keras.Model, batch: Batch) -> Step:
    model.make_predict_function()
    data = [(tf.constant(batch[0]),)]
    return lambda: model.predict_function(data)


STEPS: dict[Phase, Callable[[keras.Model, Batch], Step]] = {"training": _train_step, "inference": _predict_step}


def _train_graph(model: keras.Model, specs: tuple[Any, ...]) -> Any:
    """The graph of one step, from the closure where Keras's trainer keeps the traced function."""
    model.make_train_function()
    traced = inspect.getclosurevars(model.train_function).nonlocals["one_step_on_data"].__wrapped__
    return traced.get_concrete_function(specs).graph


def _predict_graph(model: keras.Model, specs: tuple[Any, ...]) -> Any:
    model.make_predict_function()
    return model.predict_function.get_concrete_function([specs[:1]]).graph


GRAPHS: dict[Phase, Callable[[keras.Model, tuple[Any, ...]], Any]] = {"training": _train_graph, "inference": _predict_graph}


@contextmanager
def _kept(model: keras.Model, phase: Phase) -> Iterator[None]:
    """Give the model's variables the values back that they have now; kept on the host, out of the device's count."""
    variables = model_variables(model, phase)
    values = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _resident_bytes(model: keras.Model, batch: Batch, phase: Phase) -> int:
    """Variables and batch."""
    values = (variable.value for variable in model_variables(model, phase))
    return sum(array.nbytes for array in batch) + sum(value.shape.num_elements() * value.dtype.size for value in values)


def _allocated(name: str) -> int:
    return int(tf.config.experimental.get_memory_info("GPU:0")[name])
