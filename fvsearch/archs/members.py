"""Which stage sequences a space's rules allow: counted, listed, drawn and repaired stage by stage, never by trying and rejecting.

What the stages so far leave to those that follow is a `State` of a few numbers. How many ways lead on from a state is summed backwards
once, so that whoever walks forwards (to draw, to list, to repair) never enters a state from which nothing legal is left.
"""

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from fvsearch.archs.rules import UNBOUNDED, Rules


class Choices(NamedTuple):
    """What one stage's params may be, in the order of the stage's fields."""

    depth: tuple[int, ...]
    width: tuple[int, ...]
    mlp_dim: tuple[int, ...]
    pool_stride: tuple[int, ...]
    pooling: tuple[str, ...]


class Chosen(NamedTuple):
    """One stage's params; depth 0 stands for the end of the encoder."""

    depth: int
    width: int
    mlp_dim: int
    pool_stride: int
    pooling: str


class Member(NamedTuple):
    """An arch's params: the stages that it has, and whether pooled queries alone are pooled."""

    patch_size: int
    pool_query_only: bool
    stages: tuple[Chosen, ...]


class State(NamedTuple):
    """What is left to the encoder from a stage on.

    Attributes:
        stage: Index of the next.
        width: The greatest allowed.
        lacking: Blocks that must still come.
        spare: Blocks that may still come.
        room: Greatest product of strides.
        pooled: Whether a stage before has pooled.
    """

    stage: int
    width: int
    lacking: int
    spare: int
    room: int
    pooled: bool


Step = tuple[int, int, int]
"""Depth, width and stride of a stage: what decides which state follows."""


class Members:
    """The legal members of a space.

    Args:
        patch_sizes: To choose from.
        queries: Choices of pool_query_only.
        stages: Choices of each stage.
        rules: That all keep.

    Attributes:
        starts: The state before the first stage, by patch size.
    """

    def __init__(self, patch_sizes: Sequence[int], queries: Sequence[bool], stages: Sequence[Choices], rules: Rules) -> None:
        self._queries, self._stages, self._rules = tuple(queries), tuple(stages), rules
        # What the stages from each index on can use at most: states that differ beyond it are one.
        self._widest = [max(stage.width) for stage in stages] + [0]
        self._deepest = [sum(max(stage.depth) for stage in stages[index:]) for index in range(len(stages) + 1)]
        self._strides = [math.prod(max(stage.pool_stride) for stage in stages[index:]) for index in range(len(stages) + 1)]
        self._mlps = {
            (index, width): tuple(mlp_dim for mlp_dim in stage.mlp_dim if rules.allows_mlp(width, mlp_dim))
            for index, stage in enumerate(stages)
            for width in stage.width
        }
        self._known: dict[State, dict[Step, State]] = {}
        self._archs = _Weights(self, self._ending_archs, self._entry_archs)
        self._params = _Weights(self, self._ending_params, self._entry_params)
        starts = {patch_size: self._start(rules.room(patch_size)) for patch_size in patch_sizes}
        self.starts = {patch_size: start for patch_size, start in starts.items() if start.room and self._archs.of(start)}

    def size(self) -> int:
        """How many distinct archs there are."""
        return sum(self._archs.of(start) for start in self.starts.values())

    def members(self) -> Iterator[Member]:
        """Each once, in a fixed order: by stages first, then patch size, then queries."""
        if not self.starts:
            return
        for stages in self._sequences(max(self.starts.values(), key=lambda start: start.room)):
            shrunk = math.prod(stage.pool_stride for stage in stages)
            queries = self._queries if shrunk > 1 else (True,)
            fitting = [patch_size for patch_size, start in self.starts.items() if shrunk <= start.room]
            for patch_size, query in itertools.product(fitting, queries):
                yield Member(patch_size, query, stages)

    def draw_arch(self, rng: random.Random) -> Member:
        """A member, each as likely as any other."""
        return self._draw(rng, self._archs)

    def draw_params(self, rng: random.Random) -> Member:
        """The member that is named by params drawn uniformly from all that name a legal one."""
        return self._draw(rng, self._params)

    def nearest(self, wanted: Member) -> Member:
        """The wanted one if it is legal; else one near it.

        Param by param, in the order patch size, then of each stage depth, width, stride and mlp_dim: the wanted value if some legal
        member has it after the values settled so far, else the nearest such value (of two as near, the smaller).

        Args:
            wanted: With a Chosen for every stage of the space, for repair may need more stages than the wanted arch has.
        """
        patch_size = _nearest(self.starts, wanted.patch_size)
        state = self.starts[patch_size]
        stages = []
        for stage in wanted.stages:
            steps = self.steps(state)
            depth = _nearest([depth for depth, _, _ in steps] + [0] * self.may_end(state), stage.depth)
            if depth == 0:
                break
            width = _nearest([width for d, width, _ in steps if d == depth], stage.width)
            stride = _nearest([stride for d, w, stride in steps if (d, w) == (depth, width)], stage.pool_stride)
            mlp_dim = _nearest(self._mlps[state.stage, width], stage.mlp_dim)
            stages.append(Chosen(depth, width, mlp_dim, stride, stage.pooling))
            state = steps[depth, width, stride]
        return Member(patch_size, wanted.pool_query_only, tuple(stages))

    def may_end(self, state: State) -> bool:
        """Whether the encoder may end before the state's stage."""
        return not state.lacking and (state.stage == len(self._stages) or 0 in self._stages[state.stage].depth)

    def steps(self, state: State) -> dict[Step, State]:
        """The steps from which something legal can be reached, each with the state that it leads to."""
        found = self._known.get(state)
        if found is None:
            found = self._known[state] = {step: after for step, after in self._next(state) if self._archs.of(after)}
        return found

    def branches(self, state: State) -> list[tuple[Step | None, int]]:
        """The steps from a state, and none for the encoder's end where it may end there, each with how many archs lie beyond."""
        return list(self._archs.branches(state))

    def mlp_dims(self, index: int, width: int) -> tuple[int, ...]:
        """The MLP sizes that a stage may have at a width."""
        return self._mlps[index, width]

    def _start(self, room: int) -> State:
        """The state before the first stage."""
        return self._state(0, UNBOUNDED, self._rules.min_depth or 0, self._rules.max_depth or UNBOUNDED, room, pooled=False)

    def _state(self, index: int, width: int, lacking: int, spare: int, room: int, *, pooled: bool) -> State:
        return State(
            stage=index,
            width=min(width, self._widest[index]) if self._rules.widths_never_rise else self._widest[index],
            lacking=max(0, lacking),
            spare=min(spare, self._deepest[index]),
            room=min(room, self._strides[index]),
            pooled=pooled,
        )

    def _next(self, state: State) -> Iterator[tuple[Step, State]]:
        """The steps that break no rule by themselves."""
        if state.stage == len(self._stages):
            return
        choices = self._stages[state.stage]
        for depth, width, stride in itertools.product(choices.depth, choices.width, choices.pool_stride):
            if 0 < depth <= state.spare and width <= state.width and stride <= state.room and self._mlps[state.stage, width]:
                yield (
                    (depth, width, stride),
                    self._state(
                        state.stage + 1,
                        width,
                        state.lacking - depth,
                        state.spare - depth,
                        state.room // stride,
                        pooled=state.pooled or stride > 1,
                    ),
                )

    def _ending_archs(self, state: State) -> int:
        # Without pooling there are no queries to choose.
        return len(self._queries) if state.pooled else 1

    def _entry_archs(self, index: int, step: Step) -> int:
        _, width, stride = step
        return len(self._mlps[index, width]) * (len(self._stages[index].pooling) if stride > 1 else 1)

    def _ending_params(self, state: State) -> int:
        """Whatever the inactive params of the stages after the end say."""
        if state.stage == len(self._stages):
            return len(self._queries)
        this, *rest = self._stages[state.stage :]
        return len(self._queries) * math.prod(map(len, this[1:])) * math.prod(len(values) for stage in rest for values in stage)

    def _entry_params(self, index: int, step: Step) -> int:
        return len(self._mlps[index, step[1]]) * len(self._stages[index].pooling)

    def _draw(self, rng: random.Random, weights: "_Weights") -> Member:
        """A walk from state to state, each step as likely as what lies beyond it weighs."""
        totals = list(itertools.accumulate(weights.of(start) for start in self.starts.values()))
        patch_size = list(self.starts)[bisect.bisect_right(totals, rng.randrange(totals[-1]))]
        state = self.starts[patch_size]
        stages: list[Chosen] = []
        while (step := weights.draw(state, rng)) is not None:
            depth, width, stride = step
            mlp_dim, pooling = rng.choice(self._mlps[state.stage, width]), rng.choice(self._stages[state.stage].pooling)
            stages.append(Chosen(depth, width, mlp_dim, stride, pooling))
            state = self.steps(state)[step]
        return Member(patch_size, rng.choice(self._queries), tuple(stages))

    def _sequences(self, state: State) -> Iterator[tuple[Chosen, ...]]:
        """Every distinct stage sequence from a state on."""
        if self.may_end(state):
            yield ()
        if state.stage == len(self._stages):
            return
        steps, choices = self.steps(state), self._stages[state.stage]
        for depth, width, mlp_dim, stride, pooling in itertools.product(*choices):
            after = steps.get((depth, width, stride))
            inactive = stride == 1 and pooling != choices.pooling[0]
            if after is None or inactive or mlp_dim not in self._mlps[state.stage, width]:
                continue
            for rest in self._sequences(after):
                yield (Chosen(depth, width, mlp_dim, stride, pooling), *rest)


class _Weights:
    """What each state weighs: the sum, over all legal ways on from it, of what their steps and their end weigh.

    Args:
        members: That the states are of.
        ending: Weight of ending the encoder before a state's stage.
        entry: Weight of a step at an index; a way's weight is the product of its steps' and its end's.
    """

    def __init__(self, members: Members, ending: Callable[[State], int], entry: Callable[[int, Step], int]) -> None:
        self._members, self._ending, self._entry = members, ending, entry
        self._known: dict[State, int] = {}
        self._drawn: dict[State, tuple[list[Step | None], list[int]]] = {}

    def of(self, state: State) -> int:
        """What a state weighs."""
        found = self._known.get(state)
        if found is None:
            found = self._known[state] = sum(weight for _, weight in self.branches(state))
        return found

    def draw(self, state: State, rng: random.Random) -> Step | None:
        """A step, or none for the end, by its share of the state's weight."""
        if state not in self._drawn:
            branches = list(self.branches(state))
            self._drawn[state] = [step for step, _ in branches], list(itertools.accumulate(weight for _, weight in branches))
        steps, totals = self._drawn[state]
        return steps[bisect.bisect_right(totals, rng.randrange(totals[-1]))]

    def branches(self, state: State) -> Iterator[tuple[Step | None, int]]:
        """Ways on from a state, none being the end, each with its weight."""
        if self._members.may_end(state):
            yield None, self._ending(state)
        for step, after in self._members.steps(state).items():
            yield step, self._entry(state.stage, step) * self.of(after)


def _nearest(values: Iterable[int], wanted: int) -> int:
    return min(values, key=lambda value: (abs(value - wanted), value))
