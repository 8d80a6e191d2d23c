"""Where each trial stands: on the front, dominated, over budget as measured, stopped, failed or running."""

from typing import Literal

import msgspec

from fvsearch import pareto
from fvsearch.ledger import Ledger, QuietPass, TrialRecord
from fvsearch.meters.measured import Anchor, Interval
from fvsearch.records import Record
from fvsearch.study import Study
from fvsearch.study.budgets import is_met, violations

Place = Literal["front", "dominated", "infeasible", "stopped", "failed", "running"]


class Standing(Record, frozen=True, kw_only=True):
    """A trial and what is known of it by now.

    Attributes:
        place: "infeasible" is over budget as measured, in its trial or in the quiet pass; "stopped" was not trained to the end, so it is on
            no front whatever its values.
        values: By objective; throughput as measured in the quiet pass, where it was.
        constraints: By budget, with measured throughput where there is one.
        throughput: As measured in the quiet pass, in images/s.
    """

    trial: TrialRecord
    place: Place
    values: dict[str, float]
    constraints: dict[str, float]
    throughput: Interval | None = None

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.trial.number


def turned(study: Study, name: str, value: float) -> float:
    """An objective's value, turned so that less is better."""
    return -value if any(o.name == name and o.direction == "maximize" for o in study.objectives) else value


def minimised(study: Study, values: dict[str, float]) -> tuple[float, ...]:
    """Values in the study's order of objectives, turned so that less is better."""
    return pareto.minimise([values[o.name] for o in study.objectives], [o.direction for o in study.objectives])


def standings(study: Study, trials: tuple[TrialRecord, ...], anchor: Anchor | None, quiet: QuietPass) -> tuple[Standing, ...]:
    """Where every trial stands, by number."""
    known = [standing_alone(study, trial, anchor, quiet) for trial in trials]
    candidates = [standing for standing in known if standing.place == "dominated"]
    best = {candidates[index].number for index in pareto.front([minimised(study, standing.values) for standing in candidates])}
    return tuple(msgspec.structs.replace(standing, place="front") if standing.number in best else standing for standing in known)


def ledger_standings(ledger: Ledger) -> tuple[Standing, ...]:
    """Where every trial of a ledger stands, by number."""
    return standings(ledger.study, ledger.trials(), ledger.anchor(), ledger.quiet_pass())


def front(found: tuple[Standing, ...]) -> tuple[Standing, ...]:
    """Those on the front, by number."""
    return tuple(standing for standing in found if standing.place == "front")


def standing_alone(study: Study, trial: TrialRecord, anchor: Anchor | None, quiet: QuietPass) -> Standing:
    """Where a trial stands before it is compared with others: "dominated" is feasible."""
    measured = quiet.throughput.get(trial.number)
    values, constraints = dict(trial.values), dict(trial.constraints)
    if measured is not None:
        if "throughput" in values:
            values["throughput"] = measured.median
        baseline = quiet.throughput.get(0)
        constraints |= violations(
            study.budget,
            {"throughput": measured.median},
            {"throughput": baseline.median if baseline else anchor.throughput if anchor else 0.0},
        )
    place: Place = "dominated"
    if trial.state == "running":
        place = "running"
    elif trial.state == "failed":
        place = "failed"
    elif trial.state in ("stopped", "paused"):
        place = "stopped"
    elif trial.state == "infeasible" or not is_met(constraints):
        place = "infeasible"
    return Standing(trial=trial, place=place, values=values, constraints=constraints, throughput=measured)
