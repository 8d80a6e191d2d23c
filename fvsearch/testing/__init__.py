"""For tests, ours and yours: small records, and the class by which an engine proves itself.

from fvsearch.testing import EngineTestCase

class TestMyEngine(EngineTestCase):
    def make(self, domains, directions, seed):
        return MyEngine(domains, directions, seed)
"""

import itertools
import random
import unittest
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fvsearch.archs.arch import Arch, Stage
from fvsearch.archs.space import Param, Params, Range, Space, StageSpace
from fvsearch.engines.base import Completed, Done, Engine, Failed, Infeasible, Outcome, Stopped, Suggestion
from fvsearch.study import Data, Direction, Objective, Proposer, Study
from fvsearch.study.budgets import Budget
from fvsearch.study.recipe import Recipe

Domains = Mapping[str, tuple[Param, ...]]


def tiny_arch(**changes: Any) -> Arch:
    """Two pooled stages of one narrow block each; it builds and trains in a moment.

    Args:
        changes: Other fields of the Arch.
    """
    stages = (Stage(depth=1, width=16, mlp_dim=32, num_heads=2), Stage(depth=1, width=16, mlp_dim=32, num_heads=2, pool_stride=2))
    fields: dict[str, Any] = {"patch_size": 2, "stages": stages}
    return Arch(**(fields | changes))


def tiny_space(**changes: Any) -> Space:
    """A space that holds `tiny_arch()`, small enough to look at every member.

    Args:
        changes: Other fields of the Space.
    """
    first = StageSpace(depth=(1, 2), width=(16, 32), mlp_dim=(32, 64))
    second = StageSpace(depth=Range(low=0, high=2), width=(16, 32), mlp_dim=(32, 64), pool_stride=(1, 2), pooling=("mean", "max"))
    fields: dict[str, Any] = {"name": "tiny", "stages": (first, second), "patch_size": 2, "head_dim": 8}
    return Space(**(fields | changes))


def tiny_study(**changes: Any) -> Study:
    """A study of `tiny_space()` on the digits, one epoch a trial.

    Args:
        changes: Other fields of the Study.
    """
    unpooled = tiny_arch(stages=(Stage(depth=2, width=32, mlp_dim=64, num_heads=4),))
    fields: dict[str, Any] = {
        "name": "tiny",
        "space": tiny_space(),
        "baseline": unpooled,
        "data": Data(source="digits", image_size=8, channels=1, num_classes=10),
        "recipe": Recipe(epochs=1, batch_size=128),
        "budget": Budget(memory="1.0x"),
        "objectives": (Objective(name="top1", direction="maximize"), Objective(name="memory", direction="minimize")),
        "engine": Proposer(sampler="nsga2", population=4),
        "trials": 4,
    }
    return Study(**(fields | changes))


class EngineTestCase:
    """What every engine must do, as tests that pytest collects from a subclass named Test...

    Attributes:
        domains: The choices that the tests search; more of them make no test stronger.
        directions: Of the objectives.
        learns_feasibility: Whether the engine claims that, told what was infeasible, it proposes less of it.
        searches: That the tests of this claim add up, to be sure of it; fewer are enough for an engine whose suggestions are slow and sure.
    """

    domains: Domains = {
        "stages.0.depth": (1, 2, 4, 8),
        "stages.0.width": (64, 128, 192, 256),
        "stages.1.depth": (0, 2, 4, 8),
        "stages.1.pooling": ("mean", "max"),
        "pool_query_only": (True, False),
    }
    directions: Sequence[Direction] = ("maximize", "minimize")
    learns_feasibility = True
    searches = 4

    def make(self, domains: Domains, directions: Sequence[Direction], seed: int) -> Engine:
        """The engine to be tested, new."""
        raise NotImplementedError

    def test_suggestions_lie_in_the_domains(self) -> None:
        """Every suggestion has every param, with a choice of its domain and of its type."""
        suggestions = list(itertools.islice(self._suggestions(self._engine()), 60))
        assert suggestions, "an engine must propose something"
        for params in suggestions:
            self._require_in_domains(params)

    def test_several_may_be_asked_for_before_any_is_told(self) -> None:
        """Workers run side by side, and their outcomes come in any order."""
        engine = self._engine()
        asked = [answer.params for answer in (engine.ask() for _ in range(8)) if isinstance(answer, Suggestion)]
        assert asked, "an engine must propose something before it is told anything"
        for params in reversed(asked):
            self._require_in_domains(params)
            engine.tell(params, self._evaluate(params))
        self._require_going_on(engine)

    def test_each_outcome_can_be_told(self) -> None:
        """Each of the four, with constraints or without."""
        engine = self._engine()
        worst = self._completed({path: choices[-1] for path, choices in self.domains.items()})
        outcomes = (
            worst,
            Completed(values=worst.values),
            Infeasible(constraints={"memory": 0.5, "throughput": -0.2}),
            Stopped(epochs=1, values=worst.values),
            Failed(reason="the loss became NaN"),
        )
        for outcome in outcomes * 3:
            answer = engine.ask()
            if not isinstance(answer, Suggestion):
                return
            engine.tell(answer.params, outcome)
        self._require_going_on(engine)

    def test_infeasible_and_failed_can_be_told_before_anything_was_completed(self) -> None:
        """A search may begin with nothing but refusals."""
        for outcome in (Infeasible(constraints={"memory": 0.5}), Failed(reason="killed twice")):
            engine = self._engine()
            for params in itertools.islice(self._suggestions(engine, outcome), 40):
                self._require_in_domains(params)

    def test_outcomes_of_trials_it_did_not_propose_can_be_told(self) -> None:
        """A resumed search tells what its ledger holds."""
        engine = self._engine()
        for params in self._draws(30):
            engine.tell(params, self._evaluate(params))
        self._require_going_on(engine)

    def test_one_trial_told_again_is_harmless(self) -> None:
        """The outcome of a repeated suggestion is told again."""
        engine = self._engine()
        draws = self._draws(4)
        for params in [*draws, *draws, *draws]:
            engine.tell(params, self._completed(params))
        for params in itertools.islice(self._suggestions(engine), 20):
            engine.tell(params, self._evaluate(params))
        self._require_going_on(engine)

    def test_what_is_told_is_not_changed(self) -> None:
        """The params belong to whoever tells."""
        engine = self._engine()
        (params,) = self._draws(1)
        copy = dict(params)
        engine.tell(params, Infeasible(constraints={"memory": 0.5}))
        assert params == copy

    def test_the_same_seed_and_outcomes_give_the_same_suggestions(self) -> None:
        """With one worker a search can be repeated."""
        first, second = ([dict(p) for p in itertools.islice(self._suggestions(self._engine(seed=5)), 40)] for _ in range(2))
        assert first == second

    def test_feasible_suggestions_become_more(self) -> None:
        """What was refused is proposed less and less."""
        self._require_claim()
        early = late = 0
        for seed in range(self.searches):
            feasible = [self._violation(params) <= 0 for params in itertools.islice(self._suggestions(self._engine(seed)), 120)]
            early += sum(feasible[:30])
            late += sum(feasible[-30:])
        assert late >= early + 3 * self.searches, f"of 120 suggestions each, the first 30 held {early} feasible ones and the last 30 {late}"

    def test_feasibility_is_learned_from_trials_it_did_not_propose(self) -> None:
        """A resumed search knows what is infeasible as well as an uninterrupted one."""
        self._require_claim()
        informed = fresh = 0
        for seed in range(self.searches):
            engine = self._engine(seed)
            for params in self._draws(100):
                engine.tell(params, self._evaluate(params))
            informed += sum(self._violation(params) <= 0 for params in itertools.islice(self._suggestions(engine), 30))
            fresh += sum(self._violation(params) <= 0 for params in itertools.islice(self._suggestions(self._engine(seed)), 30))
        told = f"of {self.searches} x 30 suggestions {informed} were feasible after 100 outcomes, and {fresh} without"
        assert informed >= fresh + 3 * self.searches, told

    def _require_claim(self) -> None:
        if not self.learns_feasibility:
            raise unittest.SkipTest("this engine does not claim to learn feasibility")

    def _engine(self, seed: int = 0) -> Engine:
        return self.make(self.domains, self.directions, seed)

    def _suggestions(self, engine: Engine, outcome: Outcome | None = None) -> Iterator[Params]:
        """Params as proposed, each told its outcome before the next is asked for, until the engine is done."""
        while isinstance(answer := engine.ask(), Suggestion):
            yield answer.params
            engine.tell(answer.params, outcome or self._evaluate(answer.params))
        assert isinstance(answer, Done), "with nothing outstanding there is nothing to wait for"

    def _require_in_domains(self, params: Params) -> None:
        assert set(params) == set(self.domains), f"a suggestion must have the params {sorted(self.domains)}, but it has {sorted(params)}"
        for path, value in params.items():
            known = [choice for choice in self.domains[path] if choice == value and type(choice) is type(value)]
            assert known, f"{path} must be one of {self.domains[path]}, but was suggested as {value!r} ({type(value).__name__})"

    def _require_going_on(self, engine: Engine) -> None:
        answer = engine.ask()
        assert isinstance(answer, Suggestion | Done), f"with nothing outstanding an engine suggests or is done, but it said {answer}"
        if isinstance(answer, Suggestion):
            self._require_in_domains(answer.params)

    def _draws(self, count: int) -> list[Params]:
        """Distinct members of the domains, drawn without the engine."""
        members = [dict(zip(self.domains, values, strict=True)) for values in itertools.product(*self.domains.values())]
        return random.Random(1).sample(members, min(count, len(members)))

    def _position(self, params: Params) -> float:
        """Where the params lie between the first choice of each domain, 0, and the last, 1."""
        steps = [choices.index(params[path]) / max(1, len(choices) - 1) for path, choices in self.domains.items()]
        return sum(steps) / max(1, len(steps))

    def _violation(self, params: Params) -> float:
        return self._position(params) / 0.35 - 1

    def _completed(self, params: Params) -> Completed:
        cost = 1e9 * (1 + self._position(params))
        values = {"maximize": self._position(params) ** 0.5, "minimize": cost}
        return Completed(
            values=tuple(values[direction] for direction in self.directions), constraints={"memory": min(0.0, self._violation(params))}
        )

    def _evaluate(self, params: Params) -> Outcome:
        violation = self._violation(params)
        return Infeasible(constraints={"memory": violation}) if violation > 0 else self._completed(params)
