"""What a ledger holds: a trial's whole record, the quiet pass, the starts of `run`."""

import datetime
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Params
from fvsearch.engines.base import Completed, Failed, Infeasible, Outcome, Stopped
from fvsearch.meters.measured import Interval, Measured
from fvsearch.records import Record
from fvsearch.study import Study
from fvsearch.study.budgets import is_met
from fvsearch.training.energy import add_joules

State = Literal["running", "paused", "completed", "infeasible", "stopped", "failed"]


class Repeat(Record, frozen=True, kw_only=True):
    """One training of a trial's arch.

    Attributes:
        seed: Of this training.
        epochs: Metrics of each: epoch, seconds, and loss, top1, top5 of the validation split, train_loss and so on of the training split.
        seconds: Of each activity: import, build, compile, train, measure.
        joules: Energy it took, "gpu" and "cpu", where they told it.
    """

    seed: int
    epochs: tuple[dict[str, float], ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    joules: dict[str, float] = msgspec.field(default_factory=dict)


class RungDecision(Record, frozen=True, kw_only=True):
    """What was decided of a trial at a rung, with what was known then; it stands.

    Attributes:
        epochs: After which it was decided.
        value: The first learned objective, of the validation split, after them.
        gap: By how much the best of those that cost no more was better; 0 is on the front of the rung.
        among: Trials that had reached the rung by then, this one included.
        goes_on: Whether the trial was trained further.
    """

    epochs: int
    value: float
    gap: float
    among: int
    goes_on: bool


class TrialRecord(Record, frozen=True, kw_only=True):
    """All that is known of a trial.

    Attributes:
        number: From 0, the baseline.
        state: "infeasible" is over budget as measured, so not trained; what is predicted so is never dispatched. The baseline is trained
            whatever its budget says. "stopped" ended at a rung; "paused" has reached the epochs its engine asked for and may be asked for
            again.
        reason: Why it failed, or what broke its budget.
        params: The searched params, empty for a baseline outside the space.
        layout: The arch's canonical layout at the study's image size.
        predicted: Costs by formula: num_params, macs per image, memory in bytes, throughput in images/s.
        measured: Costs read from the device during the trial: memory in bytes.
        memory_source: How the memory was obtained.
        constraints: Dimensionless, by budget; at most 0 is feasible.
        values: By objective; means over repeats, of what training tells after the last epoch trained.
        spread: Standard deviation over repeats, of what training tells, where there are several.
        rungs: What was decided at each rung that was reached, in order.
        target: Epochs that the engine asked for; none is to the end.
        imported: Where the record was taken over from, as "FOLDER #NUMBER"; empty for a trial of this study.
        started, ended: ISO 8601, UTC.
    """

    number: int = -1
    state: State = "running"
    reason: str = ""
    params: Params = msgspec.field(default_factory=dict)
    arch: Arch
    layout: str
    arch_hash: str
    predicted: dict[str, float]
    measured: dict[str, float] = msgspec.field(default_factory=dict)
    memory_source: str = ""
    constraints: dict[str, float] = msgspec.field(default_factory=dict)
    values: dict[str, float] = msgspec.field(default_factory=dict)
    spread: dict[str, float] = msgspec.field(default_factory=dict)
    repeats: tuple[Repeat, ...] = ()
    rungs: tuple[RungDecision, ...] = ()
    target: int | None = None
    imported: str = ""
    backend: str = ""
    device: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    started: str = ""
    ended: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether this is the arch that budgets are relative to."""
        return self.number == 0

    @property
    def epochs_done(self) -> int:
        """Of the latest repeat; fewer than the recipe's is less than full fidelity."""
        return len(self.repeats[-1].epochs) if self.repeats else 0

    @property
    def seconds(self) -> dict[str, float]:
        """Device-seconds by activity, summed over repeats."""
        names = {name for repeat in self.repeats for name in repeat.seconds}
        return {name: sum(repeat.seconds.get(name, 0.0) for repeat in self.repeats) for name in sorted(names)}

    @property
    def joules(self) -> dict[str, float]:
        """Energy by what took it, summed over repeats; empty where nothing told it."""
        return add_joules(*(repeat.joules for repeat in self.repeats))

    def outcome(self, study: Study) -> Outcome:
        """What an engine is told of the ended trial."""
        if self.state == "completed" and is_met(self.constraints):
            return Completed(values=tuple(self.values[o.name] for o in study.objectives), constraints=self.constraints)
        if self.state in ("completed", "infeasible"):
            return Infeasible(constraints=self.constraints)
        if self.state in ("stopped", "paused"):
            return Stopped(epochs=self.epochs_done, values=tuple(self.values[o.name] for o in study.objectives))
        return Failed(reason=self.reason)


class Entry(NamedTuple):
    """A trial as it stands.

    Attributes:
        owner: The coordinator that entered it so.
        revision: Of the study, with which it was entered.
    """

    record: TrialRecord
    owner: str
    revision: int


class Taken(Exception):  # noqa: N818 - says what happened
    """The arch was entered by another coordinator, or the last of the trials asked for was."""


class QuietPass(Record, frozen=True, kw_only=True):
    """Throughput of front and baseline, measured with nothing else running, interleaved.

    Attributes:
        throughput: Images/s, by trial number.
        seconds: All measurements took.
        joules: Energy they took, "gpu" and "cpu", where they told it.
    """

    throughput: dict[int, Interval]
    seconds: float
    joules: dict[str, float] = msgspec.field(default_factory=dict)

    def with_measured(self, numbers: Sequence[int], measured: Measured) -> "QuietPass":
        """The pass with more trials measured, interleaved with the baseline.

        What is taken of a trial is its ratio to the baseline, paired by round: the baseline may run at another speed in another pass, and
        takes part in more rounds than any trial.

        Args:
            numbers: Of the trials.
            measured: The baseline first, then the trials.
        """
        first = self.throughput.get(0, measured.throughput[0])
        found = {
            number: Interval(median=first.median * ratio.median, low=first.median * ratio.low, high=first.median * ratio.high)
            for number, ratio in zip(numbers, measured.ratio[1:], strict=True)
        }
        return QuietPass(
            throughput={0: first} | self.throughput | found,
            seconds=self.seconds + sum(measured.seconds.values()),
            joules=add_joules(self.joules, measured.joules),
        )


class Invocation(Record, frozen=True, kw_only=True):
    """One start of `run` on the study.

    Attributes:
        seconds: Wall time until it ended; 0 where it was killed.
        key: What tells it from another of the same second.
    """

    command: str
    started: str
    backend: str
    workers: int
    version: str
    seconds: float = 0.0
    key: str = ""


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
