"""The surrogate: its algebra against plain formulas, its intervals against truths that they should hold."""

import math

import numpy as np
import pytest

from fvsearch import load_study
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.front.archs import costs_of, drawn_archs
from fvsearch.engines.front.evidence import Encoder, Observation
from fvsearch.engines.front.mixture import Mixture
from fvsearch.engines.front.surrogate import PRIORS, Evidence, Surrogate


def process(rng, inputs, linear=0.8, residual=0.5, length=0.7, own=0.2):
    """A truth as the model has it, of the archs given: (archs,)."""
    features = inputs.shape[1]
    inner = inputs @ inputs.T / features
    squares = np.diag(inner)
    root = math.sqrt(5) * np.sqrt(np.maximum(0, (squares[:, None] + squares[None, :] - 2 * inner) / 2)) / length
    covariance = linear**2 * inner + residual**2 * (1 + root + root**2 / 3) * np.exp(-root) + own**2 * np.eye(len(inputs))
    return np.linalg.cholesky(covariance + 1e-9 * np.eye(len(inputs))) @ rng.standard_normal(len(inputs))


def waves(rng, inputs):
    """A truth that the model does not have: waves along a few directions, bounded above."""
    z = sum(np.sin(inputs @ rng.standard_normal(inputs.shape[1]) / 2 + rng.uniform(0, 6)) for _ in range(4))
    return np.minimum(z, 1.0)


def inside(low, high, truth):
    return (low <= truth) & (truth <= high)


@pytest.mark.parametrize(("truth", "least"), [(process, 0.88), (waves, 0.75)], ids=["as the model has it", "not"])
@pytest.mark.parametrize("noise", [0.1, 0.6])
@pytest.mark.parametrize("count", [6, 30])
def test_intervals_hold_the_truth_about_as_often_as_they_say(truth, least, noise, count):
    hits = {"observed": [], "new": []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        inputs = rng.standard_normal((count + 40, 8))
        values = truth(rng, inputs)
        seen = values[:count] + noise * rng.standard_normal(count)
        surrogate = Mixture(Evidence.of(inputs[:count], seen))
        mean, covariance = surrogate.observed()
        hits["observed"] += inside(*surrogate.interval(mean, np.sqrt(np.diag(covariance))), values[:count]).tolist()
        hits["new"] += inside(*surrogate.interval(*surrogate.posterior(inputs[count:])), values[count:]).tolist()
    for kind, found in hits.items():
        assert np.mean(found) >= least, f"95% intervals of {kind} archs hold {np.mean(found):.1%} of truths"


def test_intervals_are_no_wider_than_they_must_be():
    rng, widths = np.random.default_rng(0), []
    for _ in range(10):
        inputs = rng.standard_normal((60, 8))
        values = process(rng, inputs)
        surrogate = Mixture(Evidence.of(inputs, values + 0.6 * rng.standard_normal(60)))
        mean, covariance = surrogate.observed()
        low, high = surrogate.interval(mean, np.sqrt(np.diag(covariance)))
        widths.append(np.mean(high - low) / (2 * 1.96 * 0.6))
    # Beside what each training by itself would tell.
    assert np.mean(widths) < 0.75


def test_a_mixture_is_less_sure_than_its_most_probable_part():
    rng = np.random.default_rng(5)
    inputs, new = rng.standard_normal((8, 5)), rng.standard_normal((50, 5))
    evidence = Evidence.of(inputs, process(rng, inputs))
    alone, mixed = Surrogate(evidence).posterior(new), Mixture(evidence).posterior(new)
    assert mixed[1].mean() > alone[1].mean()
    assert mixed[0] == pytest.approx(alone[0], abs=0.5 * alone[1].mean())


def test_posterior_means_of_what_was_selected_do_not_flatter():
    observed, believed = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        inputs = rng.standard_normal((25, 8))
        values = process(rng, inputs)
        seen = values + 0.6 * rng.standard_normal(25)
        mean, _ = Surrogate(Evidence.of(inputs, seen)).observed()
        best = np.argsort(seen)[:3]
        observed += (values - seen)[best].tolist()
        believed += (values - mean)[best].tolist()
    assert np.mean(observed) > 0.3, "the least of 25 noisy values are too good"
    assert abs(np.mean(believed)) < 0.15


def test_the_posterior_is_that_of_the_covariance():
    rng = np.random.default_rng(0)
    inputs, new = rng.standard_normal((9, 4)), rng.standard_normal((5, 4))
    values = rng.standard_normal(9)
    surrogate = Surrogate(Evidence.of(inputs, values))
    hyper = surrogate.hyper

    def smooth(a, b):
        distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2) / (2 * 4))
        root = math.sqrt(5) * distance / hyper["length"]
        matern = (1 + root + root**2 / 3) * np.exp(-root)
        return hyper["linear"] ** 2 * a @ b.T / 4 + hyper["residual"] ** 2 * matern + 1

    covariance = smooth(inputs, inputs) + np.eye(9) * (hyper["own"] ** 2 + hyper["noise"] ** 2)
    unit, centre = values.std(), values.mean()
    across = smooth(new, inputs)
    mean, deviation = surrogate.posterior(new)
    assert mean == pytest.approx(centre + across @ np.linalg.solve(covariance, values - centre), abs=1e-4)
    variance = np.diag(smooth(new, new)) + hyper["own"] ** 2 - np.einsum("ij,ij->i", across, np.linalg.solve(covariance, across.T).T)
    assert deviation == pytest.approx(unit * np.sqrt(variance), abs=1e-4)
    among = smooth(inputs, inputs) + np.eye(9) * hyper["own"] ** 2
    mean, together = surrogate.observed()
    assert mean == pytest.approx(centre + among @ np.linalg.solve(covariance, values - centre), abs=1e-5)
    assert together == pytest.approx(unit**2 * (among - among @ np.linalg.solve(covariance, among)), abs=1e-5)


def test_what_is_expected_is_taken_off_before_and_put_back_after():
    rng = np.random.default_rng(3)
    inputs, new, slopes = rng.standard_normal((9, 4)), rng.standard_normal((5, 4)), np.array([-0.4, 0.0, 0.3, 0.0])
    values = rng.standard_normal(9)
    expecting = Surrogate(Evidence.of(inputs, values)._replace(slopes=slopes))
    off = Surrogate(Evidence.of(inputs, values - values.std() * inputs @ slopes))
    assert expecting.hyper == pytest.approx(off.hyper)
    for (mean, spread), (plain, same), archs in (
        (expecting.posterior(new), off.posterior(new), new),
        (expecting.observed(), off.observed(), inputs),
    ):
        assert mean == pytest.approx(plain + values.std() * archs @ slopes, abs=1e-6)
        assert spread == pytest.approx(same, abs=1e-6)
    both = expecting.given_means(new)
    assert both.posterior(new + 1)[0] == pytest.approx(expecting.posterior(new + 1)[0], abs=1e-5)


def test_what_is_seen_overrules_what_was_expected():
    rng = np.random.default_rng(4)
    inputs = rng.standard_normal((60, 4))
    values = inputs[:, 0] + 0.3 * rng.standard_normal(60)
    wrong = Surrogate(Evidence.of(inputs, values)._replace(slopes=np.array([-0.8, 0, 0, 0])))
    ends = np.array([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    mean, _ = wrong.posterior(ends)
    assert mean == pytest.approx([-1.0, 1.0], abs=0.25)


def test_the_gradient_of_the_fit_is_its_slope():
    rng = np.random.default_rng(0)
    evidence = Evidence(
        rng.standard_normal((12, 3)),
        rng.standard_normal(12),
        np.array([1.0, 4.0] * 6),
        np.array([0, 0, 1] * 4),
        rng.standard_normal(12),
        np.array([0.4, 0, 0]),
        np.array([np.nan, 0.7, 0.3, 2.0] * 3),
    )
    surrogate = Surrogate(evidence)
    at = np.log([prior.centre * 1.3 for prior in PRIORS.values()])
    _, gradient = surrogate.loss(at)
    for index in range(len(at)):
        step = np.eye(len(at))[index] * 1e-5
        slope = (surrogate.loss(at + step)[0] - surrogate.loss(at - step)[0]) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_trainings_that_agree_are_believed_where_the_features_say_otherwise():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((25, 4))
    values = 0.5 * inputs[:, 0] + 0.05 * rng.standard_normal(25)
    # Far below all others, the smallest arch; four trainings of each.
    inputs[0], values[0] = [-3.0, 0, 0, 0], 3.0
    sizes = inputs[:, 0]
    plain = Evidence.of(inputs, values)._replace(trainings=np.full(25, 4.0), sizes=sizes)
    known = plain._replace(scatter=np.full(25, 3 * 0.1**2))
    off = [abs(Surrogate(evidence).observed()[0][0] - 3.0) for evidence in (plain, known)]
    assert off[1] < 0.15
    assert off[1] < off[0]
    assert Surrogate(known).noise == pytest.approx(0.1, rel=0.35)


def test_noise_is_learned():
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((80, 5))
    truth = inputs[:, 0] + 0.5 * inputs[:, 1]
    quiet = Surrogate(Evidence.of(inputs, truth + 0.05 * rng.standard_normal(80)))
    loud = Surrogate(Evidence.of(inputs, truth + 0.8 * rng.standard_normal(80)))
    assert quiet.noise < 0.25
    assert loud.noise == pytest.approx(0.8, rel=0.25)


def test_that_small_archs_are_noisier_is_learned_and_they_are_believed_less():
    rng = np.random.default_rng(6)
    inputs, sizes = rng.standard_normal((120, 4)), rng.standard_normal(120)
    values = inputs[:, 0] + 0.4 * np.exp(-0.6 * sizes) * rng.standard_normal(120)
    surrogate = Surrogate(Evidence.of(inputs, values)._replace(sizes=sizes))
    assert 0.4 < surrogate.hyper["calming"] < 0.8
    assert surrogate.noise == pytest.approx(0.4, rel=0.3)
    mean, _ = surrogate.observed()
    moved = np.abs(mean - values)
    assert moved[sizes < -1].mean() > 2 * moved[sizes > 1].mean()


def test_more_trainings_of_an_arch_make_it_surer_and_its_mean_its_own():
    rng = np.random.default_rng(2)
    inputs, values = rng.standard_normal((16, 4)), rng.standard_normal(16)
    once = Evidence.of(inputs, values)
    often = once._replace(trainings=np.where(np.arange(16) == 3, 20.0, 1.0))
    mean, covariance = Surrogate(once).observed()
    surer_mean, surer = Surrogate(often).observed()
    assert surer[3, 3] < 0.5 * covariance[3, 3]
    assert abs(surer_mean[3] - values[3]) < abs(mean[3] - values[3])


def test_values_from_a_rung_inform_though_they_lie_off_the_end():
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((60, 4))
    truth = inputs[:, 0]
    rungs = np.array([0] * 10 + [1] * 50)
    # After part of the training all are two units worse, and differ by more.
    values = truth + np.where(rungs, 2.0, 0.0) + np.where(rungs, 0.3, 0.1) * rng.standard_normal(60)
    new = rng.standard_normal((200, 4))
    ends = Evidence.of(inputs[:10], values[:10])
    both = Evidence.of(inputs, values)._replace(rungs=rungs)
    errors = [np.abs(Surrogate(evidence).posterior(new)[0] - new[:, 0]).mean() for evidence in (ends, both)]
    assert errors[1] < 0.6 * errors[0], "early values tell which archs are better"
    assert errors[1] < 0.3, "and are not taken for the end"


def test_fantasies_change_no_mean_and_make_their_neighbourhood_surer():
    rng = np.random.default_rng(4)
    inputs, new = rng.standard_normal((12, 4)), rng.standard_normal((30, 4))
    surrogate = Surrogate(Evidence.of(inputs, rng.standard_normal(12)))
    given = surrogate.given_means(new[:2])
    before, after = surrogate.posterior(new), given.posterior(new)
    assert after[0] == pytest.approx(before[0], abs=1e-4)
    assert (after[1] <= before[1] + 1e-4).all()
    assert (after[1][:2] < 0.95 * before[1][:2]).all()


@pytest.mark.parametrize("values", [[0.5], [0.5] * 8, [0.0] * 3, [1e9, 0.0, 0.0]])
def test_one_value_or_equal_ones_or_a_wild_one_give_finite_numbers(values):
    inputs = np.random.default_rng(0).standard_normal((len(values), 3))
    surrogate = Surrogate(Evidence.of(inputs, np.array(values, float)))
    mean, deviation = surrogate.posterior(np.random.default_rng(1).standard_normal((50, 3)))
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()


def test_without_features_all_archs_are_one():
    surrogate = Surrogate(Evidence.of(np.zeros((6, 0)), np.arange(6.0)))
    mean, deviation = surrogate.posterior(np.zeros((3, 0)))
    assert mean == pytest.approx([2.5] * 3, abs=0.3)
    assert len(set(deviation.tolist())) == 1


@pytest.mark.parametrize("seed", range(4))
def test_what_only_the_smallest_arch_of_a_space_loses_is_not_taken_for_noise(seed):
    study, rng = load_study("reinvestment-shapes"), np.random.default_rng(seed)
    drawn = drawn_archs(study.space, 3000, np.random.default_rng(0))
    memory = costs_of(drawn, Predictor.unmeasured(study))["memory"]
    rows = np.concatenate([[memory.argmin()], rng.choice(np.delete(np.arange(len(drawn)), memory.argmin()), 19, replace=False)])
    reached = 0.8 - 0.3 * (memory.min() / memory[rows]) ** 2 + 0.01 * rng.standard_normal(20)
    observations = [Observation(drawn.arch(int(row)), -value) for row, value in zip(rows, reached, strict=True)]
    mean, _ = Mixture(Encoder(study).evidence(observations)).observed()
    assert reached[0] == pytest.approx(0.5, abs=0.05)
    assert -mean[0] == pytest.approx(reached[0], abs=0.1), "others reach .8"
