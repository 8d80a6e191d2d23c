"""Between engine and pool: a suggestion is predicted before it is trained; one over budget, or seen, is told back and asked again."""

import random
from collections import defaultdict
from collections.abc import Sequence

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Params
from fvsearch.costs.feasibility import spread_over_memory, unseen_feasible
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.base import Done, Engine, Expects, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.errors import ConfigError
from fvsearch.records import Record
from fvsearch.search.outcomes import Outcomes
from fvsearch.study import Study
from fvsearch.study.budgets import is_met

MAX_REFUSALS = 200
"""Suggestions refused in a row before an unseen feasible arch is drawn instead: no engine can hold a search up."""

MAX_REFUSALS_OF = {"gp": 5}
"""The same of Optuna's samplers that take a second for each. Gaussian processes suggest an arch dozens of times over, under other params of
stages that it does not have."""


class Candidate(Record, frozen=True, kw_only=True):
    """An arch that may be trained: within budget as predicted, and new, or paused before the epochs that its engine now asks for.

    Attributes:
        predicted: As Predictor.costs.
        epochs: To train it for; none is to the end.
    """

    params: Params
    arch: Arch
    predicted: dict[str, float]
    epochs: int | None = None


class Screen:
    """Asks an engine until it has something worth training.

    A suggestion that breaks a rule of the space is repaired. The engine is told of it under the params that it suggested; whoever trains
    the arch keeps the params of the repaired one, which is also what the engine is told on resume.

    Args:
        study: Whose archs and budget.
        engine: Who proposes.
        predictor: Of costs.
        warm_starts: Archs to try first, then the study's own starts.

    Attributes:
        refused: Suggestions that were over budget, so far.
        repeated: Suggestions that had been evaluated or dispatched before, so far.
        skipped: Warm starts that are over budget as predicted, so not tried.
    """

    def __init__(self, study: Study, engine: Engine, predictor: Predictor, warm_starts: Sequence[Arch] = ()) -> None:
        self.refused = 0
        self.repeated = 0
        self.skipped = tuple(arch for arch in warm_starts if not predictor.meets(arch))
        self._study = study
        self._engine = engine
        self._predictor = predictor
        self._outcomes = Outcomes()
        self._repeats: defaultdict[str, list[Params]] = defaultdict(list)
        self._suggested: dict[str, Params] = {}
        self._max_refusals = MAX_REFUSALS_OF.get(study.engine.sampler, MAX_REFUSALS) if study.engine.name == "optuna" else MAX_REFUSALS
        # The front engine spreads its starts itself, for it counts what else was evaluated.
        count = study.engine.num_starts if study.engine.name != "front" else 0
        spread = spread_over_memory(study, predictor, count) if count else []
        self._starts = [*(arch for arch in warm_starts if arch not in self.skipped), *spread]

    def dispatch(self, arch: Arch) -> None:
        """Remember that an arch is being evaluated."""
        self._outcomes[arch.arch_hash] = None
        if isinstance(self._engine, Expects) and (params := _params_within(self._study, arch)):
            self._engine.expect(params)

    def tell(self, params: Params, arch: Arch, outcome: Outcome) -> None:
        """Pass an evaluated arch's outcome on to the engine, also for every time it was suggested again meanwhile."""
        key = arch.arch_hash
        self._outcomes[key] = outcome
        suggested = self._suggested.pop(key, params)
        for told in ([suggested] if suggested else []) + self._repeats.pop(key, []):
            self._engine.tell(told, outcome)

    def next(self) -> Candidate | Wait | Done:
        """The next arch worth training: starts first; Done when the engine has no more, or nothing feasible is left unseen."""
        for arch in self._starts:
            if arch.arch_hash not in self._outcomes:
                return self._candidate(arch)
        for _ in range(self._max_refusals):
            suggestion = self._engine.ask()
            if not isinstance(suggestion, Suggestion):
                return suggestion
            params, arch = self._resolve(suggestion.params)
            key = arch.arch_hash
            predicted = self._predictor.costs(arch)
            if key in self._outcomes and not _goes_on(suggestion, self._outcomes[key]):
                self._tell_again(key, suggestion.params)
                continue
            broken = self._predictor.violations(predicted)
            if key not in self._outcomes and not is_met(broken):
                self.refused += 1
                self._engine.tell(suggestion.params, Infeasible(constraints=broken))
                continue
            self._suggested[key] = suggestion.params
            return Candidate(params=params, arch=arch, predicted=predicted, epochs=suggestion.epochs)
        return self._draw()

    def _resolve(self, params: Params) -> tuple[Params, Arch]:
        """What is suggested, repaired where it breaks a rule of the space, and its arch."""
        space = self._study.space
        if space is None:
            return params, self._study.engine.archs[int(params["index"])]
        params = space.repair(params)
        return params, space.arch(params)

    def _tell_again(self, key: str, params: Params) -> None:
        self.repeated += 1
        outcome = self._outcomes[key]
        if outcome is None:
            self._repeats[key].append(params)
        else:
            self._engine.tell(params, outcome)

    def _draw(self) -> Candidate | Done:
        """An unseen feasible arch, the same one for the same seed and history."""
        rng = random.Random(f"{self._study.seed}:{len(self._outcomes)}")
        arch = unseen_feasible(self._study, self._predictor, self._outcomes, rng)
        if arch is None:
            return Done(reason="nothing within budget is left that was not tried")
        return self._candidate(arch)

    def _candidate(self, arch: Arch) -> Candidate:
        return Candidate(params=params_of(self._study, arch), arch=arch, predicted=self._predictor.costs(arch))


def _params_within(study: Study, arch: Arch) -> Params | None:
    """The params of an arch; none where it is not of the study's space or list, as a baseline need not be."""
    try:
        return params_of(study, arch)
    except ConfigError:
        return None


def params_of(study: Study, arch: Arch) -> Params:
    """The params of an arch of the study's space, or its index in the study's list.

    Raises:
        ConfigError: It is of neither; the message says why.
    """
    if study.space is not None:
        return study.space.params(arch)
    hashes = [listed.arch_hash for listed in study.engine.archs]
    if arch.arch_hash not in hashes:
        raise ConfigError("the arch is not in the study's list")
    return {"index": hashes.index(arch.arch_hash)}


def _goes_on(suggestion: Suggestion, outcome: Outcome | None) -> bool:
    """Whether an engine that spends epochs by its own rule asks for more of a paused arch."""
    return isinstance(outcome, Stopped) and suggestion.epochs is not None and suggestion.epochs > outcome.epochs
