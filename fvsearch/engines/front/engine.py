"""The front engine: costs are known, so only accuracy is learned; it proposes the arch that the front is expected to gain most from.

Its state is a function of what it was told and what it has asked for that was not told yet: killed and told the same again, it proposes the
same.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fvsearch.arch import Arch
from fvsearch.engines.base import Completed, Costs, Done, Failed, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.engines.front import check_front
from fvsearch.engines.front.acquisition import Front
from fvsearch.engines.front.archs import Archs
from fvsearch.engines.front.axes import Axes
from fvsearch.engines.front.candidates import Candidates, Numbers, known_costs, known_violations, of_list, of_space
from fvsearch.engines.front.errors import Errors, Measured, chance_to_meet, corrected, excess
from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.surrogate import Inputs, Surrogate, nearness
from fvsearch.errors import ConfigError
from fvsearch.feasibility import Predictor
from fvsearch.space import Param, Params
from fvsearch.study import CHANCE, LEARNED, Study

RENEWED = 8
"""Outcomes after which a draw of a large space gives way to another."""

_NEAR = 0.02
"""Share of the candidates, the nearest to a start's cost, that the start is drawn from."""


class FrontEngine:
    """Proposes by expected hypervolume improvement over all archs that meet the budget as predicted.

    Args:
        study: Its space or list, its objectives and budget, and its engine's settings.
        costs: Who predicts; the formula unless given.

    Raises:
        ConfigError: The objectives are not one that is learned beside at most three costs.
    """

    def __init__(self, study: Study, costs: Costs | None = None) -> None:
        check_front(study.objectives)
        self._study, self._costs = study, costs or Predictor.unmeasured(study)
        self._learned = next(index for index, objective in enumerate(study.objectives) if objective.name in LEARNED)
        self._sign = -1.0 if study.objectives[self._learned].direction == "maximize" else 1.0
        # What starts are spread over, and draws of a large space.
        self._cost = next((objective.name for objective in study.objectives if objective.name not in LEARNED), "macs")
        self._told: dict[str, tuple[Arch, Outcome]] = {}
        self._pending: dict[str, Arch] = {}
        self._drawn: tuple[int, Candidates] | None = None
        self._seen: tuple[Candidates, Inputs] | None = None
        self._threads = ThreadpoolController()

    def ask(self) -> Suggestion | Wait | Done:
        """The arch that the front is expected to gain most from; Done when none is left that meets the budget as predicted."""
        # One thread: the other cores are the workers', and sums in another order might tip a choice.
        with self._threads.limit(limits=1):
            arch = self._choose()
        if arch is None:
            return Done(reason="every arch within budget as predicted was tried")
        self._pending[arch.arch_hash] = arch
        return Suggestion(params=self._params(arch))

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of an arch, whether suggested here or not; told again, only what more epochs told changes anything.

        Raises:
            ConfigError: The params are not of the space or the list, or the values not one an objective.
        """
        arch, count = self._arch(params), len(self._study.objectives)
        if isinstance(outcome, Completed | Stopped) and len(outcome.values) != count:
            raise ConfigError(
                f"an outcome must have one value for each objective, but got {len(outcome.values)} values and {count} objectives"
            )
        self._pending.pop(arch.arch_hash, None)
        before = self._told.get(arch.arch_hash)
        if before is None or _is_news(outcome, before[1]):
            self._told[arch.arch_hash] = arch, outcome

    def _arch(self, params: Mapping[str, Param]) -> Arch:
        if self._study.space is not None:
            return self._study.space.arch(params)
        index, count = params.get("index"), len(self._study.engine.archs)
        if set(params) != {"index"} or type(index) is not int or not 0 <= index < count:
            raise ConfigError(f"params of a list must be one `index` from 0 to {count - 1}, but got {dict(params)}")
        return self._study.engine.archs[index].canonical()

    def _params(self, arch: Arch) -> Params:
        if self._study.space is not None:
            return self._study.space.params(arch)
        return {"index": [listed.arch_hash for listed in self._study.engine.archs].index(arch.arch_hash)}

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self._study)

    def _candidates(self) -> Candidates:
        """All archs within budget as predicted, or a draw of them that is renewed now and then."""
        turn = len(self._told) // RENEWED
        if self._drawn is None or not (self._drawn[1].whole or self._drawn[0] == turn):
            if self._study.space is None:
                found = of_list(self._study.engine.archs, self._costs)
            else:
                found = of_space(self._study.space, self._costs, self._study.engine.candidates, self._cost, (self._study.seed, turn))
            self._drawn = turn, found
        return self._drawn[1]

    def _choose(self) -> Arch | None:
        """What to propose; none where everything is told or asked for."""
        candidates = self._candidates()
        known = [*(arch for arch, _ in self._told.values()), *self._pending.values()]
        left = ~np.isin(candidates.keys, self._encoder.archs(known).keys())
        if not left.any():
            return None
        seen = any(isinstance(outcome, Completed | Stopped) for _, outcome in self._told.values())
        starts = len(known) < self._study.engine.num_starts or not seen
        return candidates.archs.arch(self._start(candidates, left, known) if starts else self._best(candidates, left))

    def _start(self, candidates: Candidates, left: NDArray[np.bool_], known: Sequence[Arch]) -> int:
        """A random arch of the cost, of those that starts are spread over, that what is known lies farthest from."""
        position = np.log(candidates.costs[self._cost])
        targets = np.linspace(position.min(), position.max(), max(2, self._study.engine.num_starts))
        taken = np.log([self._costs.costs(arch)[self._cost] for arch in known])
        gaps = np.abs(targets[:, None] - taken[None, :]).min(axis=1, initial=np.inf)
        # Both ends first; of equal gaps the cheapest, which is soonest told.
        gaps[[0, -1]] *= 2
        rows = np.flatnonzero(left)
        near = rows[np.argsort(np.abs(position[rows] - targets[np.argmax(gaps)]), kind="stable")[: max(1, round(_NEAR * len(rows)))]]
        return int(near[random.Random(f"{self._study.seed}/{len(known)}").randrange(len(near))])

    def _best(self, candidates: Candidates, left: NDArray[np.bool_]) -> int:
        """The arch that the front is expected to gain most from."""
        axes, inputs, errors = Axes(self._study.objectives, candidates.costs), self._inputs(candidates), self._errors()
        surrogate = Surrogate(self._encoder.evidence(self._observations()))
        if self._pending:
            surrogate = surrogate.given_means(self._encoder.inputs(self._waiting()))
        mean, deviation = surrogate.posterior(inputs)
        costs = axes(corrected(candidates.costs, errors, inputs), len(candidates))
        gains = self._front(surrogate, axes).expected_improvement(mean, deviation, costs)
        gains *= chance_to_meet(errors, candidates.violations, inputs) * self._chance_to_train(inputs)
        gains[~left] = -1.0
        return int(np.argmax(gains if gains.max() > 0 else np.where(left, deviation, -1.0)))

    def _inputs(self, candidates: Candidates) -> Inputs:
        """(candidates, features), made once."""
        if self._seen is None or self._seen[0] is not candidates:
            # In half the bytes: of a million archs it is the largest thing here.
            self._seen = candidates, self._encoder.inputs(candidates.archs).astype(np.float32)
        return self._seen[1]

    def _waiting(self) -> Archs:
        """What was asked for and is not told yet."""
        return self._encoder.archs([self._pending[key] for key in sorted(self._pending)])

    def _observations(self) -> list[Observation]:
        """What the surrogate learns from, in an order that does not depend on when it was told."""
        found = []
        for key in sorted(self._told):
            arch, outcome = self._told[key]
            if isinstance(outcome, Completed | Stopped):
                epochs = outcome.epochs if isinstance(outcome, Stopped) else None
                trainings = self._study.repeats if epochs is None else 1
                found.append(Observation(arch, self._sign * outcome.values[self._learned], trainings, epochs))
        return found

    def _front(self, surrogate: Surrogate, axes: Axes) -> Front:
        """What an improvement is measured against: archs that were trained, or soon are, each at its posterior mean."""
        objectives, outcomes, trained = self._study.objectives, [], []
        for key in sorted(self._told):
            arch, outcome = self._told[key]
            if isinstance(outcome, Completed):
                trained.append(arch)
                outcomes.append(outcome.values)
        archs = self._encoder.archs([*trained, *(self._pending[key] for key in sorted(self._pending))])
        costs = known_costs(archs, self._costs)
        for row, values in enumerate(outcomes):
            for objective, value in zip(objectives, values, strict=True):
                if objective.name in axes.names:
                    costs[objective.name][row] = value
        mean, _ = surrogate.posterior(self._encoder.inputs(archs))
        # From chance level, or from the worst there is where that is worse still.
        chance = self._sign * CHANCE[objectives[self._learned].name](self._study.data.num_classes)
        return Front(mean, axes(costs, len(archs)), max([chance, *mean.tolist()]), axes.limits)

    def _errors(self) -> dict[str, Errors]:
        """What measurements taught of predictions, by kind of cost: of budgets, and of objectives that are costs."""
        told = [(arch, outcome) for _, (arch, outcome) in sorted(self._told.items()) if isinstance(outcome, Completed | Infeasible)]
        archs = self._encoder.archs([arch for arch, _ in told])
        costs = known_costs(archs, self._costs)
        predicted = known_violations(self._costs, costs, len(archs))
        margins = getattr(self._costs, "margins", {})
        inputs = self._encoder.inputs(archs)
        found: dict[str, list[Measured]] = {kind: [] for kind in predicted}
        for row, (_, outcome) in enumerate(told):
            for kind, violation in outcome.constraints.items():
                known = predicted[kind][row] + margins.get(kind, 0.0) if kind in predicted else None
                found.setdefault(kind, []).append(Measured(inputs[row], excess(kind, violation, known)))
        return {kind: Errors(measured, predicted=kind in predicted) for kind, measured in found.items()}

    def _chance_to_train(self, inputs: Inputs) -> Numbers | float:
        """(archs,) probability that a training does not fail, by how those near it went."""
        failed = [arch for _, (arch, outcome) in sorted(self._told.items()) if isinstance(outcome, Failed)]
        trained = [arch for _, (arch, outcome) in sorted(self._told.items()) if isinstance(outcome, Completed | Stopped)]
        if not failed:
            return 1.0
        bad, good = (nearness(inputs, self._encoder.inputs(self._encoder.archs(archs))) for archs in (failed, trained))
        return (1 + good) / (1 + good + bad)


def _is_news(outcome: Outcome, before: Outcome) -> bool:
    """Whether an outcome told of an arch again says more than the one before."""
    if not isinstance(before, Stopped):
        return False
    return not isinstance(outcome, Stopped) or outcome.epochs > before.epochs
