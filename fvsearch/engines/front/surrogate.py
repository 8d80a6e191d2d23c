"""The surrogate: a Bayesian linear model of features plus an isotropic Matern residual, with a few hyper-parameters by MAP.

    y = b + w . x + r(x) + own + early(rung) + noise,

    b ~ N(0, 1),   w ~ N(slopes, linear^2 / features),   r ~ GP(0, residual^2 Matern_5/2(|x - x'| / length)),

of values centred and in units of their standard deviation; |x - x'|^2 is half the mean square of the features' differences.

`slopes` are what is expected before anything is seen: that accuracy rises with size.

`own` is what no feature of an arch tells and every training of it shares; `noise` is what its seeds differ by, which falls as archs grow,
by `calming` for each standard deviation of size. One process whose kernel is the sum; the whole posterior comes from it. With ten noisy
observations a length for each feature cannot be learned (such a model predicts worse than the mean), and a linear trend alone ends where
accuracy saturates: hence this sum.

An observation is of so many trainings, whose mean has so much less noise; where it is known how they differ, that tells the noise. One that
was stopped at a rung is of less training: it lies off the end by an amount that all of its rung share and that is learned with the rest,
and it ranks less well, by a variance that is learned as well.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Numbers: TypeAlias = NDArray[np.float64]
Inputs: TypeAlias = NDArray[np.floating]

CHUNK = 4096
"""Candidates whose kernel with the observations is held at once: a few megabytes, which a core's cache holds."""

_EARLY = 1.0
"""Standard deviation, in that of the observations, of what a rung may lie off the end."""

_INTERCEPT = 1.0
"""The same of the mean of all archs, off the mean of those observed."""


class Evidence(NamedTuple):
    """What was observed, and what was expected.

    Attributes:
        inputs: (observations, features) in units of their spread.
        values: (observations,).
        trainings: (observations,) that each value is the mean of.
        rungs: (observations,): 0 where it was trained to the end, else a number of the rung.
        sizes: (observations,) of the archs, in units of their spread, as far as it matters: trainings of small ones differ more.
        slopes: (features,) by which values are expected to change with inputs, in standard deviations of the values.
        scatter: (observations,) sum of the squares by which the trainings differ from their mean; NaN where that is not known.
    """

    inputs: Numbers
    values: Numbers
    trainings: Numbers
    rungs: NDArray[np.int64]
    sizes: Numbers
    slopes: Numbers
    scatter: Numbers

    @classmethod
    def of(cls, inputs: Numbers, values: Numbers) -> "Evidence":
        """Of one training each, to the end, of archs of one size, where nothing was expected."""
        count, features = inputs.shape
        return cls(inputs, values, np.ones(count), np.zeros(count, np.int64), np.zeros(count), np.zeros(features), np.full(count, np.nan))

    def and_more(self, more: "Evidence") -> "Evidence":
        """This and more of the kind; expected is what was expected here."""
        return Evidence(*(np.concatenate(both) for both in zip(self, more, strict=True)))._replace(slopes=self.slopes)


class Scaling(NamedTuple):
    """From values to what the process is of: less what was expected, centred, in units of its spread.

    Attributes:
        slopes: (features,) by which values are expected to change with inputs.
        centre: Of what they are off by.
        unit: Its standard deviation.
    """

    slopes: Numbers
    centre: float
    unit: float

    @classmethod
    def of(cls, evidence: Evidence, floor: float) -> "Scaling":
        """By what was trained to the end, where anything was.

        Args:
            evidence: At least one observation.
            floor: The least standard deviation that values are taken to have; equal ones have none.
        """
        whole = evidence.rungs == 0 if (evidence.rungs == 0).any() else np.ones(len(evidence.rungs), bool)
        values, inputs = evidence.values[whole], evidence.inputs[whole]
        slopes = evidence.slopes * max(float(values.std()), floor)
        off = values - inputs @ slopes
        return cls(slopes, float(off.mean()), max(float(off.std()), floor))

    def targets(self, evidence: Evidence) -> Numbers:
        """(observations,) that the process is fitted to."""
        return np.asarray((evidence.values - evidence.inputs @ self.slopes - self.centre) / self.unit)

    def values(self, targets: Numbers, inputs: Inputs) -> Numbers:
        """(archs,) the way back."""
        return np.asarray(self.centre + self.unit * targets + inputs @ self.slopes)


class Prior(NamedTuple):
    """Of a hyper-parameter's logarithm: normal.

    Attributes:
        centre: The hyper-parameter's median.
        spread: Standard deviation of its logarithm.
    """

    centre: float
    spread: float


PRIORS: dict[str, Prior] = {
    "linear": Prior(0.8, 0.7),
    "residual": Prior(0.35, 0.7),
    "length": Prior(0.7, 0.5),
    "own": Prior(0.15, 0.5),
    "noise": Prior(0.55, 0.6),
    "calming": Prior(0.2, 0.3),
    "early": Prior(0.6, 0.7),
}
"""In units of the observations' standard deviation; the length in that of the distance of two archs drawn from the space.

Of 200 archs of a space, each trained twice on noisy digits, seeds differed by 0.57 of the archs' spread, those of small archs 1.7 times as
much as those of large ones, and a smooth function of the features told 88% of what archs differ by."""


class Surrogate:
    """The posterior, given evidence.

    Args:
        evidence: At least one observation.
        floor: The least standard deviation that observations are taken to have; equal ones have none.
        priors: Of the hyper-parameters, by name.
        known: The scaling and the hyper-parameters, where they are not to be learned.

    Attributes:
        noise: Standard deviation of one training's value about its arch's own, for an arch of average size.
        hyper: The hyper-parameters by name, in units of the scaling.
    """

    def __init__(
        self,
        evidence: Evidence,
        floor: float = 1e-3,
        priors: Mapping[str, Prior] = PRIORS,
        known: tuple[Scaling, dict[str, float]] | None = None,
    ) -> None:
        self._evidence, self._priors = evidence, priors
        self._scaling = known[0] if known else Scaling.of(evidence, floor)
        self._targets = self._scaling.targets(evidence)
        self._names = [name for name in priors if name != "early" or (evidence.rungs > 0).any()]
        self._inner = evidence.inputs @ evidence.inputs.T / max(1, evidence.inputs.shape[1])
        squares = np.diag(self._inner)
        self._distance = np.sqrt(np.maximum(0.0, (squares[:, None] + squares[None, :] - 2 * self._inner) / 2))
        self.hyper = known[1] if known else self._fit()
        self.noise = self.hyper["noise"] * self._scaling.unit
        covariance, _ = self._covariance(self.hyper)
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), self._targets, check_finite=False)
        self._inverse = solve_triangular(self._factor, np.eye(len(covariance)), lower=True, check_finite=False)

    def at(self, logarithms: Numbers) -> "Surrogate":
        """The same evidence with other hyper-parameters, by their logarithms in the order of `hyper`."""
        hyper = {name: math.exp(value) for name, value in zip(self.hyper, logarithms, strict=True)}
        return Surrogate(self._evidence, priors=self._priors, known=(self._scaling, hyper))

    def given_means(self, inputs: Numbers) -> "Surrogate":
        """As if archs had been observed at their means: no mean changes, and what is near them is less uncertain.

        Args:
            inputs: (archs, features).
        """
        means, _ = self.posterior(inputs)
        evidence = self._evidence.and_more(Evidence.of(inputs, means))
        return Surrogate(evidence, priors=self._priors, known=(self._scaling, self.hyper))

    def posterior(self, inputs: Inputs) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation of each arch's own value, noise aside: (archs,) both, of archs that were not observed.

        Args:
            inputs: (archs, features).
        """
        mean, deviation = np.empty(len(inputs)), np.empty(len(inputs))
        # In single precision: half the time, and the last digits of a deviation decide nothing.
        known, weights, inverse = (part.astype(np.float32) for part in (self._evidence.inputs, self._weights, self._inverse.T))
        for start in range(0, len(inputs), CHUNK):
            part = np.asarray(inputs[start : start + CHUNK], np.float32)
            across, variance = self._across(part, known)
            mean[start : start + CHUNK] = across @ weights
            explained = across @ inverse
            deviation[start : start + CHUNK] = variance - np.einsum("co,co->c", explained, explained)
        return self._scaling.values(mean, inputs), self._scaling.unit * np.sqrt(np.maximum(deviation, 1e-8))

    def observed(self) -> tuple[Numbers, Numbers]:
        """Mean, (observations,), and covariance, (observations, observations), of the own values of the archs that were observed."""
        among = self._smooth(self.hyper) + np.diag(np.full(len(self._targets), self.hyper["own"] ** 2))
        explained = among @ self._inverse.T
        mean = self._scaling.values(among @ self._weights, self._evidence.inputs)
        return mean, self._scaling.unit**2 * (among - explained @ explained.T)

    def _across(self, archs: Inputs, known: Inputs) -> tuple[Inputs, Inputs]:
        """Covariances of archs with observed ones, and their own variances; in the precision that they come in."""
        exact = known.dtype.type
        features, length = exact(max(1, known.shape[1])), exact(self.hyper["length"])
        inner = archs @ known.T / features
        squares, others = (np.einsum("cf,cf->c", part, part) / features for part in (archs, known))
        distance = np.sqrt(np.maximum(exact(0), (squares[:, None] + others[None, :] - 2 * inner) / 2))
        linear, residual, own, intercept = (
            exact(value**2) for value in (*(self.hyper[name] for name in ("linear", "residual", "own")), _INTERCEPT)
        )
        across = linear * inner + intercept + residual * _matern(distance / length)
        return across, linear * squares + intercept + residual + own

    def _variance(self, hyper: dict[str, float]) -> Numbers:
        """(observations,) of the noise in each value."""
        return (hyper["noise"] * np.exp(-hyper["calming"] * self._evidence.sizes)) ** 2 / self._evidence.trainings

    def _smooth(self, hyper: dict[str, float]) -> Numbers:
        """(observations, observations): the covariance of what features tell."""
        residual = hyper["residual"] ** 2 * _matern(self._distance / hyper["length"])
        return hyper["linear"] ** 2 * self._inner + residual + _INTERCEPT**2

    def _covariance(self, hyper: dict[str, float]) -> tuple[Numbers, dict[str, Numbers]]:
        """(observations, observations) of the observed values, and its derivatives by each hyper-parameter's logarithm."""
        evidence = self._evidence
        root = math.sqrt(5) * self._distance / hyper["length"]
        falling = hyper["residual"] ** 2 * np.exp(-root)
        linear, residual = hyper["linear"] ** 2 * self._inner, falling * (1 + root + root * root / 3)
        own, noise = np.diag(np.full(len(self._targets), hyper["own"] ** 2)), np.diag(self._variance(hyper))
        slope = falling * root * root * (1 + root) / 3
        covariance = linear + residual + own + noise + _INTERCEPT**2
        derivatives = {"linear": 2 * linear, "residual": 2 * residual, "length": slope, "own": 2 * own, "noise": 2 * noise}
        derivatives["calming"] = -2 * hyper["calming"] * evidence.sizes[:, None] * noise
        if "early" in self._names:
            early = evidence.rungs > 0
            shared = (evidence.rungs[:, None] == evidence.rungs[None, :]) & early[:, None]
            apart = np.diag(early * hyper["early"] ** 2)
            covariance = covariance + _EARLY**2 * shared + apart
            derivatives["early"] = 2 * apart
        covariance[np.diag_indices_from(covariance)] += 1e-8
        return covariance, derivatives

    def _fit(self) -> dict[str, float]:
        """The hyper-parameters of the highest posterior density, sought from a smooth beginning and from a rough one."""
        centres = np.log([self._priors[name].centre for name in self._names])
        beginnings = [centres, centres + np.array([{"residual": 0.7, "noise": -0.7}.get(name, 0.0) for name in self._names])]
        found = [
            minimize(self.loss, beginning, jac=True, method="L-BFGS-B", bounds=[(c - 4, c + 4) for c in centres], options={"maxiter": 60})
            for beginning in beginnings
        ]
        best = min(found, key=lambda one: float(one.fun))
        return {name: math.exp(value) for name, value in zip(self._names, best.x, strict=True)}

    def loss(self, logarithms: Numbers) -> tuple[float, Numbers]:
        """Minus the log posterior density of the hyper-parameters, but for a constant, and its gradient by their logarithms."""
        hyper = {name: math.exp(value) for name, value in zip(self._names, logarithms, strict=True)}
        covariance, derivatives = self._covariance(hyper)
        factor = cholesky(covariance, lower=True, check_finite=False)
        weights = cho_solve((factor, True), self._targets, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(len(covariance)), check_finite=False)
        loss = 0.5 * float(self._targets @ weights) + float(np.log(np.diag(factor)).sum())
        inner = inverse - np.outer(weights, weights)
        gradient = []
        for name, value in zip(self._names, logarithms, strict=True):
            prior = self._priors[name]
            off = (value - math.log(prior.centre)) / prior.spread
            loss += 0.5 * off * off
            gradient.append(0.5 * float((inner * derivatives[name]).sum()) + off / prior.spread)
        scatter, by_noise, by_calming = self._scatter_loss(hyper)
        gradient[self._names.index("noise")] += by_noise
        gradient[self._names.index("calming")] += by_calming
        return loss + scatter, np.array(gradient)

    def _scatter_loss(self, hyper: dict[str, float]) -> tuple[float, float, float]:
        """Minus the log likelihood of how trainings of an arch differ, and its derivatives by the logarithms of noise and calming."""
        known = (self._evidence.trainings > 1) & ~np.isnan(self._evidence.scatter)
        sizes, freedom = self._evidence.sizes[known], self._evidence.trainings[known] - 1
        variance = (hyper["noise"] * np.exp(-hyper["calming"] * sizes)) ** 2
        share = self._evidence.scatter[known] / self._scaling.unit**2 / variance
        loss = 0.5 * float((freedom * np.log(variance) + share).sum())
        off = freedom - share
        return loss, float(off.sum()), float((-hyper["calming"] * sizes * off).sum())


def _matern(scaled: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of smoothness 5/2."""
    root = scaled * scaled.dtype.type(math.sqrt(5))
    return (1 + root + root * root / 3) * np.exp(-root)
