"""Predictor: an arch's costs for a study, before it is trained, and whether it may meet the study's budget."""

import math
from collections.abc import Mapping

from fvsearch.archs.arch import Arch
from fvsearch.costs.calibration import Calibration
from fvsearch.costs.conditions import FORMULA_MEMORY, FORMULA_STEP_TIME, Conditions, Items, Prices
from fvsearch.study import Study
from fvsearch.study.budgets import is_met, violations


class Predictor:
    """Predicts an arch's costs for a study: sums of its items, each at its price.

    Attributes:
        baseline: The baseline's predicted costs; relative budgets are multiples of them.
        margins: By budget, how far a prediction may break it and the arch be tried nevertheless, for so far may predictions err.
    """

    def __init__(
        self,
        study: Study,
        *,
        backend: str = "",
        memory: Prices = FORMULA_MEMORY,
        step_time: Prices = FORMULA_STEP_TIME,
        throughput: float = 1.0,
        margins: Mapping[str, float] | None = None,
    ) -> None:
        """By formula, unless other prices are given.

        Args:
            study: Whose archs and budget.
            backend: That they run on; empty where it is not known.
            memory: Bytes by item.
            step_time: By item, in any unit.
            throughput: Measured images/s of the baseline; without it, throughput is in multiples of the baseline's.
            margins: By budget; nothing else is zero.
        """
        self._study = study
        self._conditions = Conditions.of(study, backend)
        self._memory, self._step_time = memory, step_time
        self._pace = throughput * Items(self._conditions, study.baseline).total(step_time)
        self.margins = margins or {}
        self.baseline = self.costs(study.baseline)

    @classmethod
    def anchored(
        cls, study: Study, memory: float, throughput: float, *, backend: str = "", calibration: Calibration | None = None
    ) -> "Predictor":
        """With the constants that make the baseline's prediction its measurement.

        Args:
            study: Whose archs and budget.
            memory: Measured bytes of the baseline.
            throughput: Measured images/s of the baseline.
            backend: That the archs run on; empty where it is not known.
            calibration: Of this device; without one, the formula.
        """
        items = Items(Conditions.of(study, backend), study.baseline)
        if calibration is None:
            return cls(study, backend=backend, memory=items.formula_memory(memory), throughput=throughput)
        fitted = calibration.memory
        return cls(
            study,
            backend=backend,
            memory=items.scaled(fitted.prices, memory) if fitted.source == "regression" else items.formula_memory(memory),
            step_time=calibration.step_time.prices,
            throughput=throughput,
            margins=calibration.margins,
        )

    @classmethod
    def unmeasured(cls, study: Study, memory: Prices = FORMULA_MEMORY) -> "Predictor":
        """Before anything is measured: images/s are not known, so every arch meets an absolute throughput budget."""
        limit = study.budget.limits().get("throughput")
        return cls(study, memory=memory, throughput=1.0 if limit is None or limit.relative else math.inf)

    def costs(self, arch: Arch) -> dict[str, float]:
        """num_params, macs per image, memory in bytes and throughput of an arch."""
        items = Items(self._conditions, arch)
        return {
            "num_params": items.own.num_params,
            "macs": items.own.macs,
            "memory": items.total(self._memory),
            "throughput": self._pace / items.total(self._step_time),
        }

    def violations(self, costs: Mapping[str, float]) -> dict[str, float]:
        """How far predicted costs break the study's budget, the margin taken off; at most 0 may meet it."""
        found = violations(self._study.budget, costs, self.baseline)
        return {kind: value - self.margins.get(kind, 0.0) for kind, value in found.items()}

    @property
    def is_blind(self) -> bool:
        """Whether images/s are not known yet: then every arch meets a throughput budget."""
        return math.isinf(self._pace)

    def meets(self, arch: Arch) -> bool:
        """Whether an arch may meet the study's budget, as predicted."""
        return is_met(self.violations(self.costs(arch)))
