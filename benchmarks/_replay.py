"""A search replayed on a landscape: the project's own engine and screen, and instead of trainings the landscape's answers."""

import contextlib
import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import msgspec
from _from_list import FromList
from _landscapes import LANDSCAPES, Landscape, drawn, landscape, table
from _oracle import Oracle
from _scores import Score
from _variants import CHANGES

from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Done, Engine, Infeasible, Outcome, Wait, make_engine
from fvsearch.search.screening import Candidate, Screen, params_of
from fvsearch.study import Proposer, Study
from fvsearch.study.budgets import is_met, violations

DRAWN = 5_000
"""Archs of some hundred and fifty thousand that "front-drawn" has in view: such a share as it has of a space of three million."""


class Searcher(NamedTuple):
    """Who searches.

    Attributes:
        proposer: Settings of the engine.
        refuses: Whether what is infeasible as predicted is refused before it is trained.
        starts: Trials spread over predicted memory before the engine is asked; the engine's own number unless given.
        slow: Whether a suggestion takes a second, so that as many trials as others have are not worth it.
        knows: Whether it knows the truth, so that no noise and no seed makes a difference.
        changed: What the engine is changed by while it searches.
    """

    proposer: Proposer
    refuses: bool = True
    starts: int | None = None
    slow: bool = False
    knows: bool = False
    changed: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


SEARCHERS: dict[str, Searcher] = {
    **{sampler: Searcher(Proposer(name="optuna", sampler=sampler), refuses=False) for sampler in ("random", "nsga2", "tpe")},
    "gp": Searcher(Proposer(name="optuna", sampler="gp"), refuses=False, slow=True),
    **{f"{sampler}+refusal": Searcher(Proposer(name="optuna", sampler=sampler)) for sampler in ("random", "nsga2", "tpe")},
    "gp+refusal": Searcher(Proposer(name="optuna", sampler="gp"), slow=True),
    "tpe+refusal+starts": Searcher(Proposer(name="optuna", sampler="tpe"), starts=8),
    "spread": Searcher(Proposer(name="optuna", sampler="random"), starts=sys.maxsize),
    "front": Searcher(Proposer(name="front")),
    **{name: Searcher(Proposer(name="front"), changed=changed) for name, changed in CHANGES.items()},
    "front-drawn": Searcher(Proposer(name="front", candidates=DRAWN)),
    "oracle": Searcher(Proposer(name="front"), refuses=False, knows=True),
}
"""By name; "spread" is archs spread over predicted memory, and no model."""


def most(name: str, searcher: str) -> int:
    """Trials of a replay at most; a whole space takes longest."""
    return sys.maxsize if not SEARCHERS[searcher].slow else 33 if LANDSCAPES[name][1] == "table" else 16


def replay(name: str, searcher: str, repeat: int, trials: int) -> dict[str, list[float]]:
    """Hypervolume after each trial, over the optimum's, by what counts as found: `Score.found`.

    Args:
        name: Of the landscape.
        searcher: Its name.
        repeat: Seeds the engine, and says which noise archs have.
        trials: The baseline's counted in.
    """
    trials, name, who = min(trials, most(name, searcher)), drawn(name, repeat), SEARCHERS[searcher]
    with who.changed():
        found = _replay(name, who, repeat, trials)
    if who.knows:
        found["seen"] = found["trained"]
    # What has nothing left to try has found what there is.
    return {what: won + won[-1:] * (trials - len(won)) for what, won in found.items()}


def _replay(name: str, who: Searcher, repeat: int, trials: int) -> dict[str, list[float]]:
    """As `replay`, as long as there is something to try."""
    land = landscape(name)
    study = _study(land, who, repeat, trials)
    predictor = Predictor(study, margins=None if who.refuses else dict.fromkeys(study.budget.limits(), math.inf))
    screen = Screen(study, _engine(name, land, who, study, predictor), predictor)
    score = Score(name, believes=study.engine.name == "front" and not who.knows)
    candidate: Candidate | Wait | Done = Candidate(
        params=params_of(study, study.baseline), arch=study.baseline, predicted=predictor.baseline
    )
    for _ in range(trials):
        if not isinstance(candidate, Candidate):
            break
        screen.dispatch(candidate.arch)
        outcome = _train(land, candidate, repeat, predictor)
        if isinstance(outcome, Completed):
            score.add(land.rows[candidate.arch.arch_hash], outcome.values)
        score.close()
        screen.tell(candidate.params, candidate.arch, outcome)
        candidate = screen.next()
    return score.found


def _engine(name: str, land: Landscape, who: Searcher, study: Study, predictor: Predictor) -> Engine:
    """The searcher's, of a study as `_study` makes it."""
    if who.knows:
        return Oracle(name, land)
    if study.engine.name == "listed":
        searched = table(land.table).study.with_settings(budget=study.budget, engine=who.proposer, seed=study.seed)
        return FromList(make_engine(searched, predictor), searched, land.archs)
    return make_engine(study, predictor)


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
