"""What each arch is expected to add to the front, given what became of others: where all that the engine knows comes together."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvsearch.archs.arch import Arch
from fvsearch.engines.base import Completed, Costs, Failed, Infeasible, Outcome, Stopped
from fvsearch.engines.front.acquisition import Front, Rows
from fvsearch.engines.front.axes import Axes
from fvsearch.engines.front.candidates import Candidates, Numbers, known_costs, known_violations
from fvsearch.engines.front.errors import Errors, Measured, chance_to_meet, corrected, excess
from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.surrogate import Inputs, Surrogate
from fvsearch.study import CHANCE, LEARNED, Study

_FAILING = "training"
"""What a failure breaks, as an overdrawn budget is broken."""


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

    Attributes:
        errors: Of predictions, by kind of budget, as measurements taught them.
        front: What an improvement is measured against.
    """

    def __init__(self, study: Study, costs: Costs, encoder: Encoder, axes: Axes, told: Sequence[Told], pending: Sequence[Arch]) -> None:
        self._study, self._costs, self._encoder, self._axes = study, costs, encoder, axes
        # Of a calibration: what is predicted over budget by less may be tried.
        self._margins: Mapping[str, float] = getattr(costs, "margins", {})
        self._learned = next(index for index, objective in enumerate(study.objectives) if objective.name in LEARNED)
        self._sign = -1.0 if study.objectives[self._learned].direction == "maximize" else 1.0
        values = [one for one in told if isinstance(one.outcome, Completed | Stopped)]
        self._surrogate = Surrogate(encoder.evidence([self._observation(one) for one in values]))
        if pending:
            self._surrogate = self._surrogate.given_means(encoder.inputs(encoder.archs(pending)))
        self.errors = self._learn_errors(told)
        self.front = self._improved(values, pending)

    def leaders(self, candidates: Candidates, inputs: Inputs, left: NDArray[np.bool_], count: int) -> tuple[Rows, Numbers]:
        """The candidates that are expected to add most to the front, best first, and how much; the least known where none adds anything.

        Args:
            candidates: To judge.
            inputs: (candidates, features) of them.
            left: (candidates,) that may be proposed; one at least.
            count: How many.
        """
        mean, deviation = self._surrogate.posterior(inputs)
        costs = self._axes(corrected(candidates.costs, self.errors, inputs), len(candidates))
        predicted = self._plain(candidates.violations)
        rows, gains = self.front.leaders(mean, deviation, costs, left * chance_to_meet(self.errors, predicted, inputs), count)
        if not len(rows):
            rows = np.argsort(np.where(left, -deviation, np.inf), kind="stable")[: min(count, int(left.sum()))]
            gains = np.zeros(len(rows))
        return rows, gains

    def _plain(self, violations: Mapping[str, Numbers]) -> dict[str, Numbers]:
        """Predicted violations by budget, (archs,), without what a calibration lets pass."""
        return {kind: violation + self._margins.get(kind, 0.0) for kind, violation in violations.items()}

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
        # Of what is pending as of what may be proposed; what was measured stands.
        costs = corrected(known_costs(archs, self._costs), self.errors, self._encoder.inputs(archs))
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
        """What measurements taught of predictions, by kind of budget; that trainings fail is one more, which nobody predicts."""
        archs = self._encoder.archs([one.arch for one in told])
        predicted = self._plain(known_violations(self._costs, known_costs(archs, self._costs), len(archs)))
        inputs = self._encoder.inputs(archs)
        found: dict[str, list[Measured]] = {kind: [] for kind in predicted}
        fails = any(isinstance(one.outcome, Failed) for one in told)
        for row, (_, outcome) in enumerate(told):
            if fails:
                found.setdefault(_FAILING, []).append(Measured(inputs[row], 1.0 if isinstance(outcome, Failed) else -1.0))
            for kind, violation in outcome.constraints.items() if isinstance(outcome, Completed | Infeasible) else ():
                margin, known = self._margins.get(kind, 0.0), float(predicted[kind][row]) if kind in predicted else None
                # A search tells throughput as predicted, within the margin, until the quiet pass: nothing was measured.
                if known is None or not margin or not math.isclose(known - margin, violation, rel_tol=1e-6, abs_tol=1e-9):
                    error = excess(kind, violation, known)
                    found.setdefault(kind, []).append(Measured(inputs[row], error))
        return {
            kind: Errors(measured, predicted=kind in predicted, margin=self._margins.get(kind, 0.0)) for kind, measured in found.items()
        }
