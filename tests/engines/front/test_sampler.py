"""The front engine as an Optuna sampler: Optuna's own conformance tests, and what they do not ask."""

import pickle
import re

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import TrialState

from fvsearch import FrontSampler
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.front.engine import FrontEngine
from fvsearch.errors import ConfigError
from fvsearch.study import Objective, Proposer
from fvsearch.study.budgets import Budget
from fvsearch.testing import tiny_arch, tiny_study

LOSS, TOP1, MEMORY = (
    Objective(name=name, direction=direction) for name, direction in (("loss", "minimize"), ("top1", "maximize"), ("memory", "minimize"))
)
STUDY = tiny_study(objectives=(TOP1, MEMORY), engine=Proposer(name="front", starts=3))
PREDICTOR = Predictor(STUDY)

# `SingleOnlySamplerTestCase` does not apply: it is of samplers that refuse several objectives, which are what this one is for.


class TestOptunasConformance(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Of params that are not the space's, as all of Optuna's tests have: they must be drawn, while archs are proposed beside them."""

    @pytest.fixture
    def sampler(self):
        # Optuna's tests minimise one objective.
        return lambda: FrontSampler(tiny_study(objectives=(LOSS,), engine=Proposer(name="front")))


def search(sampler, study=STUDY):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=[objective.direction for objective in study.objectives], sampler=sampler)


def suggested(trial):
    return {path: trial.suggest_categorical(path, choices) for path, choices in STUDY.space.domains().items()}


def accuracy(arch):
    """More depth and width pay less and less."""
    return 1 - 1 / (2 + sum(stage.depth * stage.width / 16 for stage in arch.stages))


def objective(trial):
    arch = STUDY.space.arch(suggested(trial))
    return accuracy(arch), PREDICTOR.costs(arch)["memory"]


def test_an_objective_function_is_all_that_it_takes():
    found = search(FrontSampler(STUDY))
    found.optimize(objective, n_trials=16)
    archs = [STUDY.space.arch(trial.params) for trial in found.trials]
    assert len(set(archs)) == 16, "nothing is proposed twice"
    assert all(PREDICTOR.meets(arch) for arch in archs)


def test_it_proposes_what_the_engine_does():
    found, engine = search(FrontSampler(STUDY)), FrontEngine(STUDY)
    for _ in range(8):
        trial = found.ask(FrontSampler(STUDY).infer_relative_search_space(found, None))
        expected = engine.ask().params
        assert trial.params == expected
        arch = STUDY.space.arch(trial.params)
        values = accuracy(arch), PREDICTOR.costs(arch)["memory"]
        found.tell(trial, values)
        from fvsearch.engines import Completed

        engine.tell(expected, Completed(values=values))


def test_another_process_with_the_same_trials_proposes_the_same():
    found = search(FrontSampler(STUDY))
    found.optimize(objective, n_trials=7)
    again = search(FrontSampler(STUDY))
    again.add_trials(found.trials)
    space = FrontSampler(STUDY).infer_relative_search_space(found, None)
    assert found.ask(space).params == again.ask(space).params


def test_saved_and_loaded_it_goes_on():
    found = search(FrontSampler(STUDY, PREDICTOR, seed=5))
    found.optimize(objective, n_trials=6)
    space = found.sampler.infer_relative_search_space(found, None)
    found.sampler.sample_independent(found, None, "other", optuna.distributions.FloatDistribution(0, 1))
    again = search(pickle.loads(pickle.dumps(found.sampler)))
    again.add_trials(found.trials)
    assert again.ask(space).params == found.ask(space).params
    drawn = [one.sampler.sample_independent(one, None, "x", optuna.distributions.FloatDistribution(0, 1)) for one in (found, again)]
    assert drawn[0] == drawn[1]


def test_asked_for_many_before_any_is_told_all_differ():
    found = search(FrontSampler(STUDY))
    found.optimize(objective, n_trials=5)
    space = FrontSampler(STUDY).infer_relative_search_space(found, None)
    assert len({STUDY.space.arch(found.ask(space).params) for _ in range(8)}) == 8


def test_what_was_enqueued_in_part_counts_as_what_is_trained():
    found, engine = search(FrontSampler(STUDY)), FrontEngine(STUDY)
    # The sampler's first proposal is the cheapest, which has one block and no second stage.
    found.enqueue_trial({"stages.0.depth": 2, "stages.0.width": 32})
    space = FrontSampler(STUDY).infer_relative_search_space(found, None)
    first = found.ask(space).params
    assert (first["stages.0.depth"], first["stages.0.width"]) == (2, 32)
    engine.expect(first)
    assert found.ask(space).params == engine.ask().params


def test_threads_share_it():
    found = search(FrontSampler(STUDY))
    found.optimize(objective, n_trials=12, n_jobs=4)
    assert len({STUDY.space.arch(trial.params) for trial in found.trials}) == 12


def test_what_fails_is_not_proposed_again_and_a_constraint_teaches():
    found = search(FrontSampler(STUDY))

    def odd(trial):
        arch = STUDY.space.arch(suggested(trial))
        if trial.number % 3 == 2:
            return float("nan"), 1.0
        # Half as much again as predicted.
        memory = 1.5 * PREDICTOR.costs(arch)["memory"]
        trial.set_constraint("memory", memory / PREDICTOR.baseline["memory"] - 1)
        return accuracy(arch), memory

    found.optimize(odd, n_trials=24)
    assert [trial.state for trial in found.trials[:3]] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert len({STUDY.space.arch(trial.params) for trial in found.trials}) == 24
    over = [any(value > 0 for value in trial.constraints.values()) for trial in found.trials]
    assert sum(over[12:]) <= 2, "after some it knows that little of the budget is left"


def test_one_objective_may_be_pruned():
    study = tiny_study(objectives=(TOP1,), engine=Proposer(name="front", starts=2))
    found = search(FrontSampler(study), study)

    def pruned(trial):
        arch = STUDY.space.arch(suggested(trial))
        trial.report(0.5 * accuracy(arch), 0)
        if trial.number % 2:
            raise optuna.TrialPruned
        return accuracy(arch)

    found.optimize(pruned, n_trials=10)
    assert len({STUDY.space.arch(trial.params) for trial in found.trials}) == 10


def test_when_every_arch_was_tried_it_draws():
    study = tiny_study(space=STUDY.space, budget=Budget(memory="0.2x"), objectives=(TOP1, MEMORY), engine=Proposer(name="front"))
    few = [arch for arch in STUDY.space.archs() if Predictor(study).meets(arch)]
    found = search(FrontSampler(study), study)
    found.optimize(objective, n_trials=len(few) + 3)
    assert {STUDY.space.arch(trial.params) for trial in found.trials[: len(few)]} == set(few)


def test_other_directions_are_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"must be \['maximize', 'minimize'\], .* but got \['minimize'\]; give `directions="):
        optuna.create_study(sampler=FrontSampler(STUDY)).optimize(objective, n_trials=1)


def test_a_list_is_refused():
    with pytest.raises(ConfigError, match="needs a study with a `space`"):
        FrontSampler(tiny_study(space=None, engine=Proposer(name="front", archs=(tiny_arch(),))))


@pytest.mark.parametrize("left_out", [("stages.1.depth",), ("stages.1.pool_stride", "stages.1.width")])
def test_what_an_objective_does_not_suggest_is_as_it_was_proposed(left_out):
    def partial(trial):
        params = {path: trial.suggest_categorical(path, found) for path, found in STUDY.space.domains().items() if path not in left_out}
        arch = STUDY.space.arch(params)
        return accuracy(arch), PREDICTOR.costs(arch)["memory"]

    assert set(left_out) <= set(STUDY.space.domains())
    found = search(FrontSampler(STUDY))
    found.optimize(partial, n_trials=12)
    proposed = [STUDY.space.arch(trial.system_attrs["fvsearch:proposed"]).arch_hash for trial in found.trials]
    assert len(set(proposed)) == 12


def test_another_process_sees_what_was_proposed_before_it_is_suggested():
    found = search(FrontSampler(STUDY))
    samplers = [FrontSampler(STUDY) for _ in range(3)]
    proposed = []
    for sampler in samplers:
        found.sampler = sampler
        trial = found._storage.create_new_trial(found._study_id)
        frozen = found._storage.get_trial(trial)
        proposed.append(sampler.sample_relative(found, frozen, sampler.infer_relative_search_space(found, frozen)))
    assert len({STUDY.space.arch(params).arch_hash for params in proposed}) == 3


def test_any_seed_will_do():
    FrontSampler(STUDY, seed=2**40)


@pytest.mark.parametrize("times", [2.0**-20, 1000])
def test_costs_in_another_unit_are_said_once(times):
    def in_other_units(trial):
        accuracy, memory = objective(trial)
        return accuracy, memory * times

    found = search(FrontSampler(STUDY))
    with pytest.warns(UserWarning, match=re.escape(f"memory is {times:.2g} times as much as predicted")) as warned:
        found.optimize(in_other_units, n_trials=6)
    assert len(warned) == 1


def test_costs_that_are_measured_to_be_some_times_as_predicted_are_taken_as_they_are():
    found = search(FrontSampler(STUDY))
    found.optimize(lambda trial: (objective(trial)[0], objective(trial)[1] * 8), n_trials=4)
    assert len(found.trials) == 4
