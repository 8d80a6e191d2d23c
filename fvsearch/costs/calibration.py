"""A calibration: the prices of the formula's items on this device, what they are valid for, and how far they err.

Made by `fvsearch calibrate` (calibrating/), used by `fvsearch run`.
"""

from collections.abc import Mapping
from typing import Literal

from fvsearch.archs.arch import Arch
from fvsearch.costs.conditions import ITEMS, Conditions, Pattern, Prices
from fvsearch.errors import ConfigError
from fvsearch.records import Record, to_builtins

Quantity = Literal["memory", "step_time"]
Source = Literal["regression", "formula"]


class Machine(Record, frozen=True, kw_only=True):
    """What a measurement was taken on, and by.

    Attributes:
        device: Its name, as the backend says it.
        processor: Its name, where the device is the CPU; else empty.
        cores: That the process may run on, where the device is the CPU; else 0.
        threads: What the environment says of their number, by variable, where the device is the CPU.
        versions: Of fvsearch, Keras and the backend.
    """

    device: str
    processor: str
    cores: int
    threads: dict[str, str]
    versions: dict[str, str]

    @property
    def text(self) -> str:
        """`AMD EPYC 9554 (2 cores, OMP_NUM_THREADS=1)`, or the device's name."""
        if not self.cores:
            return self.device
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        return f"{self.processor} ({', '.join([cores, *(f'{name}={value}' for name, value in self.threads.items())])})"


class Sampled(Record, frozen=True, kw_only=True, tag=True):
    """A measured arch.

    Attributes:
        pattern: Its token counts by stage.
        memory: Bytes of one step.
        throughput: Images/s; the median.
        ratio: Images/s over the baseline's, paired by round; low and high are the ends of its 95% interval.
    """

    arch: Arch
    layout: str
    pattern: Pattern
    memory: int
    throughput: float
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def half_width(self) -> float:
        """The wider side of the interval, as a share of the median."""
        return max(self.ratio_high - self.ratio, self.ratio - self.ratio_low) / self.ratio


class Skipped(Record, frozen=True, kw_only=True, tag=True):
    """An arch of the sample that could not be measured, and why."""

    arch: Arch
    layout: str
    reason: str


class Error(Record, frozen=True, kw_only=True):
    """How predictions of measured archs err that took no part in the fit, each anchored on the baseline's measurement.

    Attributes:
        mape: Mean of |predicted / measured - 1|.
        worst: The largest of them.
        tau: Kendall's rank correlation of predicted and measured.
    """

    mape: float
    worst: float
    tau: float


class Predicted(Record, frozen=True, kw_only=True):
    """How one quantity is predicted.

    Attributes:
        source: "regression", or "formula" where the closed form, scaled on the baseline alone, errs less.
        prices: In bytes, or in multiples of the baseline's step time; the closed form's where it is the source.
        regression_error: Of the regression.
        formula_error: Of the closed form.
        margin: Nine of ten archs err less: by so much may a prediction break a budget before it is refused.
        left_out: The predictions behind the regression's error, by the order of the sample, anchored: bytes, or multiples of the
            baseline's step time.
    """

    source: Source
    prices: Prices
    regression_error: Error
    formula_error: Error
    margin: float
    left_out: tuple[float, ...]

    @property
    def error(self) -> Error:
        """Of the source."""
        return self.regression_error if self.source == "regression" else self.formula_error


class Calibration(Record, frozen=True, kw_only=True):
    """The predictors of a study's costs on a machine.

    Attributes:
        left_out: What each error is over: whole stage "patterns" left out of the fit, or single "archs" where there is one pattern.
        sample: What was measured, the baseline first.
        made: ISO 8601, UTC.
    """

    conditions: Conditions
    machine: Machine
    memory: Predicted
    step_time: Predicted
    left_out: Literal["patterns", "archs"]
    sample: tuple[Sampled, ...]
    skipped: tuple[Skipped, ...] = ()
    made: str = ""

    def __post_init__(self) -> None:
        if not self.sample:
            raise ConfigError("`sample` must hold the baseline at least, but it is empty")
        for quantity, predicted in (("memory", self.memory), ("step_time", self.step_time)):
            if unknown := predicted.prices.keys() - ITEMS.keys():
                raise ConfigError(f"`{quantity}.prices` must be of {', '.join(ITEMS)}, but got {', '.join(sorted(unknown))}")
            if len(predicted.left_out) != len(self.sample):
                raise ConfigError(
                    f"`{quantity}.left_out` must be as long as `sample`, {len(self.sample)}, but got {len(predicted.left_out)}"
                )

    @property
    def margins(self) -> dict[str, float]:
        """By budget: memory and throughput."""
        return {"memory": self.memory.margin, "throughput": self.step_time.margin}

    @property
    def text(self) -> str:
        """What it is and how far it errs, in a line."""
        said = [
            f"{name} {fit.error.mape:.1%} on average, {fit.error.worst:.1%} at worst, tau {fit.error.tau:.3f}"
            for name, fit in (("memory", self.memory), ("step time", self.step_time))
        ]
        return (
            f"calibrated {self.made[:10]} on {self.machine.text}, {self.conditions.backend}, by {len(self.sample)} archs; "
            f"error on {self.left_out} left out: {'; '.join(said)}"
        )

    def differences(self, conditions: Conditions, machine: Machine | None = None) -> list[str]:
        """Each condition in which it differs from those given, as `batch_size 64 there, 32 here`; empty where it fits.

        Args:
            conditions: Of the study.
            machine: Where it is to be used; not compared where it is not known yet.
        """
        found = _differences(to_builtins(self.conditions), to_builtins(conditions))
        return found + (_differences(to_builtins(self.machine), to_builtins(machine)) if machine else [])


class Predictions(Record, frozen=True, kw_only=True):
    """What a study's predictions rest on.

    Attributes:
        calibration: None where it is the formula, scaled by the baseline's measurement.
        note: Which that is and how far it errs, or why there is none, in a line.
    """

    calibration: Calibration | None = None
    note: str = ""


def _differences(there: Mapping[str, object], here: Mapping[str, object], prefix: str = "") -> list[str]:
    found = []
    for name in there.keys() | here.keys():
        before, after = there.get(name, "none"), here.get(name, "none")
        if isinstance(before, dict) and isinstance(after, dict):
            found += _differences(before, after, "version of " if name == "versions" else "")
        elif before != after:
            found.append(f"{prefix}{name} {before} there, {after} here")
    return sorted(found)
