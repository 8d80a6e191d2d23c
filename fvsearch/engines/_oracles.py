"""KerasTuner's oracles as an engine drives them: in memory, silent, told scores to minimise, never ended by what cannot be trained.

The one module of a search that imports keras, for KerasTuner does; what computes here is NumPy, so no device is looked for or taken.
What is overridden is where KerasTuner writes files, counts failures, or takes a space for exhausted; how an oracle chooses is its own.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle, HyperbandOracle, RandomSearchOracle
from scipy.linalg import solve_triangular
from sklearn.gaussian_process import GaussianProcessRegressor
from threadpoolctl import ThreadpoolController

from fvsearch.records import Record

Values = dict[str, Any]
"""A hyperparameter's value by its name; Hyperband adds its own, whose names begin with "tuner/"."""

COLLISIONS = 1000
"""Random draws in a row that were proposed before, after which a space counts as exhausted; KerasTuner's 20 leave a tenth of it."""

REMEMBERED = 150
"""Archs without a score that the Gaussian process is told of, the latest: its cost grows with the cube of what it is told."""

SAMPLE = 100
"""Archs of which the Gaussian process takes the best where its optimum was proposed before."""

FACTOR = 3
"""Of Hyperband: each round trains a third of the archs three times as long, KerasTuner's default."""


class Told(Record, frozen=True, kw_only=True):
    """What became of an arch, as an oracle sees it.

    Attributes:
        score: Less is better; none where the arch cannot be trained or is over budget.
        epochs: It was trained for.
    """

    score: float | None
    epochs: int


class Driven(keras_tuner.Oracle):
    """What all oracles share here: trials are kept in memory, and begin and end through KerasTuner's own methods.

    Args:
        sizes: Choices of each hyperparameter, by its name.
        seed: Of its draws, at least 1: KerasTuner takes 0 for no seed.
    """

    def __init__(self, sizes: dict[str, int], seed: int, **settings: Any) -> None:
        space = keras_tuner.HyperParameters()
        for name, size in sizes.items():
            space.Choice(name, list(range(size)))
        super().__init__(objective=keras_tuner.Objective("score", "min"), hyperparameters=space, seed=seed, **settings)
        self.verbose = 0
        self._max_collisions = COLLISIONS
        self._planned: list[Values] = []

    def begin(self) -> Any:
        """A new trial; its status may say that there is none now (IDLE) or ever (STOPPED)."""
        return self.create_trial(str(len(self.trials)))

    def finish(self, trial: Any, told: Told) -> None:
        """End a trial with what became of its arch."""
        self.update_trial(trial.trial_id, {"score": self._score(trial, told)})
        trial.status = "COMPLETED"
        self.end_trial(trial)

    def add(self, values: Values, told: Told) -> None:
        """Learn of an arch that was not proposed here: a trial begun with its values and ended at once."""
        self._planned.append(values)
        self.finish(self.begin(), told)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of a new trial: what is planned, else what the oracle chooses."""
        if self._planned:
            return {"status": "RUNNING", "values": self._planned.pop()}
        return super().populate_space(trial_id)

    def _score(self, trial: Any, told: Told) -> float:
        return 0.0 if told.score is None else told.score

    def save(self) -> None:
        """No file: the ledger is the record."""

    def _save_trial(self, trial: Any) -> None:
        """No file either."""

    def _check_consecutive_failures(self) -> None:
        """However many, they do not end a search."""


class Random(Driven, RandomSearchOracle):
    """Draws each param at random; nothing twice."""


class Grid(Driven, GridSearchOracle):
    """Every combination in order, the last param fastest.

    A combination follows from the one before and not from outcomes, so that a trial ends for the oracle as it begins: it never waits.
    """

    def begin(self) -> Any:
        """The next combination."""
        trial = super().begin()
        if trial.status == "RUNNING":
            super().finish(trial, Told(score=None, epochs=0))
        return trial

    def finish(self, trial: Any, told: Told) -> None:
        """It ended as it began."""

    def add(self, values: Values, told: Told) -> None:
        """The order stands, and who asks leaves out what is known."""


class Process(GaussianProcessRegressor):
    """Scikit-learn's Gaussian process, without its checks of the points that it predicts at.

    KerasTuner asks for one point at a time, thousands of times a proposal, and a proposal took three times as long with them.
    """

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:  # noqa: N803
        """Mean and standard deviation at each of the points (points, params)."""
        if not return_std or not hasattr(self, "L_"):
            return super().predict(X, return_std=return_std, return_cov=return_cov)
        cross = self.kernel_(X, self.X_train_)  # (points, told)
        reduced = solve_triangular(self.L_, cross.T, lower=True, check_finite=False)  # (told, points)
        variance = np.maximum(self.kernel_.diag(X) - np.einsum("ij,ij->j", reduced, reduced), 0.0)
        return self._y_train_mean + self._y_train_std * (cross @ self.alpha_), self._y_train_std * np.sqrt(variance)


class Bayesian(Driven, BayesianOptimizationOracle):
    """Fits a Gaussian process to the scores, and proposes where the lower confidence bound is least.

    KerasTuner leaves failed trials out of the fit, so that it would propose them, or their neighbours, again. Here an arch without a score
    has a pessimistic one: worse than the worst seen by as much as the best was better, set anew before every fit. And where the optimum
    was proposed before (KerasTuner would train it again, and again), the best by the same bound of a sample of others is proposed.
    """

    def __init__(self, sizes: dict[str, int], seed: int) -> None:
        super().__init__(sizes, seed, max_trials=None)
        self._scoreless: list[Any] = []
        # Its matrices are tiny: threads that wait for cores on which workers train made a proposal take twenty times as long.
        self._threads = ThreadpoolController()

    def finish(self, trial: Any, told: Told) -> None:
        """End the trial, and remember whether it has a score."""
        super().finish(trial, told)
        if told.score is None:
            self._scoreless.append(self.trials[trial.trial_id])

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The optimum, if it is new."""
        with self._threads.limit(limits=1):
            return self._proposed(trial_id)

    def _proposed(self, trial_id: str) -> dict[str, Any]:
        planned = bool(self._planned)
        if not planned:
            self._set_pessimistic_scores()
        found = super().populate_space(trial_id)
        if planned or found["status"] != "RUNNING" or not self._duplicate(found["values"]):
            return found
        drawn = list(itertools.takewhile(bool, (self._random_values() for _ in range(SAMPLE))))
        if not drawn:
            return {"status": "STOPPED", "values": None}
        points = np.array([[hp.value_to_prob(values[hp.name]) for hp in self._nonfixed_space()] for values in drawn])
        mean, deviation = self.gpr.predict(points, return_std=True)
        return {"status": "RUNNING", "values": drawn[int(np.argmin(mean - self.beta * deviation))]}

    def _make_gpr(self) -> Any:
        return Process(**super()._make_gpr().get_params(deep=False))

    def _set_pessimistic_scores(self) -> None:
        scoreless = {trial.trial_id for trial in self._scoreless}
        seen = [trial.score for key, trial in self.trials.items() if trial.status == "COMPLETED" and key not in scoreless]
        best, worst = (min(seen), max(seen)) if seen else (0.0, 0.0)
        for age, trial in enumerate(reversed(self._scoreless)):
            trial.score = worst + ((worst - best) or max(1.0, abs(worst)))
            trial.status = "COMPLETED" if age < REMEMBERED else "FAILED"


class Offer(Record, frozen=True, kw_only=True):
    """An arch that Hyperband did not ask for and may take into a bracket.

    Attributes:
        epochs: It was trained for.
        early: Whether it was trained to the end before any was paused, as the baseline and starts are.
    """

    values: Values
    epochs: int
    early: bool


class Hyperband(Driven, HyperbandOracle):
    """Random archs in brackets: of those trained for a few epochs the best third is trained three times as long, and so on.

    One sweep over the brackets follows another until the search has its trials. An arch that is over budget or fails in a bracket's first
    round gives its place to another, for KerasTuner would never fill the later rounds; later it comes last in its round.

    What was told without being asked takes places in first rounds. An arch trained longer than the round asks has been promoted before, or
    was trained for another reason (the baseline, a start): it is taken for promoted if it was not told before all that was paused, and so
    many archs of the bracket stayed behind that one could be; then it is promoted again. So a refilled oracle stands where it stood.

    Args:
        epochs: Of the full training.
    """

    def __init__(self, sizes: dict[str, int], seed: int, epochs: int) -> None:
        super().__init__(sizes, seed, max_epochs=epochs, factor=FACTOR, hyperband_iterations=None)
        self._exhausted = False
        self._filled: dict[str, Any] = {}
        self._offers: list[Offer] = []
        self._has_paused = False
        self._epochs_told: dict[str, int] = {}

    def finish(self, trial: Any, told: Told) -> None:
        """End the trial; without a score in a first round, it has no place there."""
        self._epochs_told[trial.trial_id] = told.epochs
        super().finish(trial, told)
        if told.score is None:
            for bracket in self._brackets:
                bracket["rounds"][0] = [place for place in bracket["rounds"][0] if place["id"] != trial.trial_id]

    def add(self, values: Values, told: Told) -> None:
        """Offer the arch to the first rounds, if it can be trained; either way it is not drawn any more."""
        self._tried_so_far.add(self._compute_values_hash(values))
        if told.score is not None:
            self._has_paused = self._has_paused or told.epochs < self.max_epochs
            self._offers.append(Offer(values=values, epochs=told.epochs, early=not self._has_paused))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of a new trial; where no new arch is left for a first round, of one to be promoted, if there is one."""
        fresh = not self._exhausted
        found = super().populate_space(trial_id)
        return super().populate_space(trial_id) if self._exhausted and fresh else found

    def _score(self, trial: Any, told: Told) -> float:
        if told.score is None:
            return math.inf
        return -math.inf if told.epochs > trial.hyperparameters.values["tuner/epochs"] else told.score

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        self._filled = bracket
        return super()._random_trial(trial_id, bracket)

    def _random_values(self) -> Values | None:
        """For a place in a first round: what is offered and may stand there, else a draw."""
        for offer in self._offers:
            if self._may_stand(offer, self._filled):
                self._offers.remove(offer)
                return dict(offer.values)
        drawn: Values | None = None if self._exhausted else super()._random_values()
        self._exhausted = drawn is None
        return drawn

    def _may_stand(self, offer: "Offer", bracket: dict[str, Any]) -> bool:
        """Whether an arch may be one of the bracket, promoted round by round as far as it was trained."""
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        if offer.epochs < self._get_epochs(number, 0) or (offer.early and len(rounds) > 1):
            return False
        others = [self._epochs_told.get(place["id"], 0) for place in rounds[0]]
        for index in range(1, len(rounds)):
            if offer.epochs < self._get_epochs(number, index):
                break
            reached = 1 + sum(other >= self._get_epochs(number, index - 1) for other in others)
            if reached <= self._get_size(number, index - 1) - self._get_size(number, index):
                return False
        return True

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        """Archs of a round; where no new ones are left, in proportion to those that the first round has."""
        size: int = super()._get_size(bracket_num, round_num)
        if not self._exhausted:
            return size
        first = next((len(bracket["rounds"][0]) for bracket in self._brackets if bracket["bracket_num"] == bracket_num), 0)
        return min(size, math.ceil(first / FACTOR**round_num))


def _random(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Random(sizes, seed, max_trials=None)


def _grid(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Grid(sizes, seed, max_trials=None)


def _bayesian(sizes: dict[str, int], seed: int, epochs: int) -> Driven:
    return Bayesian(sizes, seed)


ORACLES: dict[str, Callable[[dict[str, int], int, int], Driven]] = {
    "random": _random,
    "bayesian": _bayesian,
    "hyperband": Hyperband,
    "grid": _grid,
}
"""By the name in a study: (choices by name, seed, epochs of the full training) to the oracle."""
