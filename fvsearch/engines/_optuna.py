"""The Optuna engine: NSGA-II, NSGA-III, TPE, a Gaussian process and random search, by Optuna's samplers.

TPE and a Gaussian process look at an in-memory study that the engine owns; NSGA-II and NSGA-III themselves keep what they need of what they
are told. Neither is the ledger: refused and repeated suggestions are told here and nowhere else.
"""

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from fvsearch.archs.space import Param
from fvsearch.engines._choices import Domains, choice_indices, chosen
from fvsearch.engines._genetic import RefusalAware, RefusalAwareNSGAII, RefusalAwareNSGAIII
from fvsearch.engines._seen import Seen
from fvsearch.engines.base import Completed, Done, Failed, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.errors import ConfigError
from fvsearch.pareto import minimise
from fvsearch.study import Direction, Proposer, Sampler

Distributions: TypeAlias = dict[str, BaseDistribution]

_ASKING = optuna.trial.create_trial(state=TrialState.RUNNING)
"""What a sampler that looks at no study is told of the trial it is asked for: nothing."""

FAILED = "failed"
"""The constraint that a failure violates, as badly as twice a budget would be; every other outcome has it at 0."""


class OptunaEngine:
    """Proposes by an Optuna sampler; never waits and never ends.

    Optuna sees the index of a choice, for it takes True and 1 for the same, and every param is categorical. Told as integers, so that it
    knows which are neighbours, NSGA-II would propose no differently and TPE searched worse: on landscapes of 12 params with 4 to 16 choices
    each, 3% to 45% of them feasible, its hypervolume was 9% smaller to 1% larger for up to five times the suggestions.

    Args:
        proposer: Names the sampler and its settings.
        domains: The choices of each param.
        directions: Of the objectives.
        seed: Of the sampler; with the outcomes told before the first `ask`, so that a resumed search does not begin its suggestions again.
        constraints: Names of those that outcomes may have; others are learned of as they are told.
    """

    def __init__(
        self, proposer: Proposer, domains: Domains, directions: Sequence[Direction], seed: int, constraints: Iterable[str] = ()
    ) -> None:
        self._proposer, self._directions, self._seed = proposer, tuple(directions), seed
        self._choices = dict(domains)
        self._distributions: Distributions = {path: CategoricalDistribution(range(len(choices))) for path, choices in domains.items()}
        self._study = self._new_study(RandomSampler())
        self._seeded = False
        self._early: list[FrozenTrial] = []
        self._asked: dict[tuple[int, ...], list[optuna.Trial]] = {}
        self._told = Seen()
        self._constraints = dict.fromkeys(constraints, 0.0)
        self._seen: list[tuple[float, ...]] = []

    def ask(self) -> Suggestion | Wait | Done:
        """The sampler's next suggestion; it may repeat an earlier one."""
        if not self._seeded:
            self._seeded = True
            seed = random.Random(f"{self._seed}/{len(self._told)}").getrandbits(32)
            with _quiet():
                self._study.sampler = SAMPLERS[self._proposer.sampler](self._proposer, self._distributions, len(self._directions), seed)
                for told in self._early:
                    self._learn(told)
                self._early.clear()
        indices = self._drawn() if self._forgets else self._asked_of_study()
        return Suggestion(params=chosen(self._choices, indices))

    def _drawn(self) -> tuple[int, ...]:
        """What the sampler draws, which keeps what it needs: the study holds nothing, and costs nothing."""
        study, sampler = self._study, self._study.sampler
        found = sampler.sample_relative(study, _ASKING, sampler.infer_relative_search_space(study, _ASKING))
        return tuple(
            found[path] if path in found else sampler.sample_independent(study, _ASKING, path, distribution)
            for path, distribution in self._distributions.items()
        )

    def _asked_of_study(self) -> tuple[int, ...]:
        with _quiet():
            trial = self._study.ask(self._distributions)
        # Asked for once: it is a copy each time.
        params = trial.params
        indices = tuple(params[path] for path in self._choices)
        self._asked.setdefault(indices, []).append(trial)
        return indices

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of an arch, whether suggested here or not; told again, it changes nothing.

        Raises:
            ConfigError: The params are not of these domains, or the values not one an objective.
        """
        indices = choice_indices(self._choices, params)
        if indices not in self._told:
            self._hear_of(outcome)
        asked = self._asked.pop(indices, [])
        trial = asked.pop(0) if asked and indices not in self._told else None
        for copy in asked:
            # Not told as COMPLETE: a generation that fills with copies of one arch would breed from copies.
            self._study.tell(copy, state=TrialState.FAIL)
        if indices in self._told:
            return
        values, constraints = self._values(outcome), self._violations(outcome)
        self._told.add(indices)
        if trial is not None:
            for name, value in constraints.items():
                trial.set_constraint(name, value)
            self._study.tell(trial, values)
        else:
            named = dict(zip(self._choices, indices, strict=True))
            self._learn(optuna.create_trial(values=values, params=named, distributions=self._distributions, constraints=constraints))

    def _learn(self, trial: FrozenTrial) -> None:
        """Let the sampler know of a trial that the study does not hold; before there is a sampler, keep it for it."""
        sampler = self._study.sampler
        if not self._seeded:
            self._early.append(trial)
        elif isinstance(sampler, RefusalAware):
            sampler.learn(trial)
        elif not self._forgets:
            self._study.add_trial(trial)

    @property
    def _forgets(self) -> bool:
        """Whether the sampler looks at no study: it remembers what it is told itself, or draws at random."""
        return isinstance(self._study.sampler, RefusalAware | RandomSampler)

    def _new_study(self, sampler: BaseSampler) -> optuna.Study:
        """An empty study, everything turned to minimise: NSGA-III mistakes the least value for the best whatever the direction."""
        with _quiet():
            return optuna.create_study(directions=["minimize"] * len(self._directions), sampler=sampler)

    def _hear_of(self, outcome: Outcome) -> None:
        """Where an outcome has a constraint that is new, Gaussian processes need it of every earlier trial too: as met."""
        names = outcome.constraints.keys() if isinstance(outcome, Completed | Infeasible) else ()
        new = dict.fromkeys((name for name in names if name not in self._constraints), 0.0)
        self._constraints |= new
        if new and self._told and self._proposer.sampler == "gp":
            before, self._study = self._study, self._new_study(self._study.sampler)
            self._study.add_trials(_with_constraints(trial, new) for trial in before.get_trials() if trial.state.is_finished())
            self._early = [_with_constraints(trial, new) for trial in self._early]
            # What was asked for and not told is in the old study; once told, it is added like any trial that was not asked for here.
            self._asked.clear()

    def _values(self, outcome: Outcome) -> list[float]:
        """The outcome's values, turned so that less is better; where it has none, finite ones worse than all seen.

        Of an arch stopped at a rung these are its values there: it has fallen behind, and the samplers should know where.
        """
        if isinstance(outcome, Completed | Stopped):
            if len(outcome.values) != len(self._directions):
                raise ConfigError(
                    "an outcome must have one value for each objective, "
                    f"but got {len(outcome.values)} values and {len(self._directions)} directions"
                )
            turned = minimise(outcome.values, self._directions)
            seen = self._seen or [(x, x) for x in turned]
            self._seen = [(min(best, x), max(worst, x)) for (best, worst), x in zip(seen, turned, strict=True)]
            return list(turned)
        return [worst + ((worst - best) or max(1.0, abs(worst))) for best, worst in self._seen] or [1.0] * len(self._directions)

    def _violations(self, outcome: Outcome) -> dict[str, float]:
        """Every constraint heard of so far: samplers want all of them of each trial, in one order."""
        told = dict(outcome.constraints) if isinstance(outcome, Completed | Infeasible) else {}
        return {FAILED: float(isinstance(outcome, Failed))} | self._constraints | told


def _with_constraints(trial: FrozenTrial, new: dict[str, float]) -> FrozenTrial:
    if trial.values is None:
        return trial
    constraints = trial.constraints | new
    return optuna.create_trial(values=trial.values, params=trial.params, distributions=trial.distributions, constraints=constraints)


def _nsga2(proposer: Proposer, space: Distributions, objectives: int, seed: int) -> BaseSampler:
    return RefusalAwareNSGAII(population=proposer.population, space=space, seed=seed)


def _nsga3(proposer: Proposer, space: Distributions, objectives: int, seed: int) -> BaseSampler:
    return RefusalAwareNSGAIII(population=proposer.population, objectives=objectives, space=space, seed=seed)


def _tpe(proposer: Proposer, space: Distributions, objectives: int, seed: int) -> BaseSampler:
    return TPESampler(multivariate=True, group=True, seed=seed)


def _gp(proposer: Proposer, space: Distributions, objectives: int, seed: int) -> BaseSampler:
    """Expected hypervolume improvement by one Gaussian process for each objective and each constraint.

    Where the others take milliseconds, a suggestion takes 0.45 s with 20 outcomes told and 0.64 s with 100, for two objectives and one
    budget; for three objectives 0.66 s and 1.4 s (CPU time on one core of an AMD EPYC, 13 params, optuna 5.0.0, torch 2.13.0:
    benchmarks/samplers.py). Refused suggestions are told too, so they count.
    """
    return GPSampler(seed=seed, warn_independent_sampling=False)


def _random(proposer: Proposer, space: Distributions, objectives: int, seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


SAMPLERS: dict[Sampler, Callable[[Proposer, Distributions, int, int], BaseSampler]] = {
    "nsga2": _nsga2,
    "nsga3": _nsga3,
    "tpe": _tpe,
    "gp": _gp,
    "random": _random,
}
"""By the name in a study, from its settings, the distributions, how many objectives there are, and the seed."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing from Optuna about settings still called experimental, nor of a Gaussian process that has nothing left to find."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"optuna\._gp")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
