import msgspec

from fvsearch.archs.layout import format_layout
from fvsearch.fronts.standing import front, standings
from fvsearch.ledger import QuietPass, TrialRecord
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor, Interval

STUDY = load_study("quickstart", ["budget.throughput=1.0x"])
ANCHOR = Anchor(throughput=100.0, memory=10.0, memory_source="", device="cpu", seconds=1.0)
NOTHING = QuietPass(throughput={}, seconds=0.0)


def trial(number: int, top1: float, memory: float, **changes: object) -> TrialRecord:
    arch = STUDY.space.arch({"stages.0.mlp_dim": (32, 64, 96, 128)[number % 4]})
    record = TrialRecord(
        number=number,
        state="completed",
        arch=arch,
        layout=format_layout(arch, 8),
        arch_hash=arch.arch_hash,
        predicted={"throughput": 100.0},
        values={"top1": top1, "memory": memory},
        constraints={"memory": memory / 10 - 1, "throughput": 0.0},
    )
    return msgspec.structs.replace(record, **changes)


TRIALS = (
    trial(0, 0.90, 10.0),
    trial(1, 0.95, 8.0),
    trial(2, 0.80, 9.0),
    trial(3, 0.70, 4.0),
    trial(4, 0.0, 0.0, state="infeasible", values={}, constraints={"memory": 0.2}),
    trial(5, 0.0, 0.0, state="failed", values={}, reason="NaN"),
    trial(6, 0.0, 0.0, state="running", values={}),
)


def places(quiet: QuietPass) -> list[str]:
    return [standing.place for standing in standings(STUDY, TRIALS, ANCHOR, quiet)]


def test_every_trial_has_its_place() -> None:
    assert places(NOTHING) == ["dominated", "front", "dominated", "front", "infeasible", "failed", "running"]
    assert [standing.number for standing in front(standings(STUDY, TRIALS, ANCHOR, NOTHING))] == [1, 3]


def test_what_breaks_its_budget_as_measured_leaves_the_front_to_what_it_dominated() -> None:
    measured = {0: Interval(median=50.0, low=49.0, high=51.0), 1: Interval(median=45.0, low=44.0, high=46.0)}
    found = standings(STUDY, TRIALS, ANCHOR, QuietPass(throughput=measured, seconds=1.0))
    assert [standing.place for standing in found[:4]] == ["front", "infeasible", "front", "front"]
    assert found[1].constraints["throughput"] == 1 - 45 / 50, "relative to the baseline of the same pass"
    assert found[1].throughput.median == 45.0
    assert found[2].throughput is None


def test_no_trials_no_front() -> None:
    assert standings(STUDY, (), None, NOTHING) == ()
