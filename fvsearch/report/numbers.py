"""The numbers of a study: every trial's place and costs, the front, the picks, the hypervolume over trials; no drawing, no printing.

A Summary is plain data (`to_json`): front.json holds it, the tables and the page draw it and compute nothing of their own.
"""

import itertools
from typing import Literal, get_args

import msgspec

from fvsearch import pareto
from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Params
from fvsearch.fronts.posterior import Posterior, posterior
from fvsearch.fronts.rungs import learned_objective
from fvsearch.fronts.standing import Place, Standing, ledger_standings, minimised, turned
from fvsearch.fronts.volume import Hypervolume, hypervolume
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.records import Record
from fvsearch.report.confirmed import Confirmed, confirmed
from fvsearch.report.facts import Bill, Facts, read_bill, read_facts
from fvsearch.report.findings.reading import study_findings
from fvsearch.report.importance import Importance
from fvsearch.report.rungs import RungRow, rung_rows
from fvsearch.report.verdicts import Finding
from fvsearch.search.confirmations import confirmations, fresh_values
from fvsearch.study import Study

Pick = Literal["knee", "best", "fastest", "smallest"]
PICKS: tuple[Pick, ...] = get_args(Pick)
PLACES: tuple[Place, ...] = get_args(Place)


class Quantity(Record, frozen=True, kw_only=True):
    """A cost from its two sources, side by side.

    Attributes:
        predicted: By formula.
        predicted_ratio: To the baseline's, predicted too.
        measured: Read from a device.
        measured_ratio: To the baseline's, measured too.
        low, high: Where `measured` lies with 95% confidence, if it is a median of several readings.
    """

    predicted: float | None = None
    predicted_ratio: float | None = None
    measured: float | None = None
    measured_ratio: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float | None:
        """As measured, else as predicted."""
        return self.predicted if self.measured is None else self.measured

    @property
    def ratio(self) -> float | None:
        """Of `value` to the baseline's from the same source."""
        return self.predicted_ratio if self.measured is None else self.measured_ratio

    @property
    def source(self) -> str:
        """Where `value` is from: "measured", "predicted", or nothing."""
        return "measured" if self.measured is not None else "predicted" if self.predicted is not None else ""


class Row(Record, frozen=True, kw_only=True):
    """One trial as a reader sees it.

    Attributes:
        place: Where it stands.
        reason: Why it failed, or what broke its budget.
        values: By objective, raw; what training tells is of the validation split, the mean over repeats.
        spread: Standard deviations over repeats; empty for a single one.
        memory: Peak bytes at the study's batch and phase.
        memory_source: How the measured one was obtained.
        throughput: Images/s at the study's batch and phase; measured in the quiet pass alone, for front and baseline.
        macs: Per image, forward.
        constraints: By budget; at most 0 is within it.
        seconds: Device-seconds by activity.
        joules: Energy by what took it, "gpu" and "cpu", where they told it.
        curve: The first learned objective after each epoch, the mean over repeats.
        picks: What it is picked as.
        imported: Where it was taken over from, as "FOLDER #NUMBER"; empty for a trial of this study.
    """

    number: int
    place: Place
    layout: str
    arch: Arch
    arch_hash: str
    params: Params
    reason: str
    values: dict[str, float]
    spread: dict[str, float]
    seeds: tuple[int, ...]
    memory: Quantity
    memory_source: str
    throughput: Quantity
    num_params: int | None
    macs: int | None
    constraints: dict[str, float]
    seconds: dict[str, float]
    curve: tuple[float, ...]
    picks: tuple[Pick, ...] = ()
    imported: str = ""
    joules: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def is_baseline(self) -> bool:
        """Whether this is the arch that budgets are relative to."""
        return self.number == 0


class Summary(Record, frozen=True, kw_only=True):
    """A study as it stands.

    Attributes:
        learned: The first objective that training tells; plots and picks go by it.
        counts: Trials by place.
        picks: Trial numbers, by pick; empty where the front is.
        front: Best first, by `learned`.
        others: All other trials, by number.
        rungs: How far an early look tells the end of a training.
        posterior: What is believed of trained archs, all trials looked at together; none where the study's engine has none. Picks go by it
            where there is one.
        confirmed: What fresh seeds say of the front; none before it was trained again.
        findings: Which of the Funnel-ViT report's findings the study found; none where it neither asks nor can tell.
        importance: Which params matter; a report has it alone, for it takes its time.
    """

    facts: Facts
    learned: str
    counts: dict[str, int]
    picks: dict[Pick, int]
    front: tuple[Row, ...]
    others: tuple[Row, ...]
    hypervolume: Hypervolume
    rungs: tuple[RungRow, ...]
    bill: Bill
    posterior: Posterior | None = None
    confirmed: Confirmed | None = None
    findings: tuple[Finding, ...] = ()
    importance: Importance | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every trial, by number."""
        return tuple(sorted((*self.front, *self.others), key=lambda row: row.number))

    @property
    def baseline(self) -> Row | None:
        """Trial 0, once it has started."""
        return next((row for row in (*self.front, *self.others[:1]) if row.is_baseline), None)  # others are by number

    def at(self, place: Place) -> tuple[Row, ...]:
        """The trials of a place, by number."""
        return tuple(row for row in self.rows if row.place == place)

    def row(self, number: int) -> Row:
        """The trial of a number."""
        return next(row for row in itertools.chain(self.front, self.others) if row.number == number)

    def to_json(self) -> str:
        """One JSON document: bytes, images/s, seconds and shares, unrounded."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


def summarise(ledger: Ledger) -> Summary:
    """The numbers of a study as its ledger has them now."""
    study, found = ledger.study, ledger_standings(ledger)
    anchor, quiet = ledger.anchor(), ledger.quiet_pass()
    learned = learned_objective(study)
    trainings = confirmations(ledger)
    again, believed = confirmed(study, found, trainings), posterior(study, found, fresh_values(study, trainings))
    picks = picked(study, [standing for standing in found if standing.place == "front"], believed)
    named: dict[int, tuple[Pick, ...]] = {number: tuple(pick for pick in picks if picks[pick] == number) for number in picks.values()}
    baseline = next((standing for standing in found if standing.trial.is_baseline), None)
    rows = [_row(standing, baseline, learned, named.get(standing.number, ())) for standing in found]
    best_first = sorted((s for s in found if s.place == "front"), key=lambda s: turned(study, learned, s.values[learned]))
    return Summary(
        facts=read_facts(ledger, tuple(s.trial for s in found), anchor, quiet),
        learned=learned,
        counts={place: sum(standing.place == place for standing in found) for place in PLACES},
        picks=picks,
        front=tuple(row for s in best_first for row in rows if row.number == s.number),
        others=tuple(row for row in rows if row.place != "front"),
        hypervolume=hypervolume(study, found),
        rungs=rung_rows(study, [s.trial for s in found]),
        bill=read_bill(tuple(s.trial for s in found), anchor, quiet, ledger.invocations(), again),
        posterior=believed,
        confirmed=again,
        findings=study_findings(ledger, [s.trial for s in found]),
    )


def picked(study: Study, found: list[Standing], believed: Posterior | None = None) -> dict[Pick, int]:
    """Trial numbers of a front by pick: its knee, the best by the first learned objective, the fastest and the smallest in memory.

    Ties go to the better learned objective, then to the lower number. The fastest goes by measured throughput if all of the front was
    measured, else by prediction.

    Args:
        study: Whose.
        found: Where the front's trials stand.
        believed: Means that the learned objective is taken from, instead of what was observed.
    """
    if not found:
        return {}
    learned = learned_objective(study)
    if believed is not None:
        means = {number: belief.mean for number, belief in believed.trials.items()}
        found = [msgspec.structs.replace(s, values=s.values | {learned: means.get(s.number, s.values[learned])}) for s in found]
    quiet = all(s.throughput for s in found)

    def order(name: Pick, standing: Standing) -> tuple[float, float, float, int]:
        memory = _memory(standing.trial) or 0.0
        speed = standing.throughput.median if quiet and standing.throughput else standing.trial.predicted.get("throughput", 0.0)
        first = {"best": 0.0, "fastest": -speed, "smallest": memory}[name]
        return first, turned(study, learned, standing.values[learned]), memory, standing.number

    picks = {PICKS[0]: found[pareto.knee([minimised(study, standing.values) for standing in found])].number}
    for name in PICKS[1:]:
        picks[name] = min((order(name, standing), standing.number) for standing in found)[1]
    return picks


def _memory(trial: TrialRecord) -> float | None:
    return trial.measured.get("memory", trial.predicted.get("memory"))


def _row(standing: Standing, baseline: Standing | None, learned: str, picks: tuple[Pick, ...]) -> Row:
    trial = standing.trial
    return Row(
        number=trial.number,
        place=standing.place,
        layout=trial.layout,
        arch=trial.arch,
        arch_hash=trial.arch_hash,
        params=trial.params,
        reason=trial.reason,
        values=standing.values,
        spread=trial.spread,
        seeds=tuple(repeat.seed for repeat in trial.repeats),
        memory=_quantity(standing, baseline, "memory"),
        memory_source=trial.memory_source,
        throughput=_quantity(standing, baseline, "throughput"),
        num_params=_count(trial.predicted.get("num_params")),
        macs=_count(trial.predicted.get("macs")),
        constraints=standing.constraints,
        seconds=trial.seconds,
        curve=mean_curve([[epoch[learned] for epoch in repeat.epochs if learned in epoch] for repeat in trial.repeats]),
        picks=picks,
        imported=trial.imported,
        joules=trial.joules,
    )


def _quantity(standing: Standing, baseline: Standing | None, kind: Literal["memory", "throughput"]) -> Quantity:
    predicted, measured = standing.trial.predicted.get(kind), _measured(standing, kind)
    interval = standing.throughput if kind == "throughput" else None
    return Quantity(
        predicted=predicted,
        predicted_ratio=_ratio(predicted, baseline.trial.predicted.get(kind) if baseline else None),
        measured=measured,
        measured_ratio=_ratio(measured, _measured(baseline, kind) if baseline else None),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _measured(standing: Standing, kind: Literal["memory", "throughput"]) -> float | None:
    if kind == "memory":
        return standing.trial.measured.get("memory")
    return standing.throughput.median if standing.throughput else None


def _count(value: float | None) -> int | None:
    """The ledger keeps all costs as floats."""
    return None if value is None else round(value)


def _ratio(value: float | None, baseline: float | None) -> float | None:
    return value / baseline if value is not None and baseline else None


def mean_curve(curves: list[list[float]]) -> tuple[float, ...]:
    """The mean of several curves, as far as the shortest reaches."""
    return tuple(sum(values) / len(values) for values in zip(*curves, strict=False))
