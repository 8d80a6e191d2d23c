import warnings

import keras_tuner
import numpy as np
import pytest
import threadpoolctl
from oracles import DOMAINS, make, score, suggestions

from fvsearch.engines import Completed, Failed, Infeasible
from fvsearch.engines._oracles.bayesian import Bayesian, Process


def test_a_proposal_is_kerastuners_own():
    told = [dict(zip(DOMAINS, (1 << (number >> 2 * bit & 3) for bit in range(4)), strict=True)) for number in range(7, 256, 17)]
    engine = make("bayesian", seed=1)
    for params in told:
        engine.tell(params, Completed(values=(score(params), 1.0)))
    ours = engine.ask().params
    space = keras_tuner.HyperParameters()
    for path, choices in DOMAINS.items():
        space.Choice(path, list(choices))
    theirs = keras_tuner.oracles.BayesianOptimizationOracle(keras_tuner.Objective("top1", "max"), hyperparameters=space, seed=1)
    theirs.seed = engine._oracle.seed
    theirs._random_state = np.random.RandomState(theirs.seed)
    theirs.gpr = theirs._make_gpr()
    for number, params in enumerate(told):
        values = space.copy()
        values.values = dict(params)
        trial = keras_tuner.engine.trial.Trial(values, trial_id=str(number), status="COMPLETED")
        trial.score = score(params)
        theirs.trials[str(number)] = trial
    assert theirs.populate_space("new")["values"] == ours


def test_a_process_predicts_as_scikit_learns():
    points = np.random.default_rng(0).random((12, 3))
    # Kernels as they are: whether a search for better ones ends well depends on the machine.
    process = Process(alpha=1e-4, normalize_y=True, optimizer=None).fit(points, points.sum(axis=1))
    ours = process.predict(points[:4] + 0.05, return_std=True)
    theirs = super(Process, process).predict(points[:4] + 0.05, return_std=True)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_what_was_proposed_before_is_not_proposed_again():
    domains = {"stages.0.depth": (1, 2, 4, 8), "stages.0.width": (1, 2, 4)}
    found = [tuple(one.params.values()) for one in suggestions(make("bayesian", domains), 12)]
    assert len(set(found)) == 12


@pytest.mark.parametrize("bad", [Infeasible(constraints={"memory": 1.0}), Failed(reason="NaN")], ids=["infeasible", "failed"])
def test_what_cannot_be_trained_is_proposed_less(bad):
    # Half of the archs cannot be trained, those next to the best of the others among them.
    domains = {"stages.0.depth": tuple(range(1, 17)), "stages.0.width": tuple(range(1, 17))}
    engine = make("bayesian", domains)
    late = 0
    for number in range(40):
        params = engine.ask().params
        value = params["stages.0.depth"]
        engine.tell(params, bad if value > 8 else Completed(values=(value / 8, 1.0)))
        late += number >= 30 and value > 8
    assert late <= 3  # of 10; 5 without learning


def test_a_pessimistic_score_is_worse_than_all_seen_and_set_anew():
    engine = make("bayesian")
    refused = engine.ask().params
    engine.tell(refused, Infeasible(constraints={"memory": 1.0}))
    for value in (0.9, 0.5):
        engine.tell(engine.ask().params, Completed(values=(value, 1.0)))
        engine.ask()
    assert [trial.score for trial in engine._oracle.trials.values()][:4] == pytest.approx([-0.1, -0.9, None, -0.5], nan_ok=True)
    assert isinstance(engine._oracle, Bayesian)


def test_the_gaussian_process_takes_one_thread_for_workers_have_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = Bayesian._set_pessimistic_scores

    def look(self: Bayesian) -> None:
        seen.extend(library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas")
        before(self)

    monkeypatch.setattr(Bayesian, "_set_pessimistic_scores", look)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # KerasTuner's, of what Python has deprecated
        Bayesian({"depth": 4}, seed=1).begin()
    assert set(seen) == {1}
