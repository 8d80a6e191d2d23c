"""The front engine: what it proposes, what it learns from, and that it stays upright in odd cases."""

import itertools
import math
import random
import statistics

import numpy as np
import pytest

from fvsearch.archs.space import Space, StageSpace
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Done, Failed, Infeasible, Stopped, Suggestion, check_engine, engine_note, make_engine
from fvsearch.engines.front.archs import all_archs, costs_of
from fvsearch.engines.front.axes import Axes
from fvsearch.engines.front.candidates import Candidates
from fvsearch.engines.front.evidence import Encoder
from fvsearch.engines.front.judge import Judge, Told
from fvsearch.errors import ConfigError
from fvsearch.library import load_study
from fvsearch.pareto import hypervolume
from fvsearch.study import Objective, Proposer
from fvsearch.study.budgets import Budget
from fvsearch.testing import EngineTestCase, tiny_arch, tiny_study

TOP1, MEMORY = Objective(name="top1", direction="maximize"), Objective(name="memory", direction="minimize")
COSTS = (MEMORY, Objective(name="num_params", direction="minimize"), Objective(name="throughput", direction="maximize"))


def space_of(domains):
    """A space whose searched params are these."""

    def stage(index):
        fixed = {"depth": 1, "width": 64, "mlp_dim": 128, "pool_stride": 2 if index else 1}
        prefix = f"stages.{index}."
        return StageSpace(**(fixed | {path.removeprefix(prefix): choices for path, choices in domains.items() if path.startswith(prefix)}))

    whole = {path: choices for path, choices in domains.items() if "." not in path}
    stages = 1 + max((int(path.split(".")[1]) for path in domains if "." in path), default=0)
    return Space(name="domains", patch_size=2, stages=tuple(stage(index) for index in range(stages)), **whole)


class Conformance(EngineTestCase):
    objectives = (TOP1, MEMORY)
    # It does, but proposes nothing twice: of these 208 archs it has proposed what is feasible before the tests of the claim end.
    learns_feasibility = False

    @property
    def directions(self):
        return tuple(objective.direction for objective in self.objectives)

    def make(self, domains, directions, seed):
        study = tiny_study(space=space_of(domains), objectives=self.objectives, budget=Budget(), engine=Proposer(name="front"), seed=seed)
        return make_engine(study)


class TestTwoObjectives(Conformance):
    pass


class TestAccuracyAlone(Conformance):
    objectives = (TOP1,)


class TestFourObjectives(Conformance):
    objectives = (TOP1, *COSTS)


# A landscape: more of everything pays less and less, pooling early costs a little; noise as of seeds.


STUDY = tiny_study(objectives=(TOP1, MEMORY), engine=Proposer(name="front"))
PREDICTOR = Predictor(STUDY)


def accuracy(arch):
    size = sum(stage.depth * stage.width * (1 + stage.mlp_dim / 64) for stage in arch.stages)
    return 0.9 - 8 / (20 + size) - 0.02 * sum(stage.pool_stride > 1 for stage in arch.stages)


def evaluate(params, noise=0.0, rng=random.Random(0), study=STUDY, costs=PREDICTOR):  # noqa: B008
    arch = study.space.arch(params)
    known = costs.costs(arch)
    return Completed(values=(accuracy(arch) + rng.gauss(0, noise), *(known[o.name] for o in study.objectives[1:])))


def ask(engine, count=1):
    return [engine.ask().params for _ in range(count)]


def search(engine, trials, judge=evaluate, told=()):
    """Params and outcomes of so many trials, each told before the next is asked for."""
    found = list(told)
    for _ in range(trials):
        answer = engine.ask()
        if isinstance(answer, Done):
            break
        outcome = judge(answer.params)
        engine.tell(answer.params, outcome)
        found.append((answer.params, outcome))
    return found


def volume(params):
    """Of true values, from the worst of the budget."""
    archs = [STUDY.space.arch(one) for one in params]
    return hypervolume([(-accuracy(arch), PREDICTOR.costs(arch)["memory"] / PREDICTOR.baseline["memory"]) for arch in archs], (-0.3, 1.0))


# What it proposes


def test_nothing_is_proposed_twice_or_over_budget_as_predicted():
    found = [STUDY.space.arch(params) for params, _ in search(make_engine(STUDY), 40)]
    assert len(set(found)) == 40
    assert all(PREDICTOR.meets(arch) for arch in found)


def test_it_starts_at_both_ends_of_the_cost_and_between():
    study = load_study("quickstart", ["engine.name=front", "engine.starts=4"])
    predictor = Predictor(study)
    costs = costs_of(all_archs(study.space), predictor)["memory"]
    low, high = math.log(costs.min()), math.log(predictor.baseline["memory"])
    memory = sorted(predictor.costs(study.space.arch(params))["memory"] for params in ask(make_engine(study), 4))
    places = [(math.log(value) - low) / (high - low) for value in memory]
    assert places == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=0.031)


def test_a_start_is_the_arch_that_promises_most_of_those_that_cost_as_much():
    encoder, found = Encoder(STUDY), Candidates(all_archs(STUDY.space), PREDICTOR)
    promise, memory = encoder.promise(encoder.inputs(found.archs)), np.log(found.costs["memory"])
    reach = 0.03 * (memory.max() - memory.min())
    best = [promise[np.abs(memory - target) <= reach].max() for target in np.linspace(memory.min(), memory.max(), 4)]
    started = encoder.archs([STUDY.space.arch(params) for params in ask(make_engine(STUDY), 4)])
    assert sorted(encoder.promise(encoder.inputs(started))) == pytest.approx(sorted(best), abs=0.001)


def test_what_was_told_before_counts_as_starts():
    told = [(STUDY.space.params(arch), None) for arch in list(STUDY.space.archs())[:40:10]]
    engine = make_engine(STUDY.with_settings(seed=3))
    for params, _ in told:
        engine.tell(params, evaluate(params))
    again = make_engine(STUDY.with_settings(seed=4))
    for params, _ in told:
        again.tell(params, evaluate(params))
    # Of starts that promise alike the seed draws one; what follows from outcomes is not drawn.
    assert ask(engine) == ask(again)
    assert ask(make_engine(STUDY.with_settings(seed=3)), 4) != ask(make_engine(STUDY.with_settings(seed=4)), 4)


def test_starts_may_be_more_or_none():
    assert STUDY.engine.num_starts == 4
    many = make_engine(STUDY.with_settings(engine=Proposer(name="front", starts=9)))
    assert len({PREDICTOR.costs(STUDY.space.arch(params))["memory"] for params in ask(many, 9)}) >= 8
    none = make_engine(STUDY.with_settings(engine=Proposer(name="front", starts=0)))
    assert len(search(none, 6)) == 6


def test_it_wins_with_a_fraction_of_what_random_search_needs():
    rng, noise = random.Random(1), 0.01
    feasible = [STUDY.space.params(arch) for arch in STUDY.space.archs() if PREDICTOR.meets(arch)]
    whole, ours, theirs = volume(feasible), [], []
    for seed in range(4):
        engine = make_engine(STUDY.with_settings(seed=seed))
        ours.append(volume([params for params, _ in search(engine, 12, lambda params: evaluate(params, noise, rng))]) / whole)
        theirs.append(volume(random.Random(seed).sample(feasible, 36)) / whole)
    assert statistics.mean(ours) > 0.97
    assert statistics.mean(ours) > statistics.mean(theirs) + 0.02, f"{ours} of 12 trials each, {theirs} of 36 at random"


def test_eight_workers_ask_for_eight_different_archs_before_and_after_anything_is_told():
    engine = make_engine(STUDY)
    first = ask(engine, 8)
    assert len({STUDY.space.arch(params) for params in first}) == 8
    for params in first:
        engine.tell(params, evaluate(params))
    second = ask(engine, 8)
    assert len({STUDY.space.arch(params) for params in [*first, *second]}) == 16


def test_more_workers_than_starts_begin_between_the_starts():
    study = load_study("quickstart", ["engine.name=front"])
    predictor = Predictor(study)
    memory = np.log(sorted(predictor.costs(study.space.arch(params))["memory"] for params in ask(make_engine(study), 7)))
    places = (memory - memory[0]) / (memory[-1] - memory[0])
    assert places == pytest.approx(np.linspace(0, 1, 7), abs=0.065)


def test_pending_trials_push_it_elsewhere_on_the_front():
    engine = make_engine(STUDY)
    search(engine, 10)
    memory = [PREDICTOR.costs(STUDY.space.arch(params))["memory"] for params in ask(engine, 8)]
    assert max(memory) > 1.3 * min(memory), "eight of one corner tell no more than one"


# Its state is what it was told


@pytest.mark.parametrize("known", [1, 3, 5, 14])
def test_killed_and_told_the_same_it_proposes_the_same(known):
    engine = make_engine(STUDY)
    told = search(engine, known)
    again = make_engine(STUDY)
    # As a resumed search tells them: by when they ended.
    for params, outcome in told:
        again.tell(params, outcome)
    assert search(again, 4) == search(engine, 4)


def test_the_order_of_what_it_was_told_makes_no_difference():
    told = search(make_engine(STUDY), 9)
    engines = make_engine(STUDY), make_engine(STUDY)
    for engine, order in zip(engines, (told, told[::-1]), strict=True):
        for params, outcome in order:
            engine.tell(params, outcome)
    assert ask(engines[0], 3) == ask(engines[1], 3)


def test_a_stopped_arch_told_again_counts_once_it_is_completed():
    told = search(make_engine(STUDY), 8)
    direct, by_rungs = make_engine(STUDY), make_engine(STUDY)
    for params, outcome in told:
        direct.tell(params, outcome)
        by_rungs.tell(params, Stopped(epochs=1, values=outcome.values))
        by_rungs.tell(params, outcome)
        by_rungs.tell(params, Stopped(epochs=2, values=outcome.values))
    assert ask(direct) == ask(by_rungs)


# What measurement teaches


def over(params, factor):
    """As `trials.py` has it: memory is measured, and too much ends the trial."""
    memory = factor * PREDICTOR.costs(STUDY.space.arch(params))["memory"]
    violation = memory / PREDICTOR.baseline["memory"] - 1
    if violation > 0:
        return Infeasible(constraints={"memory": violation})
    return Completed(values=(accuracy(STUDY.space.arch(params)), memory), constraints={"memory": violation})


def test_what_is_refused_by_measurement_is_proposed_less():
    # A third more memory than predicted: of 118 archs within budget as predicted, half are not.
    within = [arch for arch in STUDY.space.archs() if PREDICTOR.meets(arch)]
    assert 40 < sum(1.33 * PREDICTOR.costs(arch)["memory"] > PREDICTOR.baseline["memory"] for arch in within) < 80
    outcomes = [outcome for _, outcome in search(make_engine(STUDY), 24, lambda params: over(params, 1.33))]
    refused = [isinstance(outcome, Infeasible) for outcome in outcomes]
    assert sum(refused[:4]) >= 1, "the dearest start is"
    assert sum(refused[4:]) <= 2


def test_a_device_that_ran_out_of_memory_teaches_without_a_number():
    def outcome(params):
        found = over(params, 1.2)
        return Infeasible(constraints={"memory": 1.0}) if isinstance(found, Infeasible) else found

    refused = [isinstance(outcome, Infeasible) for _, outcome in search(make_engine(STUDY), 24, outcome)]
    assert sum(refused[12:]) <= 2


def test_a_constraint_that_is_not_predicted_is_learned():
    study = STUDY.with_settings(budget=Budget())

    def outcome(params):
        arch = study.space.arch(params)
        violation = sum(stage.depth for stage in arch.stages) / 2.5 - 1
        if violation > 0:
            return Infeasible(constraints={"depth": violation})
        return Completed(values=(accuracy(arch), PREDICTOR.costs(arch)["memory"]), constraints={"depth": violation})

    share = statistics.mean(isinstance(outcome(study.space.params(arch)), Infeasible) for arch in study.space.archs())
    refused = [isinstance(outcome, Infeasible) for _, outcome in search(make_engine(study), 30, outcome)]
    assert statistics.mean(refused[14:]) < 0.5 * share


def test_what_fails_near_failures_is_proposed_less():
    def outcome(params):
        wide = any(stage.width == 32 for stage in STUDY.space.arch(params).stages)
        return Failed(reason="the loss became NaN") if wide else evaluate(params)

    share = statistics.mean(isinstance(outcome(STUDY.space.params(arch)), Failed) for arch in STUDY.space.archs() if PREDICTOR.meets(arch))
    failed = [isinstance(outcome, Failed) for _, outcome in search(make_engine(STUDY), 24, outcome)]
    assert statistics.mean(failed[12:]) < 0.5 * share


CALIBRATED = Predictor(STUDY, margins={"memory": 0.1, "throughput": 0.1})


def test_what_a_margin_lets_in_is_tried_at_first_and_left_once_it_is_over_budget_as_predicted():
    within = [CALIBRATED.costs(arch)["memory"] for arch in STUDY.space.archs() if CALIBRATED.meets(arch)]
    assert sum(memory > CALIBRATED.baseline["memory"] for memory in within) > 0.1 * len(within)
    refused = [
        isinstance(outcome, Infeasible) for _, outcome in search(make_engine(STUDY, CALIBRATED), 30, lambda params: over(params, 1.0))
    ]
    assert sum(refused[4:]) == 0


def test_throughput_as_predicted_within_a_margin_is_no_measurement():
    study = STUDY.with_settings(budget=Budget(throughput="1.5x"))
    predictor = Predictor(study, margins={"memory": 0.1, "throughput": 0.1})

    def outcome(params):
        known = predictor.costs(study.space.arch(params))
        told = predictor.violations({"throughput": known["throughput"]})
        return Completed(values=(accuracy(study.space.arch(params)), known["memory"]), constraints=told)

    told = [Told(study.space.arch(params), outcome) for params, outcome in search(make_engine(study, predictor), 8, outcome)]
    found, encoder = Candidates(all_archs(study.space), predictor), Encoder(study)
    inputs = encoder.inputs(found.archs)
    judge = Judge(study, predictor, encoder, Axes(study.objectives, found.costs), told, ())
    mean, deviation = judge.errors["throughput"].of(inputs)
    assert not mean.any()
    assert deviation == pytest.approx(0.1 / 1.645)


def test_what_is_pending_costs_what_measurement_says_that_it_costs():
    # Memory is 40% more than predicted.
    told = [Told(STUDY.space.arch(params), outcome) for params, outcome in search(make_engine(STUDY), 12, lambda params: over(params, 1.4))]
    found, encoder = Candidates(all_archs(STUDY.space), PREDICTOR), Encoder(STUDY)
    axes = Axes(STUDY.objectives, found.costs)
    cheapest = found.archs.arch(int(np.argmin(found.costs["memory"])))
    told = [one for one in told if one.arch != cheapest]
    judge = Judge(STUDY, PREDICTOR, encoder, axes, told, [cheapest])
    mean, _ = judge.errors["memory"].of(encoder.inputs(encoder.archs([cheapest])))
    assert math.exp(mean[0]) == pytest.approx(1.4, abs=0.1)
    expected = axes({"memory": np.array([PREDICTOR.costs(cheapest)["memory"] * math.exp(mean[0])])}, 1)
    # Nothing is cheaper, so it is on the front.
    assert judge.front.costs.min() == pytest.approx(expected.item())


# Odd cases


def test_one_feasible_arch_is_proposed_and_then_it_is_done():
    least = min(PREDICTOR.costs(arch)["memory"] / PREDICTOR.baseline["memory"] for arch in STUDY.space.archs())
    study = STUDY.with_settings(budget=Budget(memory=f"{least * 1.0001:.6f}x"))
    found = search(make_engine(study), 5)
    assert len(found) == 1
    answer = make_engine(study)
    assert isinstance(answer.ask(), Suggestion)
    assert isinstance(answer.ask(), Done), "nothing could come of waiting"


@pytest.mark.parametrize("value", [0.5, 0.0, 1.0])
def test_constant_accuracy_ends_with_the_cheapest_tried(value):
    found = search(make_engine(STUDY), 12, lambda params: Completed(values=(value, evaluate(params).values[1])))
    memory = [PREDICTOR.costs(STUDY.space.arch(params))["memory"] for params, _ in found]
    assert min(memory) == min(PREDICTOR.costs(arch)["memory"] for arch in STUDY.space.archs())
    assert len(set(memory)) >= 8


def test_ties_are_broken_the_same_way_every_time():
    def tied(params):
        return Completed(values=(round(accuracy(STUDY.space.arch(params)), 1), 1e6))

    assert search(make_engine(STUDY), 12, tied) == search(make_engine(STUDY), 12, tied)


def test_three_trials_are_two_ends_of_the_cost_and_one_between():
    memory = [PREDICTOR.costs(STUDY.space.arch(params))["memory"] for params, _ in search(make_engine(STUDY), 3)]
    feasible = Candidates(all_archs(STUDY.space), PREDICTOR).costs["memory"]
    assert (memory[0], memory[1]) == (feasible.min(), feasible.max())
    assert memory[0] < memory[2] < memory[1]


def test_everything_over_budget_as_measured():
    found = search(make_engine(STUDY), 20, lambda params: Infeasible(constraints={"memory": 3.0}))
    assert len({STUDY.space.arch(params) for params, _ in found}) == 20


def test_everything_stopped_at_a_rung_and_nothing_completed():
    def stopped(params):
        return Stopped(epochs=1, values=evaluate(params).values)

    found = search(make_engine(STUDY), 12, stopped)
    assert len({STUDY.space.arch(params) for params, _ in found}) == 12
    # A rung ends an arch in its first training, however many it was to have.
    assert search(make_engine(STUDY.with_settings(repeats=3)), 12, stopped) == found


def test_repeats_are_less_noise():
    told = search(make_engine(STUDY), 9, lambda params: evaluate(params, 0.05))
    once, often = make_engine(STUDY), make_engine(STUDY.with_settings(repeats=20))
    for params, outcome in told:
        once.tell(params, outcome)
        often.tell(params, outcome)
    assert ask(once, 4) != ask(often, 4)


def test_one_param_is_all_that_differs():
    space = space_of({"stages.0.mlp_dim": tuple(range(32, 320, 32))})
    study = STUDY.with_settings(space=space, budget=Budget())

    def outcome(params):
        size = space.arch(params).stages[0].mlp_dim
        return Completed(values=(size / 400, 1e6 + size))

    found = search(make_engine(study), 12, outcome)
    assert sorted(space.arch(params).stages[0].mlp_dim for params, _ in found) == list(range(32, 320, 32))


def test_a_loss_goes_down():
    study = STUDY.with_settings(objectives=(Objective(name="loss", direction="minimize"), MEMORY))

    def outcome(params):
        top1, memory = evaluate(params).values
        return Completed(values=(2 * (1 - top1), memory))

    found = search(make_engine(study), 12, outcome)
    feasible = sorted(2 * (1 - accuracy(arch)) for arch in study.space.archs() if PREDICTOR.meets(arch))
    assert min(outcome.values[0] for _, outcome in found) <= feasible[len(feasible) // 20]


def test_everything_failed_and_nothing_completed():
    found = search(make_engine(STUDY), 20, lambda params: Failed(reason="NaN"))
    assert len({STUDY.space.arch(params) for params, _ in found}) == 20


def test_one_wild_value_does_not_stop_it():
    engine = make_engine(tiny_study(objectives=(Objective(name="loss", direction="minimize"), MEMORY), engine=Proposer(name="front")))

    def wild(params, numbers=itertools.count()):  # noqa: B008
        return Completed(values=(1e9 if next(numbers) == 3 else 1.0, evaluate(params).values[1]))

    assert len(search(engine, 12, wild)) == 12


@pytest.mark.parametrize(
    "objectives",
    [(TOP1,), (TOP1, Objective(name="throughput", direction="maximize")), (MEMORY, TOP1), (TOP1, *COSTS)],
    ids=lambda objectives: "-".join(objective.name for objective in objectives),
)
def test_each_kind_of_cost_alone_and_together(objectives):
    study = STUDY.with_settings(objectives=objectives)

    def outcome(params):
        arch = study.space.arch(params)
        known = {"top1": accuracy(arch), **PREDICTOR.costs(arch)}
        return Completed(values=tuple(known[objective.name] for objective in objectives))

    found = search(make_engine(study), 14, outcome)
    assert len(found) == 14
    feasible = [accuracy(arch) for arch in study.space.archs() if PREDICTOR.meets(arch)]
    best = max(outcome.values[objectives.index(TOP1)] for _, outcome in found)
    # The more costs there are to be good at, the fewer trials go for accuracy.
    assert sum(value > best for value in feasible) <= 0.05 * len(objectives) * len(feasible)


def test_a_list_is_chosen_from_like_a_space():
    archs = tuple(arch for arch in STUDY.space.archs() if PREDICTOR.meets(arch))[::9]
    study = STUDY.with_settings(space=None, engine=Proposer(name="front", archs=archs))

    def outcome(params):
        arch = archs[params["index"]]
        return Completed(values=(accuracy(arch), PREDICTOR.costs(arch)["memory"]))

    found = search(make_engine(study), len(archs) + 1, outcome)
    assert sorted(params["index"] for params, _ in found) == list(range(len(archs)))


class Table:
    """Somebody's own costs, with a budget of their own."""

    def costs(self, arch):
        return {"memory": float(sum(stage.depth * stage.width for stage in arch.stages)), "seconds": 1.0}

    def violations(self, costs):
        return {"memory": costs["memory"] / 60 - 1}


def test_costs_may_be_anybodys():
    found = search(make_engine(STUDY, Table()), 20, lambda params: evaluate(params, costs=Table()))
    assert len(found) == 20
    assert all(Table().costs(STUDY.space.arch(params))["memory"] <= 60 for params, _ in found)


class Above(Table):
    """Costs above those of the cheapest, which are 0."""

    def costs(self, arch):
        return {"memory": super().costs(arch)["memory"] - 16}

    def violations(self, costs):
        return {}


@pytest.mark.parametrize("candidates", [1_000_000, 60], ids=["whole", "drawn"])
def test_a_first_cost_may_be_zero(candidates):
    engine = make_engine(STUDY.with_settings(engine=Proposer(name="front", candidates=candidates)), Above())
    found = search(engine, 10, lambda params: evaluate(params, costs=Above()))
    memory = [outcome.values[1] for _, outcome in found]
    assert len(found) == 10
    assert max(memory[:4]) > 60
    assert min(memory[:4]) <= 16 * (candidates < 1_000_000)


def test_costs_of_somebody_need_not_tell_more_than_the_objectives():
    study = STUDY.with_settings(objectives=(TOP1,), budget=Budget())
    found = search(make_engine(study, Table()), 12, lambda params: evaluate(params, study=study))
    assert all(Table().costs(study.space.arch(params))["memory"] <= 60 for params, _ in found)
    within = [accuracy(arch) for arch in study.space.archs() if Table().costs(arch)["memory"] <= 60]
    assert sum(value > max(outcome.values[0] for _, outcome in found) for value in within) <= 0.05 * len(within)


def test_a_table_of_archs_with_costs_of_its_own():
    archs = tuple(arch for arch in STUDY.space.archs() if Table().costs(arch)["memory"] <= 90)[::11]
    study = STUDY.with_settings(space=None, engine=Proposer(name="front", archs=archs), budget=Budget())
    rng = random.Random(3)
    table = [rng.choice((0.1, 0.4, 0.4, 0.7)) for _ in archs]

    def outcome(params):
        index = params["index"]
        return Completed(values=(table[index], Table().costs(archs[index])["memory"]))

    found = search(make_engine(study, Table()), len(archs), outcome)
    assert sorted(params["index"] for params, _ in found) == [
        index for index, arch in enumerate(archs) if Table().costs(arch)["memory"] <= 60
    ]


@pytest.mark.parametrize("starts", [0, 8], ids=["at first", "after some"])
def test_a_budget_may_be_named_only_where_it_is_not_met(starts):
    class Quiet(Table):
        def violations(self, costs):
            return {name: value for name, value in super().violations(costs).items() if value > 0}

    engine = make_engine(STUDY, Quiet())
    found = search(engine, starts + 4, lambda params: evaluate(params, costs=Quiet()))
    assert all(Table().costs(STUDY.space.arch(params))["memory"] <= 60 for params, _ in found)


def test_where_it_starts_does_not_depend_on_the_unit_of_a_cost():
    class Units(Table):
        def __init__(self, unit):
            self.unit = unit

        def costs(self, arch):
            return {"memory": 2 ** (super().costs(arch)["memory"] / 16) / self.unit}

        def violations(self, costs):
            return {"memory": costs["memory"] * self.unit / 16 - 1}

    for power in range(-20, 21):
        costs = Units(math.exp(power))
        starts = [costs.costs(STUDY.space.arch(params))["memory"] * costs.unit for params in ask(make_engine(STUDY, costs), 4)]
        assert starts == pytest.approx([2, 16, 4, 8])


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "1 GiB"])
def test_costs_that_are_no_numbers_are_a_sentence(value):
    class Broken(Table):
        def costs(self, arch):
            return super().costs(arch) | ({"seconds": value} if arch.depth == 3 else {})

    with pytest.raises(ConfigError, match="`costs` must tell a finite number for each of memory, seconds"):
        make_engine(STUDY, Broken()).ask()


@pytest.mark.parametrize("told", [None, {"memory": math.nan}, {"memory": "met"}])
def test_violations_that_are_no_numbers_are_a_sentence(told):
    class Broken(Table):
        def violations(self, costs):
            return told

    with pytest.raises(ConfigError, match="`violations` must tell a number for each budget"):
        make_engine(STUDY, Broken()).ask()


def test_costs_that_leave_an_objective_out_are_a_sentence():
    class Other(Table):
        def costs(self, arch):
            return {"seconds": 1.0}

        def violations(self, costs):
            return {}

    with pytest.raises(ConfigError, match="`costs` must tell the objectives memory of every arch, but tell seconds"):
        make_engine(STUDY, Other()).ask()


def test_violations_are_asked_of_what_was_told_and_no_more():
    class Strict(Table):
        def violations(self, costs):
            assert set(costs) == {"memory", "seconds"}
            return super().violations(costs)

    engine = make_engine(STUDY.with_settings(objectives=(TOP1,), budget=Budget()), Strict())
    assert isinstance(engine.ask(), Suggestion)


@pytest.mark.parametrize("diverged", [20.0, 1e9, 1e155, 1e300])
def test_a_loss_that_diverged_says_no_more_than_one_that_learned_nothing(diverged):
    loss = Objective(name="loss", direction="minimize")
    study = STUDY.with_settings(objectives=(loss, MEMORY))

    def told(worst):
        def outcome(params):
            arch = study.space.arch(params)
            learned = worst if arch.depth == 3 else 1 - accuracy(arch)
            return Completed(values=(learned, Predictor(study).costs(arch)["memory"]))

        return [params for params, _ in search(make_engine(study), 14, outcome)]

    found = told(diverged)
    assert found == told(math.log(10))
    assert len({study.space.arch(params).arch_hash for params in found}) == 14


def test_a_draw_that_is_exhausted_is_not_the_space():
    class Tight(Table):
        """Few meet it, and they are no neighbours."""

        def violations(self, costs):
            return {"memory": 0.0 if costs["memory"] % 80 == 0 else 1.0}

    left = {arch.arch_hash for arch in STUDY.space.archs() if Tight().violations(Tight().costs(arch))["memory"] <= 0}
    study = STUDY.with_settings(engine=Proposer(name="front", candidates=60))
    found = search(make_engine(study, Tight()), 10 * len(left), lambda params: evaluate(params, costs=Tight()))
    hashes = [STUDY.space.arch(params).arch_hash for params, _ in found]
    assert len(hashes) == len(set(hashes)) >= 0.9 * len(left) > 5


def test_a_budget_in_images_a_second_is_learned_before_the_formula_knows_any():
    study = STUDY.with_settings(budget=Budget(throughput="400 images/s"))

    def outcome(params):
        return Completed(values=evaluate(params).values, constraints={"throughput": 1 - 500 / 400})

    # All meet it, and alike: it makes no difference.
    assert search(make_engine(study), 10, outcome) == search(make_engine(STUDY.with_settings(budget=Budget())), 10, outcome)


@pytest.mark.parametrize("rank", [5, 12, 30])
def test_of_a_space_that_is_too_large_a_tight_budget_leaves_what_no_draw_holds(rank):
    memory = sorted(PREDICTOR.costs(arch)["memory"] / PREDICTOR.baseline["memory"] for arch in STUDY.space.archs())
    tight = STUDY.with_settings(budget=Budget(memory=f"{memory[rank] * 1.0001:.6f}x"), engine=Proposer(name="front", candidates=10))
    within = [arch for arch in STUDY.space.archs() if Predictor(tight).meets(arch)]
    engine = make_engine(tight)
    found = search(engine, len(within) + 1)
    assert {STUDY.space.arch(params) for params, _ in found} == set(within)
    assert engine.ask() == Done(reason="every arch that was found within budget as predicted was tried")


def test_of_a_space_that_is_too_large_a_draw_is_looked_at_and_what_is_near_its_best():
    whole = make_engine(STUDY)
    drawing = make_engine(STUDY.with_settings(engine=Proposer(name="front", candidates=40)))
    for params, outcome in search(make_engine(STUDY), 10):
        whole.tell(params, outcome)
        drawing.tell(params, outcome)
    # 40 of 960 archs are a poor choice; the steps from them to their neighbours find what the whole space has, or next to it.
    best, found = (STUDY.space.arch(engine.ask().params) for engine in (whole, drawing))
    assert PREDICTOR.meets(found)
    differing = [path for path, value in STUDY.space.params(best).items() if STUDY.space.params(found)[path] != value]
    assert len(differing) <= 2


def test_a_draw_is_renewed_and_the_same_again_after_a_kill():
    study = STUDY.with_settings(engine=Proposer(name="front", candidates=50))
    engine = make_engine(study)
    told = search(engine, 18)
    assert len({STUDY.space.arch(params) for params, _ in told}) == 18
    again = make_engine(study)
    for params, outcome in told:
        again.tell(params, outcome)
    assert ask(again, 2) == ask(engine, 2)


# Laws


@pytest.mark.parametrize(
    ("objectives", "sentence"),
    [
        (
            (TOP1, Objective(name="loss", direction="minimize"), MEMORY),
            "learns one of top1, top5, loss .* the study has top1, loss, memory",
        ),
        ((TOP1, *COSTS, Objective(name="macs", direction="minimize")), "at most 3 costs among the objectives"),
    ],
)
def test_objectives_that_do_not_fit_are_refused_before_any_work(objectives, sentence):
    study = STUDY.with_settings(objectives=objectives)
    for refusing in (check_engine, make_engine):
        with pytest.raises(ConfigError, match=sentence) as caught:
            refusing(study)
        assert 'engine.name = "optuna"' in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("activation", "relu"), ("norm_epsilon", 1e-5)])
def test_listed_archs_that_differ_in_what_is_not_seen_of_them_are_refused(name, value):
    study = STUDY.with_settings(space=None, engine=Proposer(name="front", archs=(tiny_arch(), tiny_arch(**{name: value}))))
    for refusing in (check_engine, make_engine):
        with pytest.raises(ConfigError, match=rf'sees no difference in `{name}`, .* at engine.archs\[1\]; .* engine.name = "listed"'):
            refusing(study)
    # All alike are no matter.
    alike = STUDY.with_settings(space=None, engine=Proposer(name="front", archs=(tiny_arch(**{name: value}),)))
    assert ask(make_engine(alike)) == [{"index": 0}]


def test_throughput_that_nothing_tells_before_it_is_measured_is_refused():
    study = STUDY.with_settings(objectives=(TOP1, COSTS[2]), budget=Budget(throughput="400 images/s"))
    with pytest.raises(ConfigError, match=r"must know the objective throughput .* '400 images/s' at budget.throughput"):
        make_engine(study)
    known = Predictor.anchored(study, memory=1e6, throughput=1000.0)
    assert len(search(make_engine(study, known), 5, lambda params: evaluate(params, study=study, costs=known))) == 5


def test_params_of_another_space_and_values_that_are_not_one_an_objective_are_refused():
    engine = make_engine(STUDY)
    with pytest.raises(ConfigError, match="unknown param"):
        engine.tell({"stages.9.depth": 1}, Failed(reason="NaN"))
    with pytest.raises(ConfigError, match="one value for each objective, but got 1 values and 2 objectives"):
        engine.tell(ask(engine)[0], Completed(values=(0.5,)))
    listed = make_engine(STUDY.with_settings(space=None, engine=Proposer(name="front", archs=(tiny_arch(),))))
    with pytest.raises(ConfigError, match="one `index` from 0 to 0"):
        listed.tell({"index": 1}, Failed(reason="NaN"))


def test_a_user_is_told_whether_all_archs_are_looked_at_or_a_draw():
    assert engine_note(STUDY) == "the engine looks at all of them for each proposal"
    large = engine_note(load_study("reinvestment-shapes", ["engine.name=front"]))
    assert large.startswith("the engine looks at a draw of 100,000 for each proposal, renewed as it goes on")
    assert engine_note(tiny_study()) == ""
    listed = STUDY.with_settings(space=None, engine=Proposer(name="front", archs=tuple(STUDY.space.archs())[:9], candidates=4))
    assert engine_note(listed) == "the engine looks at all of them for each proposal"
