"""Which params matter, where it is known which do."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from ledgers import SPACE, STUDY, TRIALS, empty, fill, record

from fvsearch.archs.arch import Arch
from fvsearch.ledger import TrialRecord
from fvsearch.report.importance import FEWEST, Importance, figure, importance
from fvsearch.report.page import FRONT_FILE, write_report
from fvsearch.study import Objective, Proposer


def trials(count: int, top1: Callable[[Arch], float], **changes: object) -> list[TrialRecord]:
    """Completed trials of archs drawn from the space."""
    rng = random.Random(3)
    found = []
    for number in range(count):
        member = SPACE.sample(rng)
        one = record(TRIALS[1], number)
        values = {"top1": top1(member), "loss": 1 - top1(member), "memory": 1.0}
        found.append(msgspec.structs.replace(one, arch=member, params=SPACE.params(member), values=values, **changes))
    return found


def by_width(arch: Arch) -> float:
    return 0.5 + arch.stages[0].width / 200


def test_the_param_that_all_hangs_on_has_nearly_all() -> None:
    found = importance(STUDY, trials(30, by_width))
    assert next(iter(found.shares)) == "stages.0.width"
    assert found.shares["stages.0.width"] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1)
    assert set(found.shares) == set(SPACE.domains())
    assert (found.trials, found.note) == (30, "")


def test_of_two_the_stronger_comes_first() -> None:
    found = importance(STUDY, trials(40, lambda arch: by_width(arch) + 0.1 * arch.stages[0].depth))
    assert list(found.shares)[:2] == ["stages.0.depth", "stages.0.width"]
    assert found.shares["stages.0.width"] > 0.1


def test_it_is_the_same_for_the_same_seed() -> None:
    noise = random.Random(0)
    drawn = trials(20, lambda arch: noise.random())
    assert importance(STUDY, drawn) == importance(STUDY, drawn)
    assert importance(STUDY, drawn) != importance(STUDY.with_settings(seed=8), drawn)


def test_of_many_trials_a_sample_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.report.importance.MOST", 30)
    found = importance(STUDY, trials(60, by_width))
    assert found.trials == 30 and next(iter(found.shares)) == "stages.0.width"


def test_it_is_of_the_first_learned_objective() -> None:
    falling = STUDY.with_settings(objectives=(STUDY.objectives[1], Objective(name="loss", direction="minimize")))
    assert importance(falling, trials(30, by_width)).shares["stages.0.width"] > 0.9


def test_what_was_not_trained_to_the_end_does_not_count() -> None:
    others = [one for state in ("stopped", "paused", "failed", "infeasible", "running") for one in trials(FEWEST, by_width, state=state)]
    found = importance(STUDY, [*trials(FEWEST - 1, by_width), *others])
    assert found == Importance(trials=FEWEST - 1, note=f"it takes {FEWEST} trials trained to the end, and there are {FEWEST - 1}")


def test_a_baseline_outside_the_space_does_not_count() -> None:
    outside = msgspec.structs.replace(trials(1, by_width)[0], params={})
    assert importance(STUDY, [outside, *trials(FEWEST, by_width)]).trials == FEWEST


@pytest.mark.parametrize("count", [0, FEWEST])
def test_a_list_has_no_params(count: int) -> None:
    listed = STUDY.with_settings(space=None, engine=Proposer(name="listed", archs=(STUDY.baseline,)))
    assert "no params to compare" in importance(listed, trials(count, by_width)).note


def test_where_all_are_equal_nothing_is_told() -> None:
    assert importance(STUDY, trials(FEWEST, lambda arch: 0.5)).note == "all trials came to the same value"


def test_the_figure_has_a_bar_for_each_the_greatest_on_top() -> None:
    (bars,) = figure(Importance(trials=12, shares={"stages.0.width": 0.75, "stages.1.depth": 0.25})).data
    assert bars.y == ("stages.1.depth", "stages.0.width")
    assert bars.text == ("25%", "75%")
    assert not figure(None).data
    assert not figure(Importance(trials=2, note="few")).data


def test_the_report_says_why_there_is_none(tmp_path: Path) -> None:
    ledger = fill(empty(tmp_path))
    page = write_report(ledger).read_text()
    assert "None: it takes 10 trials trained to the end, and there are 9." in page
    assert 'id="plot-importance"' not in page


def test_the_report_has_the_bars_and_front_json_the_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = fill(empty(tmp_path))
    given = Importance(trials=12, shares={"stages.0.width": 0.75, "stages.1.depth": 0.25})
    monkeypatch.setattr("fvsearch.report.page.importance", lambda study, trials: given)
    page = write_report(ledger).read_text()
    assert "by fANOVA on 12 trials trained to the end, one seed each" in page
    assert 'aria-label="Share of each param: stages.0.width 75%, stages.1.depth 25%"' in page
    written = msgspec.json.decode((tmp_path / FRONT_FILE).read_bytes())
    assert written["importance"]["shares"] == given.shares
