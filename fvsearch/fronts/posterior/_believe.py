"""A posterior, computed; NumPy and SciPy come with it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.mixture import Mixture
from fvsearch.fronts.posterior._records import Belief, Posterior
from fvsearch.fronts.rungs import learned_objective
from fvsearch.fronts.standing import Standing, turned
from fvsearch.study import LEARNED, Study

FEWEST = 4
"""Values below which there is nothing to believe that the prior does not say."""

_DRAWS = 4000
"""Of all archs' values together, by which the front is seen to vary; to a percent or so."""


def believe(study: Study, found: Sequence[Standing], fresh: Mapping[str, Sequence[float]]) -> Posterior | None:
    """As `fvsearch.fronts.posterior.posterior`, of a study that has one."""
    learned = learned_objective(study)
    whole = [standing for standing in found if standing.trial.state == "completed" and learned in standing.values]
    early = [standing for standing in found if standing.place == "stopped" and learned in standing.values]
    if len(whole) < FEWEST:
        return None
    values = [_values(standing, learned, fresh) for standing in whole]
    observations = [_observation(study, learned, standing, known) for standing, known in zip(whole, values, strict=True)]
    observations += [Observation(s.trial.arch, turned(study, learned, s.values[learned]), 1, s.trial.epochs_done) for s in early]
    surrogate = Mixture(Encoder(study).evidence(observations))
    mean, covariance = (part[..., : len(whole)] for part in surrogate.observed())
    covariance = covariance[: len(whole)]
    low, high = surrogate.interval(mean, np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    chances = _chances(study, whole, mean, covariance)
    return Posterior(
        objective=learned,
        noise=surrogate.noise,
        trials={
            standing.number: _belief(study, learned, float(mean[row]), float(low[row]), float(high[row]), len(values[row]), chances[row])
            for row, standing in enumerate(whole)
        },
    )


def _observation(study: Study, learned: str, standing: Standing, values: Sequence[float]) -> Observation:
    """Of all trainings of an arch; how they differ is known where each has a value of its own."""
    scatter = None if len(standing.trial.repeats) > 1 else float(np.var(values) * len(values))
    return Observation(standing.trial.arch, turned(study, learned, float(np.mean(values))), len(values), scatter=scatter)


def _values(standing: Standing, learned: str, fresh: Mapping[str, Sequence[float]]) -> list[float]:
    """Of each training of an arch; where a trial has no more than their mean, that as often."""
    return [standing.values[learned]] * max(1, len(standing.trial.repeats)) + list(fresh.get(standing.trial.arch_hash, ()))


def _belief(study: Study, learned: str, mean: float, low: float, high: float, trainings: int, chance: float | None) -> Belief:
    mean, *ends = (turned(study, learned, value) for value in (mean, low, high))
    # An accuracy has bounds that the surrogate does not know.
    bound = 1.0 if learned in ("top1", "top5") else np.inf
    lower, upper = (min(max(0.0, end), bound) for end in sorted(ends))
    return Belief(mean=min(max(0.0, mean), bound), low=lower, high=upper, trainings=trainings, on_front=chance)


def _chances(study: Study, whole: Sequence[Standing], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> list[float | None]:
    """How often each is on the front of those within budget, over draws of all values together."""
    within = [row for row, standing in enumerate(whole) if standing.place in ("front", "dominated")]
    found: list[float | None] = [None] * len(whole)
    if not within:
        return found
    costs = np.array(
        [[turned(study, o.name, whole[row].values[o.name]) for o in study.objectives if o.name not in LEARNED] for row in within]
    )
    roots, axes = np.linalg.eigh(covariance[np.ix_(within, within)])
    noise = np.random.default_rng(0).standard_normal((_DRAWS, len(within)))
    draws = mean[within] + noise @ (axes * np.sqrt(np.maximum(roots, 0.0))).T
    for column, row in enumerate(within):
        cheaper = (costs <= costs[column]).all(axis=1)
        cheaper[column] = False
        beaten = (draws[:, cheaper] < draws[:, [column]]).any(axis=1)
        found[row] = float(1 - beaten.mean())
    return found
