"""A search replayed on a landscape: the project's own engine and screen, and instead of trainings the landscape's answers."""

import functools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from _landscapes import Landscape, Numbers, inputs, landscape
from _table import table_study
from numpy.typing import NDArray

from fvsearch.arch import Arch
from fvsearch.budgets import is_met, violations
from fvsearch.engines import Completed, Done, Engine, Infeasible, Outcome, Suggestion, Wait, make_engine
from fvsearch.feasibility import Predictor
from fvsearch.pareto import front, hypervolume
from fvsearch.screening import Candidate, Screen, params_of
from fvsearch.space import Param, Params
from fvsearch.study import Proposer, Study
from fvsearch.volume import reference


class Searcher(NamedTuple):
    """Who searches.

    Attributes:
        proposer: Settings of the engine.
        refuses: Whether what is infeasible as predicted is refused before it is trained.
        starts: Trials spread over predicted memory before the engine is asked; the engine's own number unless given.
    """

    proposer: Proposer
    refuses: bool = True
    starts: int | None = None


SEARCHERS: dict[str, Searcher] = {
    **{sampler: Searcher(Proposer(sampler=sampler), refuses=False) for sampler in ("random", "nsga2", "tpe", "gp")},
    **{f"{sampler}+refusal": Searcher(Proposer(sampler=sampler)) for sampler in ("random", "nsga2", "tpe", "gp")},
    "tpe+refusal+starts": Searcher(Proposer(sampler="tpe"), starts=8),
    "front": Searcher(Proposer(name="front")),
    "spread": Searcher(Proposer(sampler="random"), starts=sys.maxsize),
}
"""By name; "spread" is archs spread over predicted memory, and no model."""


def replay(name: str, searcher: str, repeat: int, trials: int) -> list[float]:
    """Hypervolume of the front after each trial, over the optimum's: the front that the search sees, at its members' true values.

    Args:
        name: Of the landscape.
        searcher: Its name.
        repeat: Seeds the engine, and says which noise archs have.
        trials: The baseline's counted in.
    """
    land, who = landscape(name), SEARCHERS[searcher]
    study = _study(land, who, repeat, trials)
    predictor = Predictor(study, margins=None if who.refuses else dict.fromkeys(study.budget.limits(), math.inf))
    if study.engine.name == "listed":
        searched = table_study().with_settings(budget=study.budget, engine=who.proposer, seed=repeat)
        engine: Engine = FromList(make_engine(searched, predictor), searched, land.archs)
    else:
        engine = make_engine(study, predictor)
    screen = Screen(study, engine, predictor)
    score = Score(name)
    candidate: Candidate | Wait | Done = Candidate(
        params=params_of(study, study.baseline), arch=study.baseline, predicted=predictor.baseline
    )
    won: list[float] = []
    for _ in range(trials):
        if not isinstance(candidate, Candidate):
            break
        screen.dispatch(candidate.arch)
        outcome = _train(land, candidate, repeat, predictor)
        if isinstance(outcome, Completed):
            score.add(land.rows[candidate.arch.arch_hash], outcome.values)
        won.append(score.value)
        screen.tell(candidate.params, candidate.arch, outcome)
        candidate = screen.next()
    return won + won[-1:] * (trials - len(won))


def _study(land: Landscape, who: Searcher, repeat: int, trials: int) -> Study:
    """The landscape's, with the searcher's engine; of a list the engine "front" takes the list, the others search the space it is of."""
    proposer, archs = who.proposer, land.study.engine.archs
    if archs:
        proposer = msgspec.structs.replace(proposer, name="front" if proposer.name == "front" else "listed", archs=archs)
    if who.starts is not None:
        proposer = msgspec.structs.replace(proposer, starts=min(who.starts, trials))
    return land.study.with_settings(seed=repeat, trials=trials, engine=proposer)


def _train(land: Landscape, candidate: Candidate, repeat: int, predictor: Predictor) -> Outcome:
    """As a search is told: accuracy and memory as measured, throughput as predicted, for it is not measured beside other trainings."""
    row = land.rows[candidate.arch.arch_hash]
    told = {"memory": float(land.memory[row]), "throughput": candidate.predicted["throughput"]}
    broken = violations(land.study.budget, told, predictor.baseline)
    if not is_met(broken):
        return Infeasible(constraints=broken)
    values = {"top1": land.observed(row, repeat)} | told
    return Completed(values=tuple(values[objective.name] for objective in land.study.objectives), constraints=broken)


class Score:
    """The front that a search sees, as trials end, and what its members are worth in truth.

    Args:
        name: Of the landscape.

    Attributes:
        value: Hypervolume, over the optimum's.
    """

    def __init__(self, name: str) -> None:
        self._scale, self._optimum, self._true = scale(name), optimum(name), true_points(name)
        self._seen: list[tuple[float, ...]] = []
        self._rows: list[int] = []
        self.value = 0.0

    def add(self, row: int, values: Sequence[float]) -> None:
        """A trial has ended with these values, in the objectives' order."""
        point = tuple(self._scale.points(np.array([values]))[0].tolist())
        if any(all(a <= b for a, b in zip(seen, point, strict=True)) for seen in self._seen):
            return
        self._seen.append(point)
        self._rows.append(row)
        kept = front(self._seen)
        self._seen, self._rows = [self._seen[i] for i in kept], [self._rows[i] for i in kept]
        self.value = hypervolume(self._true[self._rows].tolist(), self._scale.reference) / self._optimum


class Scale(NamedTuple):
    """How objectives are counted: less is better, costs in multiples of the baseline's, or their logarithms.

    Attributes:
        units: (objectives,) what values are divided by.
        logarithmic: (objectives,) which are counted by their logarithm.
        signs: (objectives,) -1 where more is better.
        reference: As the project's hypervolume has it: having learned nothing, at the most that may be spent.
    """

    units: Numbers
    logarithmic: list[bool]
    signs: Numbers
    reference: list[float]

    def points(self, values: Numbers) -> Numbers:
        """(n, objectives) of raw values (n, objectives)."""
        found = values / self.units
        found[:, self.logarithmic] = np.log(found[:, self.logarithmic])
        return np.asarray(found * self.signs)


@functools.cache
def scale(name: str) -> Scale:
    """Of a landscape."""
    land = landscape(name)
    names = [objective.name for objective in land.study.objectives]
    baseline = Predictor(land.study).baseline
    logarithmic = [land.logarithmic and objective != "top1" for objective in names]
    signs = np.array([-1.0 if objective.direction == "maximize" else 1.0 for objective in land.study.objectives])
    unscaled = Scale(np.array([1.0 if name == "top1" else baseline[name] for name in names]), logarithmic, signs, [])
    worst = reference(land.study).point
    point = np.array([[worst[name] * unit for name, unit in zip(names, unscaled.units, strict=True)]])
    return unscaled._replace(reference=unscaled.points(point)[0].tolist())


@functools.cache
def true_points(name: str) -> Numbers:
    """(archs, objectives) of a landscape, to minimise."""
    land = landscape(name)
    values = {"top1": land.top1, "memory": land.memory, "throughput": land.throughput}
    return scale(name).points(np.column_stack([values[objective.name] for objective in land.study.objectives]))


@functools.cache
def optimum(name: str) -> float:
    """Hypervolume of the true front of all that is feasible in truth."""
    points = true_points(name)
    kept: list[int] = []
    for row in sorted(np.flatnonzero(_feasible(name)).tolist(), key=lambda row: tuple(points[row])):
        if not (points[kept] <= points[row]).all(axis=1).any():
            kept.append(row)
    return hypervolume(points[kept].tolist(), scale(name).reference)


def feasible_share(name: str) -> float:
    """Share of a landscape's archs that meet the budget in truth."""
    return float(_feasible(name).mean())


def _feasible(name: str) -> NDArray[np.bool_]:
    """(archs,) which meet the budget in truth."""
    land = landscape(name)
    baseline = Predictor(land.study).baseline
    return np.array([is_met(violations(land.study.budget, {"memory": memory}, baseline)) for memory in land.memory.tolist()])


class FromList:
    """An engine that searches a space, where only the archs of a list can be had: the nearest one that is not told yet is taken instead.

    The engine is told of it under the params that it suggested, as it is of what a space's rules repair.

    Args:
        engine: That proposes.
        study: Of the space.
        archs: The list.
    """

    def __init__(self, engine: Engine, study: Study, archs: Sequence[Arch]) -> None:
        assert study.space is not None
        self._engine, self._study, self._space, self._archs = engine, study, study.space, archs
        self._inputs = inputs(study, archs)
        self._suggested: dict[int, Params] = {}
        self._left = np.ones(len(archs), bool)

    def ask(self) -> Suggestion | Wait | Done:
        """The nearest to what the engine suggests, by the sum of differences of params as shares of the greatest."""
        if not self._left.any():
            return Done(reason="all archs of the list were tried")
        answer = self._engine.ask()
        if not isinstance(answer, Suggestion):
            return answer
        (wanted,) = inputs(self._study, [self._space.arch(answer.params)])
        distance = np.abs(self._inputs - wanted).sum(axis=1)
        index = int(np.argmin(np.where(self._left, distance, np.inf)))
        self._suggested[index] = answer.params
        return Suggestion(params={"index": index})

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of one of the list."""
        index = int(params["index"])
        self._left[index] = False
        self._engine.tell(self._suggested.pop(index, self._space.params(self._archs[index])), outcome)
