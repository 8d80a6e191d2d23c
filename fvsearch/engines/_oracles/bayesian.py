"""Bayesian: a Gaussian process over the scores, told pessimistic ones of what cannot be trained."""

import itertools
from typing import Any

import numpy as np
from keras_tuner.oracles import BayesianOptimizationOracle
from scipy.linalg import solve_triangular
from sklearn.gaussian_process import GaussianProcessRegressor
from threadpoolctl import ThreadpoolController

from fvsearch.engines._oracles.driven import Driven, Told

REMEMBERED = 150
"""Archs without a score that the Gaussian process is told of, the latest: its cost grows with the cube of what it is told."""

SAMPLE = 100
"""Archs of which the Gaussian process takes the best where its optimum was proposed before."""


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
