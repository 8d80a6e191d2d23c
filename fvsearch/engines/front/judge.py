"""What each arch is expected to add to the front, given what became of others: where all that the engine knows comes together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fvsearch.arch import Arch
from fvsearch.engines.base import Completed, Costs, Failed, Infeasible, Outcome, Stopped
from fvsearch.engines.front.acquisition import Front
from fvsearch.engines.front.axes import Axes
from fvsearch.engines.front.candidates import Candidates, Numbers, known_costs, known_violations
from fvsearch.engines.front.errors import Errors, Measured, chance_to_meet, corrected, excess
from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.surrogate import Inputs, Surrogate, nearness
from fvsearch.study import CHANCE, LEARNED, Study


class Told(NamedTuple):
    """An arch and what became of it."""

    arch: Arch
    outcome: Outcome


class Judge:
    """Judges archs by expected hypervolume improvement, times the chance that they can be trained within the budget.

    Args:
        study: Its objectives.
        costs: Who predicts.
        encoder: Of its archs.
        axes: Of its costs.
        told: What is known, in an order that does not depend on when it was told; at least one value.
        pending: Archs that are being trained: they count as if they came out at their posterior means.
    """

    def __init__(self, study: Study, costs: Costs, encoder: Encoder, axes: Axes, told: Sequence[Told], pending: Sequence[Arch]) -> None:
        self._study, self._costs, self._encoder, self._axes = study, costs, encoder, axes
        self._learned = next(index for index, objective in enumerate(study.objectives) if objective.name in LEARNED)
        self._sign = -1.0 if study.objectives[self._learned].direction == "maximize" else 1.0
        values = [one for one in told if isinstance(one.outcome, Completed | Stopped)]
        self._surrogate = Surrogate(encoder.evidence([self._observation(one) for one in values]))
        if pending:
            self._surrogate = self._surrogate.given_means(encoder.inputs(encoder.archs(pending)))
        self._front = self._improved(values, pending)
        self._errors = self._learn_errors(told)
        self._failed = self._inputs([one.arch for one in told if isinstance(one.outcome, Failed)])
        self._trained = self._inputs([one.arch for one in values])

    def gains(self, candidates: Candidates, inputs: Inputs) -> tuple[Numbers, Numbers]:
        """What each is expected to add to the front, and how uncertain its value is: (candidates,) both.

        Args:
            candidates: To judge.
            inputs: (candidates, features) of them.
        """
        mean, deviation = self._surrogate.posterior(inputs)
        costs = self._axes(corrected(candidates.costs, self._errors, inputs), len(candidates))
        gains = self._front.expected_improvement(mean, deviation, costs)
        gains *= chance_to_meet(self._errors, candidates.violations, inputs)
        if len(self._failed):
            # By how trainings near it went, and one before them that went well.
            bad, good = nearness(inputs, self._failed), nearness(inputs, self._trained)
            gains *= (1 + good) / (1 + good + bad)
        return gains, deviation

    def _inputs(self, archs: Sequence[Arch]) -> Numbers:
        return self._encoder.inputs(self._encoder.archs(archs))

    def _observation(self, told: Told) -> Observation:
        """What the surrogate learns from."""
        arch, outcome = told
        assert isinstance(outcome, Completed | Stopped), "what has values"
        epochs = outcome.epochs if isinstance(outcome, Stopped) else None
        # A rung ends an arch in its first training.
        return Observation(arch, self._sign * outcome.values[self._learned], self._study.repeats if epochs is None else 1, epochs)

    def _improved(self, told: Sequence[Told], pending: Sequence[Arch]) -> Front:
        """What an improvement is measured against: archs that were trained, or soon are, each at its posterior mean.

        Args:
            told: What has values, in the order in which the surrogate has it.
            pending: What it has after them.
        """
        mean, _ = self._surrogate.observed()
        archs = self._encoder.archs([*(one.arch for one in told), *pending])
        costs = known_costs(archs, self._costs)
        for row, (_, outcome) in enumerate(told):
            if isinstance(outcome, Completed):
                for objective, value in zip(self._study.objectives, outcome.values, strict=True):
                    if objective.name in self._axes.names:
                        costs[objective.name][row] = value
        whole = np.array([not isinstance(one.outcome, Stopped) for one in told] + [True] * len(pending))
        # From chance level, or from the worst there is where that is worse still.
        chance = self._sign * CHANCE[self._study.objectives[self._learned].name](self._study.data.num_classes)
        return Front(mean[whole], self._axes(costs, len(archs))[whole], max([chance, *mean.tolist()]), self._axes.limits)

    def _learn_errors(self, told: Sequence[Told]) -> dict[str, Errors]:
        """What measurements taught of predictions, by kind of budget."""
        measured = [(one.arch, one.outcome) for one in told if isinstance(one.outcome, Completed | Infeasible)]
        archs = self._encoder.archs([arch for arch, _ in measured])
        predicted = known_violations(self._costs, known_costs(archs, self._costs), len(archs))
        margins: Mapping[str, float] = getattr(self._costs, "margins", {})
        inputs = self._encoder.inputs(archs)
        found: dict[str, list[Measured]] = {kind: [] for kind in predicted}
        for row, (_, outcome) in enumerate(measured):
            for kind, violation in outcome.constraints.items():
                known = float(predicted[kind][row]) + margins.get(kind, 0.0) if kind in predicted else None
                found.setdefault(kind, []).append(Measured(inputs[row], excess(kind, violation, known)))
        return {kind: Errors(measured, predicted=kind in predicted) for kind, measured in found.items()}
