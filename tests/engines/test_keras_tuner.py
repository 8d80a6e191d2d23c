import json
import math
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import keras_tuner
import numpy as np
import pytest
import threadpoolctl

from fvsearch.engines import Completed, Done, Failed, Infeasible, Stopped, Suggestion, check_engine, make_engine
from fvsearch.engines._keras_tuner import KerasTunerEngine
from fvsearch.engines._oracles import COLLISIONS, Bayesian, Process
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.study import Objective, Proposer
from fvsearch.testing import EngineTestCase, tiny_study

ORACLES = ("random", "bayesian", "hyperband", "grid")
DOMAINS = {f"stages.{stage}.{name}": (1, 2, 4, 8) for stage in range(2) for name in ("depth", "width")}
TOP1 = Objective(name="top1", direction="maximize")
MEMORY = Objective(name="memory", direction="minimize")
EPOCHS = 9


def make(oracle, domains=DOMAINS, objectives=(TOP1, MEMORY), seed=0, scalar="top1"):
    return KerasTunerEngine(Proposer(name="keras_tuner", oracle=oracle, scalar=scalar), domains, objectives, seed, EPOCHS)


class Conformance(EngineTestCase):
    oracle = ""
    learns_feasibility = False

    def make(self, domains, directions, seed):
        return make(self.oracle, domains, tuple({"maximize": TOP1, "minimize": MEMORY}[direction] for direction in directions), seed)


class TestRandom(Conformance):
    oracle = "random"


class TestGrid(Conformance):
    oracle = "grid"


class TestHyperband(Conformance):
    oracle = "hyperband"


class TestBayesian(Conformance):
    # A proposal takes up to half a second, so that what it learns is asked below, of fewer.
    oracle = "bayesian"
    domains = {"stages.0.depth": (1, 2, 4, 8, 16, 32, 64, 128), "stages.1.depth": tuple(range(8))}


class TestWithoutDomains(Conformance):
    oracle = "bayesian"
    domains = {}


def score(params):
    """Between 0 and 1; more of every param is better, the first ones most."""
    return sum((4 - index) * math.log2(value) for index, value in enumerate(params.values())) / 30


def suggestions(engine, count):
    """Suggestions, each told what its epochs make of its score before the next is asked for."""
    found = []
    while len(found) < count and isinstance(answer := engine.ask(), Suggestion):
        found.append(answer)
        engine.tell(answer.params, outcome(answer))
    return found


def outcome(suggestion):
    """Full training adds nothing to the order of the archs."""
    values = (score(suggestion.params), 1.0)
    return Completed(values=values) if suggestion.epochs in (None, EPOCHS) else Stopped(epochs=suggestion.epochs, values=values)


def refilled(oracle, told, seed=0):
    """An engine that is told what became of each arch in the end, in order."""
    engine = make(oracle, seed=seed)
    final = {tuple(suggestion.params.items()): suggestion for suggestion in told}
    order = sorted(final, key=lambda key: max(index for index, suggestion in enumerate(told) if tuple(suggestion.params.items()) == key))
    for key in order:
        engine.tell(dict(key), outcome(final[key]))
    return engine


# Laws, before any work


@pytest.mark.parametrize("oracle", ["bayesian", "hyperband"])
def test_an_oracle_that_needs_one_objective_refuses_the_sum_of_several(oracle):
    study = tiny_study(engine=Proposer(name="keras_tuner", oracle=oracle))
    with pytest.raises(ConfigError, match=r'top1, memory, of which KerasTuner would take the plain sum; .* scalar = "top1"'):
        check_engine(study)
    check_engine(tiny_study(engine=Proposer(name="keras_tuner", oracle=oracle, scalar="top1")))
    check_engine(tiny_study(engine=Proposer(name="keras_tuner", oracle=oracle), objectives=(TOP1,)))


@pytest.mark.parametrize("oracle", ["random", "grid"])
def test_an_oracle_that_looks_at_no_outcome_needs_no_scalar(oracle):
    check_engine(tiny_study(engine=Proposer(name="keras_tuner", oracle=oracle)))


def test_without_keras_tuner_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingBackendError, match=r'pip install "fvsearch\[keras-tuner\]"'):
        check_engine(tiny_study(engine=Proposer(name="keras_tuner")))


def test_it_is_a_keras_tuner_engine_that_make_engine_makes():
    assert isinstance(make_engine(tiny_study(engine=Proposer(name="keras_tuner"))), KerasTunerEngine)


@pytest.mark.parametrize(
    ("params", "law"),
    [
        ({**dict.fromkeys(DOMAINS, 1), "stages.0.dept": 1}, "did you mean 'stages.0.depth'"),
        ({**dict.fromkeys(DOMAINS, 1), "stages.0.depth": 3}, r"one of \[1, 2, 4, 8\], but got 3 at stages.0.depth"),
        ({"stages.0.depth": 1}, "the param 'stages.0.width' is missing"),
    ],
)
def test_params_of_another_space_are_refused(params, law):
    with pytest.raises(ConfigError, match=law):
        make("random").tell(params, Failed(reason="NaN"))


# Every oracle


@pytest.mark.parametrize("oracle", ORACLES)
def test_nothing_is_printed_warned_of_or_written(oracle, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggestions(make(oracle), 16)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("oracle", ORACLES)
def test_failures_in_a_row_do_not_end_it(oracle):
    engine = make(oracle)
    for _ in range(14):
        answer = engine.ask()
        assert isinstance(answer, Suggestion)
        engine.tell(answer.params, Failed(reason="NaN"))


@pytest.mark.parametrize("oracle", ["random", "bayesian"])
def test_a_resumed_search_does_not_begin_its_suggestions_again(oracle):
    first = suggestions(make(oracle, seed=3), 5)
    second = suggestions(refilled(oracle, first, seed=3), 5)
    assert not {tuple(one.params.items()) for one in first} & {tuple(one.params.items()) for one in second}


@pytest.mark.parametrize("oracle", ["random", "grid"])
def test_every_arch_is_proposed_once_and_then_it_is_done(oracle):
    domains = {"stages.0.depth": (1, 2, 4), "stages.0.width": (1, 2, 4), "stages.1.pooling": ("mean", "max")}
    engine = make(oracle, domains)
    engine.tell({"stages.0.depth": 2, "stages.0.width": 2, "stages.1.pooling": "max"}, Failed(reason="NaN"))
    found = []
    while isinstance(answer := engine.ask(), Suggestion):
        found.append(tuple(answer.params.values()))
        engine.tell(answer.params, Completed(values=(0.5, 1.0)))
    assert isinstance(answer, Done)
    assert len(found) == len(set(found)) == 17
    assert (2, 2, "max") not in found
    assert isinstance(engine.ask(), Done)


def test_a_grid_goes_on_where_it_was_and_never_waits():
    engine = make("grid")
    first = [engine.ask() for _ in range(6)]
    again = refilled("grid", first[:4])
    assert [again.ask(), again.ask()] == first[4:]


# Bayesian


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


# Hyperband


def theirs(epochs, count):
    """Epochs that KerasTuner's own Hyperband asks for, one trial after the other."""
    space = keras_tuner.HyperParameters()
    for path, choices in DOMAINS.items():
        space.Choice(path, list(choices))
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("top1", "max"), max_epochs=epochs, hyperparameters=space, seed=1, hyperband_iterations=2
    )
    oracle.verbose = 0
    oracle.save = oracle._save_trial = lambda *arguments: None
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            trial = oracle.create_trial(str(number))
            values = trial.hyperparameters.values
            found.append((values["tuner/epochs"], "tuner/trial_id" in values))
            oracle.update_trial(trial.trial_id, {"top1": score({path: values[path] for path in DOMAINS})})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
    return found


def test_the_schedule_is_kerastuners_own():
    found, seen = [], set()
    for one in suggestions(make("hyperband"), 40):
        key = tuple(one.params.items())
        found.append((one.epochs, key in seen))
        seen.add(key)
    assert found == theirs(EPOCHS, 40)
    assert set(found) == {(1, False), (3, False), (3, True), (9, True), (9, False)}


def test_the_best_of_a_round_are_asked_for_again_with_more_epochs_and_the_same_params():
    asked = suggestions(make("hyperband"), 18)
    first, second, third = asked[:9], asked[9:12], asked[12:13]
    assert [one.epochs for one in (*first, *second, *third)] == [1] * 9 + [3] * 3 + [EPOCHS]
    best = sorted(first, key=lambda one: -score(one.params))[:3]
    assert [one.params for one in second] == [one.params for one in best]
    assert third[0].params == best[0].params
    assert all(set(one.params) == set(DOMAINS) for one in asked)


def test_a_round_that_is_not_told_promotes_nothing_and_the_next_bracket_begins():
    engine = make("hyperband")
    asked = [engine.ask() for _ in range(12)]
    assert [one.epochs for one in asked] == [1] * 9 + [3] * 3
    assert len({tuple(one.params.items()) for one in asked}) == 12
    for one in asked[:9]:
        engine.tell(one.params, outcome(one))
    promoted = [engine.ask() for _ in range(3)]
    assert {tuple(one.params.items()) for one in promoted} < {tuple(one.params.items()) for one in asked[:9]}


def test_what_is_over_budget_gives_its_place_to_another():
    engine = make("hyperband")
    for number in range(30):
        one = engine.ask()
        assert one.epochs == 1
        engine.tell(one.params, Infeasible(constraints={"memory": 0.5}) if number < 21 else outcome(one))
    assert engine.ask().epochs == 3


def test_what_fails_after_its_promotion_is_last_in_its_round():
    engine = make("hyperband")
    suggestions(engine, 9)
    failing = engine.ask()
    assert failing.epochs == 3
    engine.tell(failing.params, Failed(reason="NaN"))
    later = suggestions(engine, 30)
    assert failing.params not in [one.params for one in later]
    assert [one.epochs for one in later[:3]] == [3, 3, EPOCHS]


def test_a_space_that_is_too_small_for_a_bracket_still_has_its_best_trained_to_the_end():
    domains = {"stages.0.depth": (1, 2, 4, 8)}
    engine = make("hyperband", domains)
    found = []
    while isinstance(answer := engine.ask(), Suggestion):
        found.append((answer.params["stages.0.depth"], answer.epochs))
        engine.tell(answer.params, outcome(answer))
    assert isinstance(answer, Done)
    assert found[-1] == (8, EPOCHS)
    assert len(found) == len(set(found)) <= 4 + 2 + 1


@pytest.mark.parametrize("done", range(1, 37, 3))
def test_a_refilled_hyperband_goes_on_where_it_was(done):
    told = suggestions(make("hyperband"), done)
    engine = refilled("hyperband", told)
    epochs = {tuple(one.params.items()): one.epochs for one in told}
    whole = [one.epochs for one in suggestions(make("hyperband"), 40)]
    rest = suggestions(engine, 40 - done)
    assert [one.epochs for one in rest] == whole[done:]
    for one in rest:
        # Nothing is trained as far as it was already.
        key = tuple(one.params.items())
        assert one.epochs > epochs.get(key, 0)
        epochs[key] = one.epochs


def test_what_was_fully_trained_before_takes_no_promotion_from_a_bracket():
    engine = make("hyperband")
    for depth in (1, 8):
        engine.tell(dict.fromkeys(DOMAINS, depth), Completed(values=(1.0, 1.0)))
    asked = suggestions(engine, 13)
    assert Counter(one.epochs for one in asked) == {1: 9, 3: 3, EPOCHS: 1}


# The process


def test_importing_keras_tuner_looks_for_no_gpu_and_leaves_the_environment(tmp_path):
    code = """
import json, os, sys
before = dict(os.environ)
from fvsearch.engines._keras_tuner import import_oracles
assert "keras" not in sys.modules
import_oracles()
assert dict(os.environ) == before
import keras
from jax._src import xla_bridge
print(json.dumps([keras.backend.backend(), sorted(xla_bridge._backends)]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} | {"KERAS_HOME": str(tmp_path)}
    # A configuration that names a backend which is not there, as Keras itself writes one.
    Path(tmp_path, "keras.json").write_text(json.dumps({"backend": "jax"}), encoding="utf-8")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["jax", []]
    assert run.stderr == ""


def test_draws_go_on_far_beyond_kerastuners_patience():
    assert make("random").ask() and COLLISIONS > 100


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
