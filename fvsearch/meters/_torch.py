"""PyTorch: on CUDA the allocator's peak over one real step; on CPU the step on fake tensors, counting the storages alive.

Fake tensors have shapes, types and storages but no data, so no arithmetic runs and the model stays as it is; the same operations pass
in the same order as in a real step, and the count is exact to the byte. What a kernel allocates inside itself is not seen on CPU.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import keras
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fvsearch.meters.backend import Batch, model_variables, steps_per_update
from fvsearch.meters.measured import StepMemory
from fvsearch.meters.rounds import Runner
from fvsearch.study.budgets import Phase

Step = Callable[[], Any]


def step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """The peak with the gradients of the step before still there, as in every step but the first."""
    return METERS[torch.cuda.is_available()](model, batch, phase)


def make_runner(model: keras.Model, batch: Batch, phase: Phase) -> Runner:
    """Calls Keras's step function on a batch that is on the device already."""
    data = tuple(keras.ops.convert_to_tensor(array) for array in batch)
    step = STEPS[phase](model, data)
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None

    def run(steps: int) -> None:
        with _mode(model, phase):
            for _ in range(steps):
                step()
        wait()

    return run


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of all storages that operations make while they live; no garbage is collected meanwhile, for when would be chance.

    Attributes:
        alive: Bytes now.
        peak: Bytes at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        self._collecting = False

    def __enter__(self) -> Self:
        """Begin to count."""
        self._collecting = gc.isenabled()
        gc.disable()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Have done with counting."""
        super().__exit__(*error)
        if self._collecting:
            gc.enable()

    def watch(self, tensor: torch.Tensor) -> None:
        """Count the tensor's storage until it dies; views of one storage count once."""
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return

        def forget(_: object) -> None:
            del self._known[key]
            self.alive -= size

        self._known[key] = weakref.ref(storage, forget)
        self.alive += size
        self.peak = max(self.peak, self.alive)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and watch what it makes."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.watch(leaf)
        return result


class _FakeStep(LiveStorages):
    """The same, of a step on fake tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and watch what it makes."""
        if func is torch.ops.aten._local_scalar_dense.default:
            # A fake tensor has no value to read. A step reads the seeds of its drops, which may be any, and whether gradients that were
            # accumulated are to be applied: they are, for that needs the most.
            return 1
        return super().__torch_dispatch__(func, types, args, kwargs)


def _fake_step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """The storages alive in a step on fake tensors."""
    live = _FakeStep()
    with FakeTensorMode(), _fake_variables(model, phase), _mode(model, phase):
        data = tuple(torch.empty(array.shape, dtype=getattr(torch, str(array.dtype))) for array in batch)
        step = STEPS[phase](model, data)
        if phase == "training":
            for variable in model.trainable_variables:  # Gradients as the step before leaves them.
                variable.value.grad = torch.zeros_like(variable.value)
        for tensor in (*data, *_tensors(model, phase)):
            live.watch(tensor)
        with live:
            step()
    return StepMemory(bytes=live.peak, source="torch: storages alive in the step, run on fake tensors")


def _cuda_step_memory(model: keras.Model, batch: Batch, phase: Phase) -> StepMemory:
    """The allocator's peak in a real step, less what it held before that is not of this model."""
    data = tuple(keras.ops.convert_to_tensor(array) for array in batch)
    step, turn = STEPS[phase](model, data), range(steps_per_update(model, phase))
    with _kept(model, phase), _mode(model, phase):
        for _ in turn:
            step()  # The first one makes workspaces that stay.
        torch.cuda.synchronize()
        own = sum(tensor.untyped_storage().nbytes() for tensor in (*data, *_tensors(model, phase)))
        others = torch.cuda.memory_allocated() - own
        torch.cuda.reset_peak_memory_stats()
        for _ in turn:
            step()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
    return StepMemory(bytes=peak - others, source="torch: CUDA allocator's peak over a real step")


METERS: dict[bool, Callable[[keras.Model, Batch, Phase], StepMemory]] = {False: _fake_step_memory, True: _cuda_step_memory}
"""By whether steps run on CUDA."""


def _train_step(model: keras.Model, data: Any) -> Step:
    model.make_train_function()
    return lambda: model.train_function([data])


def _predict_step(model: keras.Model, data: Any) -> Step:
    model.make_predict_function()
    return lambda: model.predict_function([data[:1]])


STEPS: dict[Phase, Callable[[keras.Model, Any], Step]] = {"training": _train_step, "inference": _predict_step}


@contextmanager
def _mode(model: keras.Model, phase: Phase) -> Iterator[None]:
    """The module's flag as `fit` and `predict` set it."""
    before = model.training
    model.train(phase == "training")
    try:
        yield
    finally:
        model.train(before)


@contextmanager
def _fake_variables(model: keras.Model, phase: Phase) -> Iterator[None]:
    """Give the model's variables fake values under the fake mode that is on, and their own back."""
    variables = model_variables(model, phase)
    values = [variable.value for variable in variables]
    try:
        for variable, value in zip(variables, values, strict=True):
            fake = torch.empty(value.shape, dtype=value.dtype, device=value.device)
            variable._value = torch.nn.Parameter(fake, requires_grad=value.requires_grad)
        model._track_variables()  # The module's parameters are whose gradients a step clears.
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable._value = value
        model._track_variables()


@contextmanager
def _kept(model: keras.Model, phase: Phase) -> Iterator[None]:
    """Give the model's variables the values back that they have now; kept on the host, out of the device's count."""
    variables = model_variables(model, phase)
    values = [variable.value.detach().cpu().clone() for variable in variables]
    try:
        yield
    finally:
        with torch.no_grad():
            for variable, value in zip(variables, values, strict=True):
                variable.value.copy_(value)
        model.zero_grad()


def _tensors(model: keras.Model, phase: Phase) -> list[torch.Tensor]:
    """Values and gradients of the model's variables."""
    values = [variable.value for variable in model_variables(model, phase)]
    return values + [value.grad for value in values if value.grad is not None]
