"""What is asked of the meters and what they answer: records that cross processes."""

from typing import Literal

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least
from fvsearch.study import Study
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import Recipe


class StepMemory(Record, frozen=True, kw_only=True):
    """Peak device memory of one step, weights and optimizer state counted in.

    Attributes:
        bytes: At the peak.
        source: How the number was obtained.
    """

    bytes: int
    source: str


class Interval(Record, frozen=True, kw_only=True):
    """A measured quantity: its median, and where the median lies with 95% confidence."""

    median: float
    low: float
    high: float


class Anchor(Record, frozen=True, kw_only=True):
    """The baseline's measured costs, taken alone before the search: they scale every prediction to this device.

    Attributes:
        throughput: Images/s.
        memory: Bytes.
        memory_source: How the memory was obtained.
        seconds: It took.
        backend: It was measured on; empty in ledgers of before backends were noted.
        versions: Of Python, fvsearch, Keras and what is below it; empty likewise.
        joules: Energy it took, "gpu" and "cpu", where they told it.
    """

    throughput: float
    memory: float
    memory_source: str
    device: str
    seconds: float
    backend: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    joules: dict[str, float] = msgspec.field(default_factory=dict)


class MeasureRequest(Record, frozen=True, kw_only=True):
    """Archs whose steps are to be measured on this device, with nothing else running.

    Attributes:
        archs: The first is the reference: it is measured in every round, beside the others.
        image_shape: (height, width, channels).
        num_classes: Of the head.
        recipe: The step's optimizer, drops and dtype.
        batch_size: Images per step.
        phase: "training" is the train step of training, "inference" the forward pass.
        time_budget: Seconds for measuring all archs, after models are built and compiled; a median with an interval may need more.
        seed: Of weights and images.
    """

    archs: tuple[Arch, ...]
    image_shape: tuple[int, int, int]
    num_classes: int
    recipe: Recipe
    batch_size: int
    phase: Phase
    time_budget: float
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(1, self, "batch_size")
        require_at_least(2, self, "num_classes")
        require_at_least(0, self, "seed")
        if not self.archs:
            raise ConfigError("`archs` must hold at least one arch, but it is empty")
        if min(self.image_shape) < 1:
            raise ConfigError(f"`image_shape` must be at least 1 in each direction, but got {self.image_shape}")

    @classmethod
    def of_study(cls, study: Study, archs: tuple[Arch, ...], seconds: float) -> "MeasureRequest":
        """Archs at what the study's costs are said of, that many seconds for each."""
        return cls(
            archs=archs,
            image_shape=study.data.image_shape,
            num_classes=study.data.num_classes,
            recipe=study.recipe,
            batch_size=study.cost_batch_size,
            phase=study.budget.phase,
            time_budget=seconds * len(archs),
            seed=study.seed,
        )


class Activity(Record, frozen=True):
    """What a measurement begins to do.

    Attributes:
        kind: "start" the backend, "wait" for the device, "compile" an arch, "measure" a group of archs.
        detail: Which: the arch's layout, say; it may be empty.
    """

    kind: Literal["start", "wait", "compile", "measure"]
    detail: str = ""


class MeasuredArch(Record, frozen=True, kw_only=True):
    """What the device did with one arch.

    Attributes:
        index: Of the arch among the request's.
        throughput: Images/s.
        ratio: Images/s over the reference's, paired: the two are of the same round; 1 for the reference itself.
        memory: Of one step.
        seconds: Wall time of "build", and of "compile": the memory's meter and the first step.
    """

    index: int
    throughput: Interval
    ratio: Interval
    memory: StepMemory
    seconds: dict[str, float]


class Measured(Record, frozen=True, kw_only=True):
    """What the device did, by the order of the request's archs.

    Attributes:
        throughput: Images/s.
        ratio: Images/s over the reference's, paired by round.
        memory: Of one step.
        seconds: Wall time by activity: import, build, compile, measure, and wait (for another measurement on this device).
        joules: Energy that it took, "gpu" and "cpu", where they tell it; import and wait are left out.
    """

    throughput: tuple[Interval, ...]
    ratio: tuple[Interval, ...]
    memory: tuple[StepMemory, ...]
    backend: str
    device: str
    versions: dict[str, str]
    seconds: dict[str, float]
    joules: dict[str, float] = msgspec.field(default_factory=dict)
