"""Who goes on at a rung."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from fvsearch.fronts.rungs import Reached, Rung, reached_rung
from fvsearch.fronts.rungs import judge as judge_there
from fvsearch.ledger import Repeat, RungDecision, TrialRecord
from fvsearch.study import EarlyStopping, Objective, Study
from fvsearch.testing import tiny_arch, tiny_study

STUDY = tiny_study()
RULE = EarlyStopping(rungs=(0.5,), keep=0.5, min_trials=2)


def trial(number: int, top1: float, memory: float, *, epochs: int = 1, **changes: Any) -> TrialRecord:
    curve = tuple({"epoch": float(epoch), "top1": top1, "loss": 1 - top1} for epoch in range(epochs))
    return TrialRecord(
        number=number,
        arch=tiny_arch(),
        layout="",
        arch_hash=str(number),
        predicted={"memory": 1.0, "throughput": 1.0},
        measured={"memory": memory},
        repeats=(Repeat(seed=number, epochs=curve),),
        **changes,
    )


def judge(study: Study, rule: EarlyStopping, record: TrialRecord, others: Iterable[TrialRecord]) -> RungDecision:
    rung = Rung(study, record.epochs_done)
    for other in others:
        rung.add(other)
    return judge_there(study, rule, record, rung)


def goes_on(record: TrialRecord, *others: TrialRecord, rule: EarlyStopping = RULE, study: Study = STUDY) -> bool:
    return judge(study, rule, record, others).goes_on


def test_who_is_on_the_rungs_front_goes_on() -> None:
    others = (trial(1, 0.9, 10.0), trial(2, 0.8, 5.0), trial(3, 0.7, 2.0), trial(4, 0.6, 2.0))
    assert goes_on(trial(5, 0.1, 1.0), *others)  # nothing is as cheap
    assert goes_on(trial(5, 0.8, 5.0), *others)  # as good as the best of its cost
    assert goes_on(trial(5, 0.95, 99.0), *others)


def test_who_is_far_from_the_rungs_front_stops() -> None:
    others = (trial(1, 0.9, 10.0), trial(2, 0.8, 5.0), trial(3, 0.7, 2.0), trial(4, 0.68, 2.0))
    decision = judge(STUDY, RULE, trial(5, 0.5, 11.0), others)
    assert not decision.goes_on
    assert (decision.epochs, decision.value, decision.among) == (1, 0.5, 5)
    assert decision.gap == pytest.approx(0.4)


def test_the_nearest_to_the_front_go_on_up_to_the_share_that_is_kept() -> None:
    others = (trial(1, 0.9, 1.0), trial(2, 0.5, 2.0), trial(3, 0.6, 2.0))
    near = trial(4, 0.7, 2.0)  # one of four has a smaller gap
    assert goes_on(near, *others, rule=EarlyStopping(keep=0.26, min_trials=2))
    assert not goes_on(near, *others, rule=EarlyStopping(keep=0.25, min_trials=2))


def test_the_first_at_a_rung_and_the_baseline_always_go_on() -> None:
    others = (trial(1, 0.9, 1.0), trial(2, 0.8, 2.0))
    assert goes_on(trial(3, 0.1, 5.0), *others, rule=EarlyStopping(keep=0.1, min_trials=4))
    assert not goes_on(trial(3, 0.1, 5.0), *others, rule=EarlyStopping(keep=0.1, min_trials=3))
    assert goes_on(trial(0, 0.1, 5.0), *others, rule=EarlyStopping(keep=0.1, min_trials=3))


def test_trials_that_have_not_reached_the_rung_do_not_count() -> None:
    early = trial(1, 0.9, 1.0, epochs=1)
    late = trial(2, 0.5, 2.0, epochs=2)
    assert [reached.number for reached in reached_rung(STUDY, 2, (early, late))] == [2]
    assert judge(STUDY, RULE, trial(3, 0.1, 5.0, epochs=2), (early, late)).among == 2


def test_a_loss_is_turned_and_without_costs_all_compare_with_all() -> None:
    study = tiny_study(objectives=(Objective(name="loss", direction="minimize"),))
    others = (trial(1, 0.9, 1.0), trial(2, 0.8, 2.0))
    decision = judge(study, RULE, trial(3, 0.5, 0.1), others)
    assert not decision.goes_on
    assert (decision.value, decision.gap) == (0.5, pytest.approx(0.4))


def gap(one: Reached, reached: Sequence[Reached]) -> float:
    """As it is defined."""
    cheaper = (other for other in reached if all(a <= b for a, b in zip(other.costs, one.costs, strict=True)))
    return max((one.value - other.value for other in cheaper), default=0.0)


@pytest.mark.parametrize("costs", [(), ("memory",), ("memory", "throughput")])
def test_gaps_are_by_every_cost_in_whatever_order_trials_come(costs: tuple[str, ...]) -> None:
    study = tiny_study(objectives=tuple(Objective(name=name, direction="minimize") for name in ("loss", *costs)))
    rng = random.Random(2)
    rung, trials = Rung(study, 1), []
    for number in range(60):
        one = trial(number, rng.choice((0.5, rng.random())), rng.choice((1.0, 2.0, 3.0, rng.random())))
        trials.append(msgspec.structs.replace(one, predicted={"memory": 1.0, "throughput": rng.choice((1.0, 2.0, 3.0))}))
        rung.add(trials[-1])
        rung.add(trials[0])
        reached = reached_rung(study, 1, trials)
        gaps = [gap(one, reached) for one in reached]
        assert [rung.gap(one.number) for one in reached] == pytest.approx(gaps)
        assert (len(rung), rung.nearer(number)) == (len(reached), sum(other < gaps[-1] for other in gaps))
