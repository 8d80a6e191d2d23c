from collections.abc import Mapping

import pytest

from fvsearch.archs.space import Param, Params
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Completed, Done, Infeasible, Outcome, Suggestion, Wait
from fvsearch.library import load_study
from fvsearch.search.screening import MAX_REFUSALS, MAX_REFUSALS_OF, Candidate, Screen
from fvsearch.testing import tiny_arch, tiny_study

SMALL, LARGE = {"stages.0.depth": 1}, {"stages.0.depth": 2, "stages.0.width": 64, "stages.1.depth": 2, "stages.1.width": 64}
DONE = Completed(values=(0.9, 1.0), constraints={"memory": -0.1})


class Scripted:
    """An engine that suggests what it is given, the last one for ever, and keeps what it is told."""

    def __init__(self, *answers: Params | Wait | Done) -> None:
        self.answers = list(answers)
        self.told: list[tuple[dict[str, Param], Outcome]] = []

    def ask(self) -> Suggestion | Wait | Done:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Suggestion(params=answer) if isinstance(answer, dict) else answer

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        self.told.append((dict(params), outcome))


def screen(engine: Scripted, *settings: str) -> Screen:
    study = load_study("quickstart", ["engine.name=optuna", "engine.starts=0", *settings])
    return Screen(study, engine, Predictor(study))


def test_a_suggestion_within_budget_passes() -> None:
    candidate = screen(Scripted(SMALL)).next()
    assert isinstance(candidate, Candidate)
    assert candidate.arch.stages[0].depth == 1
    assert candidate.params == SMALL
    assert candidate.predicted["memory"] > 0


def test_a_suggestion_over_budget_is_told_and_asked_again() -> None:
    engine = Scripted(LARGE, SMALL)
    found = screen(engine)
    assert found.next().params == SMALL
    [(params, outcome)] = engine.told
    assert params == LARGE
    assert isinstance(outcome, Infeasible)
    assert outcome.constraints["memory"] > 0
    assert found.refused == 1


def test_an_arch_that_was_evaluated_is_told_again_and_never_proposed_again() -> None:
    engine = Scripted(SMALL, SMALL, {"stages.0.depth": 2})
    found = screen(engine)
    first = found.next()
    found.dispatch(first.arch)
    found.tell(first.params, first.arch, DONE)
    assert found.next().params == {"stages.0.depth": 2}
    assert engine.told == [(SMALL, DONE), (SMALL, DONE)]
    assert found.repeated == 1


def test_an_arch_that_is_running_is_told_when_it_ends() -> None:
    engine = Scripted(SMALL, SMALL | {"stages.1.pooling": "max"}, {"stages.0.depth": 2})
    found = screen(engine)
    first = found.next()
    found.dispatch(first.arch)
    assert found.next().params == {"stages.0.depth": 2}
    assert engine.told == []
    found.tell(first.params, first.arch, DONE)
    assert engine.told == [(SMALL, DONE), (SMALL | {"stages.1.pooling": "max"}, DONE)]


@pytest.mark.parametrize(("sampler", "most"), [("nsga2", MAX_REFUSALS), ("gp", MAX_REFUSALS_OF["gp"])])
def test_an_engine_that_keeps_asking_for_the_impossible_does_not_hold_the_search_up(sampler: str, most: int) -> None:
    engine = Scripted(LARGE)
    found = screen(engine, f"engine.sampler={sampler}")
    candidate = found.next()
    assert isinstance(candidate, Candidate)
    assert candidate.params != LARGE
    assert found.refused == len(engine.told) == most
    assert candidate == screen(Scripted(LARGE), f"engine.sampler={sampler}").next(), "the same draw for the same seed and history"


def test_an_exhausted_space_is_a_normal_end() -> None:
    only = [f"space.stages.{i}.{name}={value}" for i in (0, 1, 2) for name, value in (("width", 48), ("mlp_dim", 96))]
    found = screen(
        Scripted(SMALL),
        *only,
        "space.stages.1.depth=1",
        "space.stages.1.pool_stride=2",
        "space.stages.1.pooling=max",
        "space.stages.2.depth=0",
    )
    for _ in range(2):
        candidate = found.next()
        assert isinstance(candidate, Candidate)
        found.dispatch(candidate.arch)
        found.tell(candidate.params, candidate.arch, DONE)
    assert isinstance(found.next(), Done)


def test_wait_and_done_pass_through() -> None:
    assert isinstance(screen(Scripted(Wait())).next(), Wait)
    assert screen(Scripted(Done(reason="no more"))).next() == Done(reason="no more")


def test_listed_archs_are_named_by_index() -> None:
    study = load_study("compression")
    found = Screen(study, Scripted({"index": 3}), Predictor(study)).next()
    assert found.arch == study.engine.archs[3]


def test_starts_come_before_the_engine_is_asked_and_once() -> None:
    engine = Scripted(SMALL)
    found = screen(engine, "engine.starts=3")
    starts = []
    for _ in range(3):
        candidate = found.next()
        assert isinstance(candidate, Candidate)
        found.dispatch(candidate.arch)
        starts.append(candidate.arch.arch_hash)
    assert len(set(starts)) == 3
    assert found.next().params == SMALL


RULES = ("space.rules.widths_never_rise=true", "space.rules.max_mlp_ratio=4")
RISING = {"stages.0.depth": 1, "stages.0.width": 16, "stages.0.mlp_dim": 128, "stages.1.depth": 1, "stages.1.width": 64}
"""Two widths that rise, and an MLP of eight times its width."""


def test_a_repaired_suggestion_is_trained_under_its_own_params_and_told_under_those_suggested() -> None:
    engine = Scripted(RISING, SMALL)
    found = screen(engine, *RULES)
    candidate = found.next()
    assert isinstance(candidate, Candidate)
    assert [(stage.width, stage.mlp_dim) for stage in candidate.arch.stages] == [(16, 64), (16, 32)]
    space = load_study("quickstart", RULES).space
    assert space is not None
    assert space.arch(candidate.params) == candidate.arch
    assert candidate.params["stages.1.width"] == 16
    found.dispatch(candidate.arch)
    found.tell(candidate.params, candidate.arch, DONE)
    assert engine.told == [(RISING, DONE)]


def test_a_suggestion_that_is_repaired_to_what_was_evaluated_is_told_its_outcome() -> None:
    engine = Scripted(RISING, RISING | {"stages.1.width": 48}, SMALL)
    found = screen(engine, *RULES)
    first = found.next()
    assert isinstance(first, Candidate)
    found.dispatch(first.arch)
    found.tell(first.params, first.arch, DONE)
    assert found.next().params == SMALL
    assert engine.told == [(RISING, DONE), (RISING | {"stages.1.width": 48}, DONE)]


def test_after_a_resume_the_engine_is_told_the_params_of_the_repaired_arch() -> None:
    candidate = screen(Scripted(RISING), *RULES).next()
    assert isinstance(candidate, Candidate)
    engine = Scripted(SMALL)
    screen(engine, *RULES).tell(candidate.params, candidate.arch, DONE)
    assert engine.told == [(candidate.params, DONE)]


def test_warm_starts_come_first_those_over_budget_left_out() -> None:
    study = load_study("quickstart", ["engine.name=optuna", "engine.starts=2"])
    space = study.space
    assert space is not None
    warm = [space.arch(SMALL | {"stages.0.width": 48}), space.arch(LARGE), space.arch({"stages.0.depth": 2})]
    engine = Scripted(SMALL)
    found = Screen(study, engine, Predictor(study), warm)
    assert found.skipped == (warm[1],)
    order = []
    for _ in range(5):
        candidate = found.next()
        assert isinstance(candidate, Candidate)
        found.dispatch(candidate.arch)
        found.tell(candidate.params, candidate.arch, DONE)
        order.append(candidate.arch)
    assert order[:2] == [warm[0], warm[2]]
    assert len(set(order)) == 5
    assert [params for params, _ in engine.told[:2]] == [space.params(warm[0]), space.params(warm[2])]


def test_warm_starts_of_a_list_are_named_by_index() -> None:
    study = load_study("compression")
    found = Screen(study, Scripted({"index": 0}), Predictor(study), [study.engine.archs[2]]).next()
    assert isinstance(found, Candidate)
    assert found.params == {"index": 2}


def test_an_engine_that_wants_to_know_is_told_what_is_evaluated_that_it_did_not_propose() -> None:
    class Knowing:
        def __init__(self) -> None:
            self.expected: list[Params] = []

        def ask(self) -> Done:
            return Done(reason="a test")

        def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
            pass

        def expect(self, params: Mapping[str, Param]) -> None:
            self.expected.append(dict(params))

    study, engine = tiny_study(), Knowing()
    screen = Screen(study, engine, Predictor(study))
    screen.dispatch(tiny_arch())
    outside = tiny_arch(patch_size=4)
    screen.dispatch(outside)
    assert study.space is not None
    assert engine.expected == [study.space.params(tiny_arch())]
