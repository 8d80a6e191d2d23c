import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from oracles import DOMAINS, MEMORY, TOP1, make, refilled, suggestions

from fvsearch.engines import Completed, Done, Failed, Suggestion, check_engine, make_engine
from fvsearch.engines._keras_tuner import KerasTunerEngine
from fvsearch.engines._oracles.driven import COLLISIONS
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.study import Proposer
from fvsearch.testing import EngineTestCase, tiny_study

ORACLES = ("random", "bayesian", "hyperband", "grid")


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
