"""A training on several devices of one machine: what is shared among them, the laws, and who does it on each backend.

    "data"     every device has the whole model and takes its share of each batch; gradients are averaged
    "model"    every device has its share of each layer and takes the whole batch; JAX alone, through Keras

    jax          keras.distribution.DataParallel, ModelParallel    _distributed_jax.py
    tensorflow   tf.distribute.MirroredStrategy                    _distributed_tensorflow.py
    torch        DistributedDataParallel, one process a device     _distributed_torch.py, ranks.py, _rank.py

The step is one device's, of the same batch, to the rounding of sums that are taken in another order (of three epochs of the digits, no
loss differed by more than 5e-7): what is trained does not depend on how many devices train it, so they are no part of a training's
identity, and it may go on with more or fewer. Dropout and stochastic depth are the exception: JAX draws the masks of one device,
TensorFlow the same mask for each device's share, PyTorch one of its own for each.

Importing this loads no keras: the command line makes a Distribution before the backend is known.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from fvsearch.archs.arch import Arch
from fvsearch.backend import choose_backend
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least
from fvsearch.study.recipe import Recipe
from fvsearch.training.environment import set_environment
from fvsearch.training.segment import OnEpoch, OnStart, Segment, SegmentResult, run_locked

if TYPE_CHECKING:
    from fvsearch.training.device import Devices

Shared = Literal["data", "model"]


class Distribution(Record, frozen=True, kw_only=True):
    """That a training is to run on several devices.

    Attributes:
        shared: What is shared among them: "data", each batch, or "model", each layer.
        devices: How many; none is all accelerators that the backend sees. A CPU must be told: it is split, to rehearse and to test.
    """

    shared: Shared = "data"
    devices: int | None = None

    def __post_init__(self) -> None:
        require_at_least(2, self, "devices")


Runner = Callable[[Segment, Distribution, OnEpoch | None, OnStart | None], SegmentResult]


def check_distribution(distribution: Distribution, arch: Arch, recipe: Recipe) -> None:
    """The laws of a training on several devices, as far as they can be known before the devices are.

    Raises:
        ConfigError: The backend cannot, or a batch, or a layer, does not divide among the devices.
    """
    backend = choose_backend()
    if distribution.shared == "model" and backend != "jax":
        raise ConfigError(
            f"a model is shared among devices on jax alone, but the backend is {backend}; take --backend jax, or --distribute data"
        )
    if distribution.devices is not None:
        require_division(distribution.shared, distribution.devices, arch, recipe)


def run_distributed(
    segment: Segment, distribution: Distribution, on_epoch: OnEpoch | None = None, on_start: OnStart | None = None
) -> SegmentResult:
    """As `run_locked`, on several devices. The memory of a step is not measured: the meters know one device.

    Args:
        segment: What to train.
        distribution: On what; it has been checked.
        on_epoch: Told of every epoch that this call trains.
        on_start: For what is to be done in the folder before the training begins or goes on; on PyTorch by rank 0, so it must pickle.

    Raises:
        ConfigError: As `run_locked`; or there are no such devices, or the training does not divide among those that there are.
        RunError: A process of the training was killed.
    """
    return RUNNERS[choose_backend()](segment, distribution, on_epoch, on_start)


def require_division(shared: Shared, devices: int, arch: Arch, recipe: Recipe) -> None:
    """The law that what is shared divides by the devices.

    Raises:
        ConfigError: It does not.
    """
    if shared == "data":
        if recipe.step_batch_size % devices:
            parts = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
            raise ConfigError(
                f"`batch_size` must divide by the devices that share each batch, but got {recipe.batch_size}{parts} for {devices} at recipe"
            )
        return
    for index, stage in enumerate(arch.stages):
        for name in ("num_heads", "mlp_dim"):
            size = getattr(stage, name)
            if size % devices:
                raise ConfigError(
                    f"`{name}` must divide by the devices that share each layer, but got {size} for {devices} at arch.stages[{index}]"
                )


def _in_this_process(module: str) -> Runner:
    """A runner for a backend that has all devices in one process."""

    def run(segment: Segment, distribution: Distribution, on_epoch: OnEpoch | None, on_start: OnStart | None) -> SegmentResult:
        def find_devices() -> "Devices":
            devices: Devices = import_module(module).find_devices(distribution)
            require_division(distribution.shared, devices.count, segment.arch, segment.recipe)
            return devices

        return run_locked(segment, on_epoch, on_start, find_devices)

    return run


def _in_ranks(segment: Segment, distribution: Distribution, on_epoch: OnEpoch | None, on_start: OnStart | None) -> SegmentResult:
    """The runner for PyTorch, of which a process has one device."""
    from fvsearch.training.ranks import count_ranks, run_ranks

    set_environment()
    count = count_ranks(distribution)
    require_division(distribution.shared, count, segment.arch, segment.recipe)
    return run_ranks(segment, count, on_epoch, on_start)


RUNNERS: dict[str, Runner] = {
    "jax": _in_this_process("fvsearch.training._distributed_jax"),
    "tensorflow": _in_this_process("fvsearch.training._distributed_tensorflow"),
    "torch": _in_ranks,
}
"""By backend."""


def require_devices(found: int, kind: str, wanted: int | None, backend: str) -> int:
    """How many of the devices that a backend sees are to be used.

    Args:
        found: That it sees.
        kind: Of them: "cpu", "gpu".
        wanted: By the user; none is all.
        backend: For the error.

    Raises:
        ConfigError: There are fewer, or just one.
    """
    if wanted is None and found < 2:
        hint = "; --devices 2 splits it, to rehearse" if kind == "cpu" else "; leave --distribute out"
        raise ConfigError(f"a training is shared among at least 2 devices, but {backend} sees {found} ({kind}){hint}")
    if wanted is not None and wanted > found:
        raise ConfigError(f"`devices` must be at most the {found} ({kind}) that {backend} sees, but got {wanted}")
    return wanted or found
