"""Hypervolume over trials: how much of the space of objectives a study had won, trial by trial."""

from fvsearch import pareto
from fvsearch.records import Record
from fvsearch.standing import Standing
from fvsearch.study import Study

MARGIN = 0.1
"""How far the reference point lies beyond the worst values."""

MOST_OBJECTIVES = 3
"""The exact volume takes time that grows as a power of the objectives; beyond three it is left out."""


class Won(Record, frozen=True, kw_only=True):
    """What was won by the time a trial ended.

    Attributes:
        ended: How many trials had ended, this one included.
        trial: Its number.
        value: Hypervolume of the feasible trials until then.
    """

    ended: int
    trial: int
    value: float


class Hypervolume(Record, frozen=True, kw_only=True):
    """The volume that is dominated by feasible trials and dominates the reference point, as trials ended.

    Every objective is in units of the baseline's value. The reference point is the worst value of any feasible trial, the baseline counted
    in, made 10% worse: x 1.1 where less is better, x 0.9 where more is. So it moves with the trials of a study, and the numbers compare
    within one report only. Throughput is as measured in the quiet pass, where it was, and what broke its budget there counts nothing.

    Attributes:
        reference: By objective, raw.
        unit: By objective, raw: the baseline's value, or where the baseline has none, the worst one.
        over_trials: One entry for each ended trial, in the order in which they ended.
        note: Why there is none, if so.
    """

    reference: dict[str, float] = {}
    unit: dict[str, float] = {}
    over_trials: tuple[Won, ...] = ()
    note: str = ""

    @property
    def value(self) -> float | None:
        """By now."""
        return self.over_trials[-1].value if self.over_trials else None


def hypervolume(study: Study, found: tuple[Standing, ...]) -> Hypervolume:
    """The hypervolume over a study's trials."""
    if len(study.objectives) > MOST_OBJECTIVES:
        return Hypervolume(note=f"for at most {MOST_OBJECTIVES} objectives, and this study has {len(study.objectives)}")
    feasible = [standing.values for standing in found if _is_feasible(standing)]
    if not feasible:
        return Hypervolume(note="there is no feasible trial yet")
    baseline = next((standing.values for standing in found if standing.trial.is_baseline), {})
    reference: dict[str, float] = {}
    unit: dict[str, float] = {}
    for objective in study.objectives:
        name, values = objective.name, [known[objective.name] for known in feasible]
        worst, further = (min(values), 1 - MARGIN) if objective.direction == "maximize" else (max(values), 1 + MARGIN)
        reference[name], unit[name] = worst * further, baseline.get(name) or worst or 1.0
    return Hypervolume(reference=reference, unit=unit, over_trials=_over_trials(study, found, reference, unit))


def _over_trials(study: Study, found: tuple[Standing, ...], reference: dict[str, float], unit: dict[str, float]) -> tuple[Won, ...]:
    def point(values: dict[str, float]) -> tuple[float, ...]:
        """In units of the baseline, turned to minimise."""
        directions = [objective.direction for objective in study.objectives]
        return pareto.minimise([values[objective.name] / unit[objective.name] for objective in study.objectives], directions)

    corner, value = point(reference), 0.0
    kept: list[tuple[float, ...]] = []
    won: list[Won] = []
    ended = sorted((s for s in found if s.place != "running"), key=lambda s: (s.trial.ended, s.number))
    for count, standing in enumerate(ended, start=1):
        if _is_feasible(standing):
            new = point(standing.values)
            # The volume is counted again only where the front so far has moved.
            if not any(old == new or pareto.dominates(old, new) for old in kept):
                kept = [old for old in kept if not pareto.dominates(new, old)] + [new]
                value = pareto.hypervolume(kept, corner)
        won.append(Won(ended=count, trial=standing.number, value=value))
    return tuple(won)


def _is_feasible(standing: Standing) -> bool:
    return standing.place in ("front", "dominated")
