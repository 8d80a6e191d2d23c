"""What is asked of the meters and what they answer: records that cross processes."""

from fvsearch.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least
from fvsearch.study import Data, Phase, Recipe


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
    """

    throughput: float
    memory: float
    memory_source: str
    device: str
    seconds: float


class MeasureRequest(Record, frozen=True, kw_only=True):
    """Archs whose steps are to be measured on this device, with nothing else running.

    Attributes:
        archs: The first is the reference: it is measured in every round, beside the others.
        data: Gives the images' shape and the classes; no data set is read.
        recipe: The step's optimizer, drops and dtype.
        batch_size: Images per step.
        phase: "training" is the train step of training, "inference" the forward pass.
        time_budget: Seconds for measuring, after models are built and compiled; a median with an interval may need more.
        seed: Of weights and images.
    """

    archs: tuple[Arch, ...]
    data: Data
    recipe: Recipe
    batch_size: int
    phase: Phase
    time_budget: float
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(1, self, "batch_size")
        if not self.archs:
            raise ConfigError("`archs` must hold at least one arch, but it is empty")


class Measured(Record, frozen=True, kw_only=True):
    """What the device did, by the order of the request's archs.

    Attributes:
        throughput: Images/s.
        memory: Of one step.
        seconds: Wall time by activity: import, build, compile, measure, and wait (for another measurement on this device).
    """

    throughput: tuple[Interval, ...]
    memory: tuple[StepMemory, ...]
    backend: str
    device: str
    versions: dict[str, str]
    seconds: dict[str, float]
