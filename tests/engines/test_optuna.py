import logging
import os
import statistics
import subprocess
import sys
import time
import warnings

import pytest

import fvsearch.engines
from fvsearch.engines import Completed, Failed, Infeasible, Stopped, check_engine, make_engine
from fvsearch.engines._genetic import RefusalAware, divisions
from fvsearch.engines._optuna import SAMPLERS, OptunaEngine
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.pareto import hypervolume
from fvsearch.study import Proposer
from fvsearch.study.budgets import Budget
from fvsearch.testing import EngineTestCase, tiny_arch, tiny_study

DOMAINS = {f"stages.{stage}.{name}": (1, 2, 4, 8, 16) for stage in range(3) for name in ("depth", "width")}
DIRECTIONS = ("maximize", "minimize")


def make(sampler, domains=DOMAINS, directions=DIRECTIONS, seed=0, population=8):
    return OptunaEngine(Proposer(name="optuna", sampler=sampler, population=population), domains, directions, seed)


@pytest.fixture
def short_gp(monkeypatch):
    """Gaussian processes that look for their best suggestion a fifth as long, which is most of the time of few trials."""
    whole = SAMPLERS["gp"]

    def short(*arguments):
        sampler = whole(*arguments)
        sampler._n_preliminary_samples, sampler._n_local_search = 64, 2
        return sampler

    monkeypatch.setitem(SAMPLERS, "gp", short)


class TestNSGAII(EngineTestCase):
    def make(self, domains, directions, seed):
        return make("nsga2", domains, directions, seed)


class TestNSGAIIWithOneObjective(EngineTestCase):
    directions = ("maximize",)

    def make(self, domains, directions, seed):
        return make("nsga2", domains, directions, seed)


class TestNSGAIII(EngineTestCase):
    def make(self, domains, directions, seed):
        return make("nsga3", domains, directions, seed)


class TestNSGAIIIWithOneObjective(EngineTestCase):
    directions = ("maximize",)

    def make(self, domains, directions, seed):
        return make("nsga3", domains, directions, seed)


class TestNSGAIIIWithFourObjectives(EngineTestCase):
    directions = ("maximize", "minimize", "minimize", "maximize")

    def make(self, domains, directions, seed):
        return make("nsga3", domains, directions, seed)


@pytest.mark.slow
class TestGP(EngineTestCase):
    # Few params, one objective and one search of each kind: a suggestion takes some hundredths of a second.
    domains = {"stages.0.depth": (1, 2, 4, 8), "stages.0.width": (64, 128, 192, 256), "stages.1.depth": (0, 2, 4, 6, 8, 10, 12, 14)}
    directions = ("maximize",)
    searches = 1

    @pytest.fixture(autouse=True)
    def short(self, short_gp):
        pass

    def make(self, domains, directions, seed):
        return make("gp", domains, directions, seed)


class TestTPE(EngineTestCase):
    def make(self, domains, directions, seed):
        return make("tpe", domains, directions, seed)


class TestTPEWithThreeObjectives(EngineTestCase):
    directions = ("maximize", "minimize", "minimize")

    def make(self, domains, directions, seed):
        return make("tpe", domains, directions, seed)


class TestRandom(EngineTestCase):
    learns_feasibility = False

    def make(self, domains, directions, seed):
        return make("random", domains, directions, seed)


class TestWithoutDomains(EngineTestCase):
    domains = {}
    learns_feasibility = False

    def make(self, domains, directions, seed):
        return make("nsga2", domains, directions, seed)


def test_the_conformance_class_catches_an_engine_that_does_not_learn():
    class Claims(EngineTestCase):
        def make(self, domains, directions, seed):
            return make("random", domains, directions, seed)

    with pytest.raises(AssertionError, match="the last 30"):
        Claims().test_feasible_suggestions_become_more()
    with pytest.raises(AssertionError, match="without"):
        Claims().test_feasibility_is_learned_from_trials_it_did_not_propose()


# A landscape with a plain trade-off: every choice that is larger gains score and cost, and some gain more score for it.


def score_and_cost(params):
    weights = dict(zip(DOMAINS, (5, 1, 3, 1, 2, 0), strict=True))
    steps = {path: choices.index(params[path]) / 4 for path, choices in DOMAINS.items()}
    return sum(weights[path] * step for path, step in steps.items()) / 12, sum(steps.values()) / 6


def evaluate(params, limit=0.4):
    score, cost = score_and_cost(params)
    constraints = {"memory": cost / limit - 1}
    return Completed(values=(score, cost), constraints=constraints) if cost <= limit else Infeasible(constraints=constraints)


def ask(engine, count):
    """Params of `count` suggestions, none told."""
    return [engine.ask().params for _ in range(count)]


def search(engine, trials, known=()):
    """Outcomes of `trials` distinct feasible archs beside the known ones; refused and repeated suggestions are told and cost nothing."""
    found = dict(known)
    while len(found) < len(known) + trials:
        params = engine.ask().params
        outcome = evaluate(params)
        engine.tell(params, outcome)
        if isinstance(outcome, Completed):
            found[tuple(params.items())] = outcome
    return found


def volume(found):
    return hypervolume([(-outcome.values[0], outcome.values[1]) for outcome in found.values()], (0.0, 0.4))


def refilled(sampler, found, seed=0):
    engine = make(sampler, seed=seed)
    for items, outcome in found.items():
        engine.tell(dict(items), outcome)
    return engine


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe"])
def test_a_search_beats_random_search(sampler):
    volumes = {name: statistics.mean(volume(search(make(name, seed=seed), 60)) for seed in range(4)) for name in (sampler, "random")}
    assert volumes[sampler] > volumes["random"] + 0.01


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe"])
def test_a_resumed_search_beats_a_resumed_random_search(sampler):
    gains = {sampler: 0.0, "random": 0.0}
    for seed in range(4):
        ledger = search(make("random", seed=seed), 40)
        for name in gains:
            gains[name] += volume(search(refilled(name, ledger, seed), 20, ledger)) / 4
    assert gains[sampler] > gains["random"] + 0.01


GENETIC = ["nsga2", "nsga3"]


@pytest.mark.parametrize("sampler", GENETIC)
def test_after_a_refill_breeding_is_from_what_was_told(sampler):
    # Each param of the ledger's archs takes two of its five choices. A child of theirs has other choices only where it mutates: one
    # param in six on average. A random arch would have them in three of five.
    ledger = [dict(zip(DOMAINS, ((2, 4)[number >> bit & 1] for bit in range(6)), strict=True)) for number in range(16)]
    engine = make(sampler)
    for params in ledger:
        engine.tell(params, Completed(values=score_and_cost(params)))
    children = ask(engine, 50)
    foreign = sum(value not in (2, 4) for params in children for value in params.values()) / (50 * 6)
    assert foreign < 0.25


@pytest.mark.parametrize("sampler", GENETIC)
def test_after_a_refill_breeding_is_from_the_best_alone(sampler):
    good = [dict.fromkeys(DOMAINS, 1) | {"stages.0.depth": (8, 16)[i % 2], "stages.1.depth": (8, 16)[i // 2 % 2]} for i in range(4)]
    good += [params | {"stages.2.depth": 8} for params in good]
    bad = [dict.fromkeys(DOMAINS, 2) | {path: 4} for path in DOMAINS] + [dict.fromkeys(DOMAINS, 2), dict.fromkeys(DOMAINS, 4)]
    engine = make(sampler, population=8)
    for params in good:
        engine.tell(params, Completed(values=(1.0, 0.0)))
    for params in bad:
        engine.tell(params, Completed(values=(0.0, 1.0)))
    share = sum(params["stages.0.depth"] in (8, 16) for params in ask(engine, 60)) / 60
    assert share > 0.8


@pytest.mark.parametrize("sampler", GENETIC)
def test_a_trial_that_is_told_late_still_becomes_a_parent(sampler):
    shared = 0
    for seed in range(8):
        engine = make(sampler, population=2, seed=seed)
        slow = engine.ask().params
        # Generations pass while it trains.
        for _ in range(9):
            engine.tell(engine.ask().params, Completed(values=(0.0, 1.0)))
        engine.tell(slow, Completed(values=(1.0, 0.0)))
        for _ in range(6):
            engine.tell(engine.ask().params, Completed(values=(0.0, 1.0)))
        shared += sum(child[path] == slow[path] for child in ask(engine, 40) for path in DOMAINS) / (40 * 6)
    # It dominates all others, so it is one of the two parents and its children share half of its choices; a fifth would be by chance.
    assert shared / 8 > 0.4


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_search_does_not_begin_its_suggestions_again(sampler):
    first = make(sampler, seed=3)
    suggested = []
    for _ in range(5):
        (params,) = ask(first, 1)
        suggested.append(params)
        first.tell(params, evaluate(params))
    second = make(sampler, seed=3)
    for params in suggested:
        second.tell(params, evaluate(params))
    assert ask(second, 5) != suggested


def test_suggestions_do_not_hang_on_the_order_of_sets():
    code = "import test_optuna as t; print(t.search(t.make('tpe', seed=1), 15).keys())"
    paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != b""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_gives_other_suggestions(sampler):
    assert ask(make(sampler, seed=1), 5) != ask(make(sampler, seed=2), 5)


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe"])
@pytest.mark.parametrize("bad", [Infeasible(constraints={"memory": 1.0}), Failed(reason="NaN")], ids=["infeasible", "failed"])
def test_what_cannot_be_trained_is_proposed_less(sampler, bad):
    domains = {"stages.0.depth": (1, 2), "stages.0.width": (1, 2, 3, 4), "stages.1.width": (1, 2, 3, 4)}
    engine = make(sampler, domains)
    late = 0
    for number in range(120):
        params = engine.ask().params
        engine.tell(params, bad if params["stages.0.depth"] == 2 else Completed(values=(float(params["stages.0.width"]), 1.0)))
        late += number >= 80 and params["stages.0.depth"] == 2
    assert late < 12  # of 40; half of them without learning


MEMORIES = ("nsga2", "tpe")
"""A sampler that remembers what it is told itself, and one that looks at the study."""


def told(engine):
    """The engine's own memory: values and constraints of its trials that count."""
    sampler = engine._study.sampler
    trials = sampler._newcomers if isinstance(sampler, RefusalAware) else engine._study.trials
    return [(trial.values, trial.constraints) for trial in trials if trial.values is not None]


@pytest.mark.parametrize("sampler", MEMORIES)
def test_what_has_no_values_is_remembered_as_worse_than_all_seen(sampler):
    engine = make(sampler)
    first, second, third, fourth = ask(engine, 4)
    engine.tell(first, Completed(values=(0.5, 3e9), constraints={"memory": -0.5}))
    engine.tell(second, Completed(values=(0.25, 2e9), constraints={"memory": -0.5}))
    engine.tell(third, Infeasible(constraints={"memory": 0.5}))
    engine.tell(fourth, Failed(reason="NaN"))
    (_, _, infeasible, failed) = told(engine)
    for values, _ in (infeasible, failed):
        assert values[0] > -0.25, "turned to minimise"
        assert 3e9 < values[1] < 1e12


@pytest.mark.parametrize("sampler", MEMORIES)
def test_every_trial_has_every_constraint(sampler):
    engine = make(sampler)
    first, second, third, fourth = ask(engine, 4)
    engine.tell(first, Infeasible(constraints={"memory": 0.5, "throughput": -0.1}))
    engine.tell(second, Completed(values=(0.5, 1.0)))
    engine.tell(third, Stopped(epochs=1, values=(0.5, 1.0)))
    engine.tell(fourth, Failed(reason="NaN"))
    assert [constraints for _, constraints in told(engine)] == [
        {"memory": 0.5, "throughput": -0.1, "failed": 0.0},
        {"memory": 0.0, "throughput": 0.0, "failed": 0.0},
        {"memory": 0.0, "throughput": 0.0, "failed": 0.0},
        {"memory": 0.0, "throughput": 0.0, "failed": 1.0},
    ]


@pytest.mark.parametrize("sampler", MEMORIES)
def test_what_is_told_first_stands(sampler):
    engine = make(sampler)
    (params,) = ask(engine, 1)
    engine.tell(params, Completed(values=(0.5, 1.0)))
    engine.tell(params, Infeasible(constraints={"memory": 9.0}))
    engine.tell(params, Completed(values=(0.9, 0.1)))
    assert [values for values, _ in told(engine)] == [[-0.5, 1.0]]


@pytest.mark.parametrize("sampler", MEMORIES)
def test_two_suggestions_of_one_arch_are_one_trial(sampler):
    engine = make(sampler, {"stages.0.depth": (1, 2)})
    ask(engine, 20)
    engine.tell({"stages.0.depth": 1}, Completed(values=(0.5, 1.0)))
    engine.tell({"stages.0.depth": 2}, Completed(values=(0.6, 2.0)))
    assert len(told(engine)) == 2
    assert not any(trial.state.name == "RUNNING" for trial in engine._study.trials)


@pytest.mark.parametrize(
    ("params", "law"),
    [
        ({**dict.fromkeys(DOMAINS, 1), "stages.0.dept": 1}, "did you mean 'stages.0.depth'"),
        ({**dict.fromkeys(DOMAINS, 1), "stages.0.depth": 3}, r"one of \[1, 2, 4, 8, 16\], but got 3 at stages.0.depth"),
        ({"stages.0.depth": 1}, "the param 'stages.0.width' is missing"),
    ],
)
def test_params_of_another_space_are_refused(params, law):
    with pytest.raises(ConfigError, match=law):
        make("nsga2").tell(params, Failed(reason="NaN"))


def test_values_must_be_one_an_objective():
    with pytest.raises(ConfigError, match="1 values and 2 directions"):
        make("nsga2").tell(dict.fromkeys(DOMAINS, 1), Completed(values=(1.0,)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_optuna_says_nothing_and_keeps_its_verbosity(sampler, capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine = make(sampler)
            (params,) = ask(engine, 1)
            engine.tell(params, evaluate(params))
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


def test_a_gaussian_process_with_nothing_to_find_says_nothing(short_gp, capfd):
    engine = make("gp", TestGP.domains, ("maximize",))
    for _ in range(25):
        engine.tell(engine.ask().params, Infeasible(constraints={"memory": 0.5}))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_a_thousand_refusals_take_seconds(sampler):
    engine = make(sampler)
    started = time.process_time()
    for _ in range(1000):
        (params,) = ask(engine, 1)
        engine.tell(params, evaluate(params))
    # 1 to 5 s on a slow core, mostly TPE's; a cost that grew with the square of the trials would be minutes.
    assert time.process_time() - started < 30


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_turning_an_objective_round_changes_no_suggestion(sampler, short_gp):
    # Optuna's NSGA-III takes the least value for the best, whatever the direction: it is told of nothing to maximise.
    up, down = make(sampler, directions=("maximize", "minimize")), make(sampler, directions=("minimize", "minimize"))
    for number in range(13 if sampler == "gp" else 60):
        (params,) = ask(up, 1)
        assert ask(down, 1) == [params], f"suggestion {number}"
        score, cost = score_and_cost(params)
        up.tell(params, Completed(values=(score, cost)))
        down.tell(params, Completed(values=(-score, cost)))


@pytest.mark.parametrize(
    ("population", "objectives", "steps"), [(12, 1, 1), (2, 2, 1), (12, 2, 11), (2, 3, 1), (12, 3, 3), (15, 3, 4), (12, 4, 2)]
)
def test_nsga3_has_as_many_directions_as_its_population_holds(population, objectives, steps):
    assert divisions(population, objectives) == steps


def test_gaussian_processes_with_two_objectives_stay_within_a_budget_that_they_hear_of_late(short_gp):
    engine = make("gp", directions=("maximize", "minimize"))
    engine.tell(dict.fromkeys(DOMAINS, 16), Failed(reason="NaN"))
    waiting = engine.ask().params
    for _ in range(14):
        (params,) = ask(engine, 1)
        engine.tell(params, evaluate(params))
    engine.tell(waiting, evaluate(waiting))
    assert {frozenset(constraints) for _, constraints in told(engine)} == {frozenset({"failed", "memory"})}
    assert len(told(engine)) == 16
    late = ask(engine, 4)
    assert sum(isinstance(evaluate(params), Completed) for params in late) >= 3, "a third of all archs are within the budget"


def test_a_budgets_constraints_are_known_before_any_is_told():
    engine = make_engine(tiny_study(budget=Budget(memory="1x", throughput="1x")))
    engine.tell(engine.ask().params, Failed(reason="NaN"))
    assert [constraints for _, constraints in told(engine)] == [{"failed": 1.0, "memory": 0.0, "throughput": 0.0}]


def test_without_pytorch_a_gaussian_process_is_refused_at_once(monkeypatch):
    study = tiny_study(engine=Proposer(name="optuna", sampler="gp"))
    check_engine(study)
    monkeypatch.setattr(fvsearch.engines, "is_installed", lambda name: name != "torch")
    with pytest.raises(MissingBackendError, match=r"the sampler \"gp\" computes in PyTorch, .* `pip install \"fvsearch\[torch\]\"`"):
        check_engine(study)
    check_engine(tiny_study())
    check_engine(tiny_study(space=None, engine=Proposer(name="listed", sampler="gp", archs=(tiny_arch(),))))
