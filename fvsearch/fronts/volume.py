"""Hypervolume over trials: how much of the space of objectives a study had won, trial by trial, from a point that no trial moves."""

import random
from collections.abc import Callable

import msgspec

from fvsearch import pareto
from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Space
from fvsearch.costs.predictor import Predictor
from fvsearch.fronts.standing import Standing, minimised
from fvsearch.records import Record
from fvsearch.study import CHANCE, LEARNED, Objective, Study

MOST_OBJECTIVES = 3
"""The exact volume takes time that grows as a power of the objectives; beyond three it is left out."""

_DRAWN, _CLIMBED = 64, 4
"""Members that a climb looks at to begin with, and how many of them it climbs from."""


class Reference(Record, frozen=True, kw_only=True):
    """The point that volume is measured from: having learned nothing, at the most that may be spent.

    Attributes:
        point: By objective: what is learned as it is, a cost as a multiple of the baseline's.
        origin: By objective, where its coordinate is from: "chance", "budget", "space" or "list".
    """

    point: dict[str, float]
    origin: dict[str, str]


def reference(study: Study) -> Reference:
    """A study's reference point, from its classes, budget, space and baseline, never from its trials.

    What is learned stands at chance level. A cost stands at its budget's limit where that is relative to the baseline, else at the
    largest multiple of the baseline's cost that the space (or the list) holds by formula, the same on every device and backend. What is
    better to have more of, such as throughput, stands at its limit or smallest multiple instead. A trial that is no better than the point
    in some objective wins nothing. Takes some ten milliseconds for each cost without a relative limit: keep it where it is asked for often.
    """
    point: dict[str, float] = {}
    origin: dict[str, str] = {}
    predictor = Predictor(study)
    for objective in study.objectives:
        name = objective.name
        if name in LEARNED:
            point[name], origin[name] = CHANCE[name](study.data.num_classes), "chance"
        elif (limit := _relative_limit(study, objective)) is not None:
            point[name], origin[name] = limit, "budget"
        else:
            point[name], origin[name] = _worst(study, objective, predictor), "space" if study.space else "list"
    return Reference(point=point, origin=origin)


def _relative_limit(study: Study, objective: Objective) -> float | None:
    """The budget's limit as a multiple of the baseline's cost, if it bounds the side that is worse to be on."""
    limit = study.budget.limits().get(objective.name)
    bounding = {"memory": "minimize", "throughput": "maximize"}.get(objective.name) == objective.direction
    return limit.value if limit and limit.relative and bounding else None


def _worst(study: Study, objective: Objective, predictor: Predictor) -> float:
    """The worst multiple of the baseline's cost among the study's archs, by formula."""
    name, sign = objective.name, 1 if objective.direction == "minimize" else -1

    def badness(arch: Arch) -> float:
        return sign * predictor.costs(arch)[name] / predictor.baseline[name]

    if study.space is None:
        return sign * max(badness(arch) for arch in study.engine.archs)
    return sign * _summit(study.space, badness)


def _summit(space: Space, height: Callable[[Arch], float]) -> float:
    """The greatest height of a space's members, climbed to param by param from the highest of some that are drawn.

    Every cost rises, or falls, with each param alone, whatever the others are, so that the climb ends at the top; where a change of
    width costs a projection it may end that little below.
    """
    # The same draws for every study of the space.
    rng = random.Random(0)
    starts = sorted((space.sample(rng) for _ in range(_DRAWN)), key=height, reverse=True)[:_CLIMBED]
    return max(_climb(space, start, height) for start in starts)


def _climb(space: Space, arch: Arch, height: Callable[[Arch], float]) -> float:
    best, rises = height(arch), True
    while rises:
        rises = False
        for path, choices in space.domains().items():
            params = space.params(arch)
            for changed in [space.arch(params | {path: choice}) for choice in choices if choice != params[path]]:
                if (reached := height(changed)) > best:
                    best, arch, rises = reached, changed, True
    return best


class Won(Record, frozen=True, kw_only=True):
    """What was won by the time a trial ended.

    Attributes:
        ended: How many trials had ended, this one included.
        trial: Its number.
        value: Hypervolume of the feasible trials until then.
        train_seconds: Spent on training by then, in the trials that had ended, summed over workers and repeats.
        seconds: Spent on these trials in all: importing, building, compiling and measuring counted in.
    """

    ended: int
    trial: int
    value: float
    train_seconds: float = 0.0
    seconds: float = 0.0


class Units(Record, frozen=True, kw_only=True):
    """The baseline's costs, which costs are multiples of.

    Attributes:
        costs: By name, raw: as measured in its trial, else as predicted.
        quiet: Its throughput as measured in the quiet pass, for those that were measured there.
    """

    costs: dict[str, float]
    quiet: float | None = None


class Hypervolume(Record, frozen=True, kw_only=True):
    """The volume that is dominated by feasible trials and dominates the reference point, as trials ended.

    What is learned counts as it is, a cost in multiples of the baseline's: of its measured throughput where the trial's was measured, of
    its predicted one else. What broke its budget in the quiet pass counts nothing. Studies of the same space, budget, baseline and classes
    have the same reference point, and their volumes compare.

    Attributes:
        reference: The point.
        units: What costs are multiples of.
        over_trials: One entry for each ended trial, in the order in which they ended.
        note: Why there is none, if so.
    """

    reference: Reference | None = None
    units: Units | None = None
    over_trials: tuple[Won, ...] = ()
    note: str = ""

    @property
    def value(self) -> float | None:
        """By now."""
        return self.over_trials[-1].value if self.over_trials else None


def hypervolume(study: Study, found: tuple[Standing, ...], point: Reference | None = None, units: Units | None = None) -> Hypervolume:
    """The hypervolume over a study's trials.

    Args:
        study: Whose.
        found: Where its trials stand.
        point: The reference point; the study's own unless given.
        units: What costs are multiples of; the study's own baseline's unless given.
    """
    if len(study.objectives) > MOST_OBJECTIVES:
        return Hypervolume(note=f"for at most {MOST_OBJECTIVES} objectives, and this study has {len(study.objectives)}")
    units = units or baseline_units(found)
    if units is None or not any(_is_feasible(standing) for standing in found):
        return Hypervolume(note="there is no feasible trial yet")
    point = point or reference(study)
    return Hypervolume(reference=point, units=units, over_trials=_over_trials(study, found, point, units))


def baseline_units(found: tuple[Standing, ...]) -> Units | None:
    """The baseline's costs as far as they are known; none before its trial has started."""
    for standing in found:
        if standing.trial.is_baseline:
            trial = standing.trial
            return Units(
                costs=trial.predicted | trial.values | trial.measured, quiet=standing.throughput.median if standing.throughput else None
            )
    return None


def in_units(study: Study, standing: Standing, units: Units) -> dict[str, float]:
    """A trial's objectives as the hypervolume sees them: what is learned as it is, costs as multiples of the baseline's."""
    values = {
        name: value / (units.costs.get(name) or 1.0) if name not in LEARNED else value for name, value in standing.trial.values.items()
    }
    if "throughput" in values and standing.throughput and units.quiet:
        values["throughput"] = standing.throughput.median / units.quiet
    return values


def growing_front(study: Study, point: Reference) -> pareto.GrowingFront:
    """An empty front, to which trials are added as the hypervolume sees them, turned to minimise."""
    return pareto.GrowingFront(minimised(study, point.point))


def _over_trials(study: Study, found: tuple[Standing, ...], point: Reference, units: Units) -> tuple[Won, ...]:
    kept, spent = growing_front(study, point), Won(ended=0, trial=-1, value=0.0)
    won: list[Won] = []
    ended = sorted((s for s in found if s.place != "running"), key=lambda s: (s.trial.ended, s.number))
    for count, standing in enumerate(ended, start=1):
        if _is_feasible(standing):
            kept.add(minimised(study, in_units(study, standing, units)))
        # What was taken over from another study was paid for there.
        seconds = {} if standing.trial.imported else standing.trial.seconds
        spent = msgspec.structs.replace(
            spent,
            ended=count,
            trial=standing.number,
            value=kept.volume,
            train_seconds=spent.train_seconds + seconds.get("train", 0.0),
            seconds=spent.seconds + sum(seconds.values()),
        )
        won.append(spent)
    return tuple(won)


def _is_feasible(standing: Standing) -> bool:
    return standing.place in ("front", "dominated")
