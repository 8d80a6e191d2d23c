"""FrontSampler: the front engine as an Optuna sampler, for whoever runs a search of their own over a space of ours."""

import math
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from fvsearch.archs.space import Param, Params
from fvsearch.engines.base import Completed, Costs, Failed, Infeasible, Outcome, Stopped, Suggestion
from fvsearch.engines.front.engine import FrontEngine
from fvsearch.errors import ConfigError
from fvsearch.study import Study

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


_PROPOSED = "fvsearch:proposed"
"""System attribute of a trial: params that were proposed for it."""


class FrontSampler(BaseSampler):
    """Proposes archs by expected hypervolume improvement where only one objective must be learned, for the costs of an arch are known.

    An objective function suggests every param of the space as a categorical of its choices, and returns the study's objectives in their
    order:

        study = fvsearch.load_study("quickstart")
        search = optuna.create_study(directions=[o.direction for o in study.objectives], sampler=fvsearch.FrontSampler(study))

        def objective(trial):
            params = {path: trial.suggest_categorical(path, choices) for path, choices in study.space.domains().items()}
            arch = study.space.arch(params)
            ...
            return accuracy, memory

    All that it knows it reads from the trials of the Optuna study, so it may resume any time and be in several processes at once; two that
    ask in the same moment may be given the same arch. What is over the budget as predicted it does not propose; constraints that a trial
    has (`trial.set_constraint("memory", measured / limit - 1)`) teach it how far predictions err. Params that are not of the space, all of
    them where another sampler fixes some, and archs once each was tried, are drawn at random.

    Args:
        study: Its space, objectives, budget and seed; its `engine` may set `starts` and `candidates`.
        costs: Who predicts what an arch costs; the study's formula unless given.
        seed: Instead of the study's.

    Raises:
        ConfigError: The study has no space, or objectives that are not one learned beside at most three costs.
    """

    def __init__(self, study: Study, costs: Costs | None = None, *, seed: int | None = None) -> None:
        if study.space is None:
            raise ConfigError("FrontSampler needs a study with a `space`, but it has a list of archs")
        self._choices = study.space.domains()
        study = study if seed is None else study.with_settings(seed=seed)
        self._study, self._costs, self._engine = study, costs, FrontEngine(study, costs)
        self._space: dict[str, BaseDistribution] = {path: CategoricalDistribution(found) for path, found in self._choices.items()}
        self._random = RandomSampler(seed=study.seed % 2**32)
        self._warned = False
        # Threads of one study share its sampler.
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """What it was made of, and where its draws are: all else it reads from the trials."""
        return type(self), (self._study, self._costs), {"_random": self._random}

    def reseed_rng(self) -> None:
        """For processes that were forked: what is drawn at random differs from then on; proposals follow from the trials."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The space's, whatever the trials so far had."""
        return dict(self._space)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The params of the arch that the front is expected to gain most from.

        Raises:
            ConfigError: The Optuna study's directions are not those of the objectives.
        """
        if search_space != self._space:
            return self._drawn(study, trial, search_space)
        self._require_directions(study)
        with self._lock:
            self._engine.forget()
            for other in study.get_trials(deepcopy=False):
                if other.number != trial.number:
                    self._tell(other)
            answer = self._engine.ask()
            self._warn_of_units()
            params: Params = answer.params if isinstance(answer, Suggestion) else self._drawn(study, trial, search_space)
            # What was enqueued is trained instead. Other processes, and this one, count it as taken from now on.
            study._storage.set_trial_system_attr(trial._trial_id, _PROPOSED, params | trial.system_attrs.get("fixed_params", {}))
        return dict(params)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """At random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _drawn(self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        return {name: self.sample_independent(study, trial, name, distribution) for name, distribution in search_space.items()}

    def _require_directions(self, study: optuna.Study) -> None:
        ours = [objective.direction for objective in self._study.objectives]
        theirs = [direction.name.lower() for direction in study.directions]
        if ours != theirs:
            names = ", ".join(objective.name for objective in self._study.objectives)
            raise ConfigError(
                f"the directions of the Optuna study must be {ours}, those of the objectives {names}, but got {theirs}; "
                "give `directions=[o.direction for o in study.objectives]` to create_study"
            )

    def _warn_of_units(self) -> None:
        """Once: a cost that trials have in another unit than it is predicted in misleads all proposals."""
        if self._warned or not (off := self._engine.far_off()):
            return
        self._warned = True
        times = " and ".join(f"{name} is {value:.2g} times as much" for name, value in off.items())
        warnings.warn(
            f"FrontSampler is misled: as trials have it, {times} as predicted (medians); return costs in the units that `costs` predict "
            "them in, which is bytes of memory unless they are your own",
            stacklevel=2,
        )

    def _tell(self, trial: FrozenTrial) -> None:
        """What became of a trial, or that it runs; one that suggested other params is no business of this sampler."""
        # What an objective does not suggest, for it changes nothing of the arch, is as it was proposed.
        params: dict[str, Param] = trial.system_attrs.get(_PROPOSED, {}) | trial.params
        if not all(path in params and params[path] in choices for path, choices in self._choices.items()):
            return
        params = {path: params[path] for path in self._choices}
        if trial.state in _FINISHED:
            self._engine.tell(params, self._outcome(trial))
        elif trial.state == TrialState.RUNNING:
            self._engine.expect(params)

    def _outcome(self, trial: FrozenTrial) -> Outcome:
        if trial.state == TrialState.COMPLETE and trial.values and all(map(math.isfinite, trial.values)):
            constraints = {name: value for name, value in trial.constraints.items() if math.isfinite(value)}
            if any(value > 0 for value in constraints.values()):
                return Infeasible(constraints=constraints)
            return Completed(values=tuple(trial.values), constraints=constraints)
        if trial.state == TrialState.PRUNED and len(self._study.objectives) == 1 and trial.intermediate_values:
            # Optuna prunes with one objective alone. Its steps count from 0.
            step, value = max(trial.intermediate_values.items())
            if math.isfinite(value):
                return Stopped(epochs=step + 1, values=(value,))
        return Failed(reason=f"the trial ended as {trial.state.name}")
