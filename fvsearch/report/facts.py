"""What a study was and what it cost: its definition, where it ran, and the bill."""

from collections.abc import Iterable, Mapping

import msgspec

from fvsearch.ledger import Invocation, Ledger, QuietPass, TrialRecord
from fvsearch.meters.measured import Anchor
from fvsearch.records import Record
from fvsearch.report.confirmed import Confirmed
from fvsearch.study import Data, EarlyStopping, Objective, Study
from fvsearch.study.budgets import Budget, allowed
from fvsearch.study.recipe import Recipe
from fvsearch.training.energy import add_joules


class Facts(Record, frozen=True, kw_only=True):
    """What was searched, how and where.

    Attributes:
        folder: Of the study.
        space: Name of the space, or "listed".
        size: Distinct archs in it.
        trials: How many were asked for.
        engine: Who proposed.
        limits: The budget in bytes and images/s, as measurements are held against it; only what is known by now.
        anchor: The baseline's costs on this device, taken alone before the search: memory in bytes, throughput in images/s.
        backends, devices: All that trials ran on.
        versions: All that trials ran with, by package.
        predictions: What predictions rest on and how far they err, in a line; empty before that is settled.
        commands: Every start of `fvsearch run`, oldest first.
        ledger: The database that coordinators share, without a password; empty where the ledger lies in the folder.
    """

    name: str
    description: str
    folder: str
    space: str
    size: int
    trials: int
    engine: str
    repeats: int
    early_stopping: EarlyStopping | None
    seed: int
    objectives: tuple[Objective, ...]
    budget: Budget
    limits: dict[str, float]
    anchor: dict[str, float]
    cost_batch_size: int
    data: Data
    recipe: Recipe
    backends: tuple[str, ...]
    devices: tuple[str, ...]
    versions: dict[str, tuple[str, ...]]
    predictions: str
    commands: tuple[str, ...]
    started: str
    ended: str
    ledger: str = ""


class Bill(Record, frozen=True, kw_only=True):
    """Where the time went, in seconds.

    Attributes:
        activities: Device-seconds of trials by activity (import, build, compile, train, measure), summed over workers and repeats.
        anchor: Measuring the baseline before the search.
        quiet_pass: Measuring front and baseline after it.
        confirmation: Training front and baseline again with fresh seeds.
        wall: Of all starts of `fvsearch run`, as far as it is on record.
        starts: Of `fvsearch run`.
        joules: Energy in all, "gpu" and "cpu", of what told it.
        silent: Trials that took time on a device and of which nothing told the energy.
    """

    activities: dict[str, float]
    anchor: float
    quiet_pass: float
    wall: float
    starts: int
    confirmation: float = 0.0
    joules: dict[str, float] = msgspec.field(default_factory=dict)
    silent: int = 0

    @property
    def trials(self) -> float:
        """Device-seconds of all trials."""
        return sum(self.activities.values())

    @property
    def total(self) -> float:
        """Device-seconds in all: trials, anchor, quiet pass and confirmation."""
        return self.trials + self.anchor + self.quiet_pass + self.confirmation


ACTIVITIES = ("import", "build", "compile", "train", "measure")


def read_bill(
    trials: tuple[TrialRecord, ...],
    anchor: Anchor | None,
    quiet: QuietPass,
    invocations: tuple[Invocation, ...],
    confirmed: Confirmed | None = None,
) -> Bill:
    """The bill of a study so far."""
    own = [trial for trial in trials if not trial.imported and trial.seconds]
    names = [*ACTIVITIES, *sorted({name for trial in trials for name in trial.seconds} - set(ACTIVITIES))]
    return Bill(
        activities={name: sum(trial.seconds.get(name, 0.0) for trial in trials if not trial.imported) for name in names},
        anchor=anchor.seconds if anchor else 0.0,
        quiet_pass=quiet.seconds,
        wall=sum(invocation.seconds for invocation in invocations),
        starts=len(invocations),
        confirmation=confirmed.seconds if confirmed else 0.0,
        joules=add_joules(
            *(trial.joules for trial in own),
            anchor.joules if anchor else {},
            quiet.joules,
            confirmed.joules if confirmed else {},
        ),
        silent=sum(not trial.joules for trial in own),
    )


def read_facts(ledger: Ledger, trials: tuple[TrialRecord, ...], anchor: Anchor | None, quiet: QuietPass) -> Facts:
    """The facts of a study as its ledger has them now."""
    study, invocations = ledger.study, ledger.invocations()
    packages = sorted({name for trial in trials for name in trial.versions})
    versions = {name: _distinct(trial.versions.get(name, "") for trial in trials) for name in packages}
    if starts := _distinct(invocation.version for invocation in invocations):
        versions = {"fvsearch": starts} | versions
    return Facts(
        name=study.name,
        description=study.description,
        folder=str(ledger.folder),
        space=study.space.name if study.space else "listed",
        size=study.space.size() if study.space else len({arch.arch_hash for arch in study.engine.archs}),
        trials=study.trials,
        engine=engine_name(study),
        repeats=study.repeats,
        early_stopping=study.early_stopping,
        seed=study.seed,
        objectives=study.objectives,
        budget=study.budget,
        limits=read_limits(study, measured_baseline(trials, anchor, quiet)),
        anchor={"memory": anchor.memory, "throughput": anchor.throughput} if anchor else {},
        cost_batch_size=study.cost_batch_size,
        data=study.data,
        recipe=study.recipe,
        backends=_distinct([trial.backend for trial in trials] or [invocation.backend for invocation in invocations]),
        devices=_distinct([trial.device for trial in trials] + [anchor.device if anchor else ""]),
        versions=versions,
        predictions=predictions.note if (predictions := ledger.predictions()) else "",
        commands=tuple(invocation.command for invocation in invocations),
        started=min((invocation.started for invocation in invocations), default=""),
        ended=max((trial.ended for trial in trials), default=""),
        ledger=ledger.shared.shown if ledger.shared else "",
    )


def measured_baseline(trials: Iterable[TrialRecord], anchor: Anchor | None, quiet: QuietPass) -> dict[str, float]:
    """The baseline's measured memory (bytes) and throughput (images/s), as far as they are known; the later measurement wins."""
    known = {"memory": anchor.memory, "throughput": anchor.throughput} if anchor else {}
    for trial in trials:
        if trial.is_baseline and "memory" in trial.measured:
            known["memory"] = trial.measured["memory"]
    if 0 in quiet.throughput:
        known["throughput"] = quiet.throughput[0].median
    return known


def read_limits(study: Study, baseline: Mapping[str, float]) -> dict[str, float]:
    """The budget's limits in bytes and images/s; a relative one only where the baseline is known."""
    limits = study.budget.limits().items()
    return {kind: allowed(kind, limit, baseline) for kind, limit in limits if kind in baseline or not limit.relative}


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def engine_name(study: Study) -> str:
    """The engine and what it searches by: "optuna, nsga2"."""
    engine = study.engine
    by = {"optuna": engine.sampler, "keras_tuner": engine.oracle}.get(engine.name)
    return f"{engine.name}, {by}" if by else engine.name
