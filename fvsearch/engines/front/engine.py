"""The front engine: costs are known, so only accuracy is learned; it proposes the arch that the front is expected to gain most from.

Its state is a function of what it was told and what it has asked for that was not told yet: killed and told the same again, it proposes the
same.
"""

import random
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fvsearch.archs.arch import Arch
from fvsearch.archs.space import Param, Params, Space
from fvsearch.costs.feasibility import nearest_feasible
from fvsearch.costs.predictor import Predictor
from fvsearch.engines.base import Completed, Costs, Done, Outcome, Stopped, Suggestion, Wait
from fvsearch.engines.front import check_front
from fvsearch.engines.front.archs import Archs
from fvsearch.engines.front.axes import Axes
from fvsearch.engines.front.candidates import Candidates, WithMacs, along, known_costs, neighbours, of_list, of_space
from fvsearch.engines.front.evidence import Encoder
from fvsearch.engines.front.judge import Judge, Told
from fvsearch.engines.front.surrogate import Inputs
from fvsearch.errors import ConfigError
from fvsearch.study import LEARNED, Study

RENEWED = 8
"""Outcomes after which a draw of a large space gives way to another."""

_CLIMBED = 8
"""Archs of a draw, the best, whose neighbours are looked at too."""

_NEAR = 0.03
"""How far off its cost a start may lie, as a share of the range that starts are spread over, in logarithms."""

_DRAWN_AGAIN = 4
"""Draws that are looked through for what is left, before a space counts as exhausted."""

_MOST_STARTS = 32
"""Places of starts, beyond which they would lie nearer to each other than to their costs."""

_ALIKE = 1e-3
"""Starts that promise as much but for this, in standard deviations of accuracy, are drawn from."""

_OTHER_UNIT = 30.0
"""Times by which what is measured of a cost does not err from what was predicted."""

_TIED = 1e-9
"""Shares by which gaps between starts differ for their rounding alone."""


class FrontEngine:
    """Proposes by expected hypervolume improvement over all archs that meet the budget as predicted.

    Args:
        study: Its space or list, its objectives and budget, and its engine's settings.
        costs: Who predicts; the formula unless given.

    Raises:
        ConfigError: The objectives are not one that is learned beside at most three costs, or one of these is not known; or the list
            has archs of several activations.
    """

    def __init__(self, study: Study, costs: Costs | None = None) -> None:
        check_front(study)
        self._study, self._costs = study, costs or Predictor.unmeasured(study)
        self._known_objectives = known = [objective.name for objective in study.objectives if objective.name not in LEARNED]
        if isinstance(self._costs, Predictor) and self._costs.is_blind and "throughput" in known:
            raise ConfigError(
                f'the engine "front" must know the objective throughput before it is measured, but got {study.budget.throughput!r} at '
                'budget.throughput, and no formula tells images/s; give a multiple of the baseline, such as "1.25x", or `costs` that know'
            )
        # What starts are spread over, and draws of a large space.
        self._cost = known[0] if known else "macs"
        if not known and not isinstance(self._costs, Predictor):
            self._costs = WithMacs(study, self._costs)
        self._told: dict[str, Told] = {}
        self._pending: dict[str, Arch] = {}
        self._drawn: tuple[int, Candidates] | None = None
        self._near: Archs | None = None
        self._seen: tuple[Candidates, Inputs] | None = None
        self._threads = ThreadpoolController()

    def ask(self) -> Suggestion | Wait | Done:
        """The arch that the front is expected to gain most from; Done when none is left that meets the budget as predicted.

        Raises:
            ConfigError: Costs of the user's own are no finite numbers, or are not those of the objectives.
        """
        # One thread: the other cores are the workers', and sums in another order might tip a choice.
        with self._threads.limit(limits=1):
            arch = self._choose()
        if arch is None:
            found = "" if self._candidates().whole else " that was found"
            return Done(reason=f"every arch{found} within budget as predicted was tried")
        self._pending[arch.arch_hash] = arch
        return Suggestion(params=self._params(arch))

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of an arch, whether suggested here or not; told again, only what more epochs told changes anything.

        Raises:
            ConfigError: The params are not of the space or the list, or the values not one an objective.
        """
        arch, count = self._arch(params), len(self._study.objectives)
        if isinstance(outcome, Completed | Stopped) and len(outcome.values) != count:
            raise ConfigError(
                f"an outcome must have one value for each objective, but got {len(outcome.values)} values and {count} objectives"
            )
        self._pending.pop(arch.arch_hash, None)
        before = self._told.get(arch.arch_hash)
        if before is None or _is_news(outcome, before.outcome):
            self._told[arch.arch_hash] = Told(arch, outcome)

    def expect(self, params: Mapping[str, Param]) -> None:
        """Count an arch as asked for: someone trains it, and will tell."""
        arch = self._arch(params)
        if arch.arch_hash not in self._told:
            self._pending[arch.arch_hash] = arch

    def far_off(self) -> dict[str, float]:
        """How many times as much as was predicted was told of a cost, the median over archs; of costs that must be in other units."""
        known = [(one.arch, one.outcome.values) for one in self._told.values() if isinstance(one.outcome, Completed)]
        if not known or not self._known_objectives:
            return {}
        predicted = known_costs(self._encoder.archs([arch for arch, _ in known]), self._costs)
        found: dict[str, float] = {}
        for index, objective in enumerate(self._study.objectives):
            if objective.name in self._known_objectives:
                told = np.array([values[index] for _, values in known])
                with np.errstate(divide="ignore", invalid="ignore"):
                    times = float(np.median(told / predicted[objective.name]))
                if 0 < times < np.inf and not 1 / _OTHER_UNIT < times < _OTHER_UNIT:
                    found[objective.name] = times
        return found

    def forget(self) -> None:
        """Forget all that was told and asked for; what was computed of the space stays."""
        self._told.clear()
        self._pending.clear()

    def _arch(self, params: Mapping[str, Param]) -> Arch:
        if self._study.space is not None:
            return self._study.space.arch(params)
        index, count = params.get("index"), len(self._study.engine.archs)
        if set(params) != {"index"} or type(index) is not int or not 0 <= index < count:
            raise ConfigError(f"params of a list must be one `index` from 0 to {count - 1}, but got {dict(params)}")
        return self._study.engine.archs[index].canonical()

    def _params(self, arch: Arch) -> Params:
        if self._study.space is not None:
            return self._study.space.params(arch)
        return {"index": [listed.arch_hash for listed in self._study.engine.archs].index(arch.arch_hash)}

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self._study)

    def _candidates(self) -> Candidates:
        """All archs within budget as predicted, or a draw of them that is renewed now and then."""
        turn = len(self._told) // RENEWED
        if self._drawn is None or not (self._drawn[1].whole or self._drawn[0] == turn):
            space = self._study.space
            found = self._draw(space, turn) if space else of_list(self._study.engine.archs, self._costs)
            if self._cost not in found.costs or any(name not in found.costs for name in self._known_objectives):
                told, wanted = ", ".join(found.costs) or "nothing", ", ".join(self._known_objectives)
                raise ConfigError(f"`costs` must tell the objectives {wanted} of every arch, but tell {told}")
            self._drawn = turn, found
        return self._drawn[1]

    def _draw(self, space: Space, *turn: int) -> Candidates:
        return of_space(space, self._costs, self._study.engine.candidates, self._cost, (self._study.seed, *turn))

    def _found(self, space: Space) -> Candidates:
        """What a draw of a large space missed of the little that a tight budget leaves: near what is known, or in further draws."""
        if self._near is None:
            nearest = nearest_feasible(self._study, self._costs)  # type: ignore[arg-type]  # it asks for costs and violations alone
            self._near = neighbours(space, Archs.of([nearest]))
        near = [self._near.arch(row) for row in range(len(self._near))]
        known = sorted((arch for arch in self._known() if space.contains(arch)), key=lambda arch: arch.arch_hash)
        found, taken = Candidates(neighbours(space, Archs.of([*near, *known])), self._costs, whole=False), self._taken()
        for again in range(_DRAWN_AGAIN):
            if not np.isin(found.keys, taken).all():
                break
            found = self._draw(space, len(self._told) // RENEWED, again)
        return found

    def _choose(self) -> Arch | None:
        """What to propose; none where everything is told or asked for."""
        candidates = self._candidates()
        left = ~np.isin(candidates.keys, self._taken())
        if not (left.any() or candidates.whole or self._study.space is None):
            candidates = self._found(self._study.space)
            left = ~np.isin(candidates.keys, self._taken())
        if not left.any():
            return None
        seen = any(isinstance(told.outcome, Completed | Stopped) for told in self._told.values())
        if not seen or len(self._told) + len(self._pending) < self._study.engine.num_starts:
            return self._start(candidates, left)
        return self._best(candidates, left)

    def _start(self, candidates: Candidates, left: NDArray[np.bool_]) -> Arch:
        """Of the cost, among those that starts are spread over, that what is known lies farthest from: the arch that promises most."""
        known, least = self._known(), float(candidates.costs[self._cost].min())
        position = along(candidates.costs[self._cost], least)
        taken = along(np.array([self._costs.costs(arch)[self._cost] for arch in known], float), least)
        low, high, count = position.min(), position.max(), max(2, self._study.engine.num_starts)
        while True:
            targets = np.linspace(low, high, count)
            gaps = np.abs(targets[:, None] - taken[None, :]).min(axis=1, initial=np.inf)
            if gaps.max() > _NEAR * (high - low) or count > _MOST_STARTS:
                break
            # More workers ask than there are starts, or none has a value yet: what lies between comes next.
            count = 2 * count - 1
        # Both ends first; of equal gaps the least, which of most costs is soonest told.
        gaps[[0, -1]] *= 2
        rows = np.flatnonzero(left)
        target = targets[np.argmax(gaps >= gaps.max() * (1 - _TIED))]
        off = np.abs(position[rows] - target)
        near = rows[off <= max(off.min(), _NEAR * (high - low))]
        promise = self._encoder.promise(self._inputs(candidates)[near])
        best = near[promise >= promise.max() - _ALIKE]
        return candidates.archs.arch(int(best[random.Random(f"{self._study.seed}/{len(known)}").randrange(len(best))]))

    def _best(self, candidates: Candidates, left: NDArray[np.bool_]) -> Arch:
        """The arch that the front is expected to gain most from."""
        told, pending = [self._told[key] for key in sorted(self._told)], [self._pending[key] for key in sorted(self._pending)]
        axes = Axes(self._study.objectives, candidates.costs)
        judge = Judge(self._study, self._costs, self._encoder, axes, told, pending)
        rows, gains = judge.leaders(candidates, self._inputs(candidates), left, _CLIMBED)
        if candidates.whole or self._study.space is None:
            return candidates.archs.arch(int(rows[0]))
        return self._climb(judge, self._study.space, candidates.archs.take(rows), float(gains[0]))

    def _climb(self, judge: Judge, space: Space, best: Archs, top: float) -> Arch:
        """From the best of a draw, of which the first gains so much, to the best near them, a param at a time."""
        taken = self._taken()
        while True:
            near = Candidates(neighbours(space, best), self._costs)
            left = ~np.isin(near.keys, taken)
            if not left.any():
                return best.arch(0)
            rows, gains = judge.leaders(near, self._encoder.inputs(near.archs), left, _CLIMBED)
            if gains[0] <= top:
                return best.arch(0)
            best, top = near.archs.take(rows), float(gains[0])

    def _taken(self) -> NDArray[np.uint64]:
        """Keys of what is told or asked for."""
        return self._encoder.archs(self._known()).keys()

    def _known(self) -> list[Arch]:
        """What is told or asked for."""
        return [*(told.arch for told in self._told.values()), *self._pending.values()]

    def _inputs(self, candidates: Candidates) -> Inputs:
        """(candidates, features), made once."""
        if self._seen is None or self._seen[0] is not candidates:
            # In half the bytes: of a million archs it is the largest thing here.
            self._seen = candidates, self._encoder.inputs(candidates.archs).astype(np.float32)
        return self._seen[1]


def _is_news(outcome: Outcome, before: Outcome) -> bool:
    """Whether an outcome told of an arch again says more than the one before."""
    if not isinstance(before, Stopped):
        return False
    return not isinstance(outcome, Stopped) or outcome.epochs > before.epochs
