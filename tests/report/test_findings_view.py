"""What a ledger counts as evidence, and the findings' section: there where the study asks or can tell, each number in its unit."""

from pathlib import Path

import msgspec
import pytest
from confirmations import enter, fresh
from ledgers import STUDY, arch, empty, fill

from fvsearch.ledger import Ledger
from fvsearch.report.findings.evidence import Evidence, gather
from fvsearch.report.findings_view import estimate
from fvsearch.report.intervals import Estimate
from fvsearch.report.numbers import summarise
from fvsearch.report.page import render
from fvsearch.study import Confirm

TWIN = arch("B2(17, h48, m96, a3)-2(9, h48, m96, a3)")


@pytest.fixture
def asking(tmp_path: Path) -> Ledger:
    """The small study, which names trial 5 and a twin of its baseline, trained again with fresh seeds."""
    study = STUDY.with_settings(confirm=Confirm(archs=(TWIN, arch("B1(17, h32, m64, a2)-2(9, h32, m64, a2)"))))
    ledger = enter(fill(empty(tmp_path, study)))
    for repeat, top1 in enumerate((0.955, 0.956, 0.957, None), start=1):
        for share in (1.0, 0.25):
            one = fresh(TWIN, top1, repeat, share)
            ledger.write(one.key, one)
    return ledger


def known(ledger: Ledger) -> dict[tuple[str, float], Evidence]:
    return {(one.layout, one.train_share): one for one in gather(ledger, ledger.trials())}


def finals(one: Evidence) -> list[float]:
    return [run[-1]["top1"] for run in one.runs]


def test_the_search_s_own_training_counts_where_it_had_no_part_in_a_selection(asking: Ledger) -> None:
    found = known(asking)
    base = found["B4(17, h48, m96, a3)", 1.0]
    assert finals(base) == [0.960, 0.950, 0.960, 0.970]  # the study names it
    assert finals(found["B1(17, h32, m64, a2)-1(9, h32, m64, a2)", 1.0]) == [0.890, 0.900, 0.910]  # on the front: its own is left out
    assert finals(found["B1(17, h32, m64, a2)-2(9, h32, m64, a2)", 1.0]) == [0.890]  # never confirmed
    assert finals(found["B2(17, h48, m96, a3)-2(9, h48, m96, a3)", 0.25]) == [0.955, 0.956, 0.957]  # no trial's, and a failure left out
    assert not any("running" in one.layout for one in found.values())


def test_costs_keep_their_source(asking: Ledger) -> None:
    base = known(asking)["B4(17, h48, m96, a3)", 1.0]
    assert base.throughput == {"measured": 2000, "predicted": 2000}
    assert base.memory == {"measured": 10 * 2**20, "predicted": 10 * 2**20}
    twin = known(asking)["B2(17, h48, m96, a3)-2(9, h48, m96, a3)", 1.0]
    assert (set(twin.memory), set(twin.throughput)) == ({"measured"}, set())


def test_a_training_that_was_stopped_is_no_evidence(tmp_path: Path) -> None:
    short = STUDY.with_settings(recipe=msgspec.structs.replace(STUDY.recipe, epochs=STUDY.recipe.epochs + 1))
    ledger = enter(fill(empty(tmp_path, short)))
    assert gather(ledger, ledger.trials()) == ()


def test_a_study_that_neither_asks_nor_can_tell_has_no_section(small: Ledger, page: str) -> None:
    assert summarise(small).findings == ()
    assert 'id="title-findings"' not in page


def test_the_section_shows_verdicts_means_and_what_would_tell(asking: Ledger) -> None:
    summary = summarise(asking)
    assert [finding.number for finding in summary.findings] == [1, 2, 4, 5, 6]
    page = render(summary)
    assert page.count("<h3>Finding") == 5
    assert "<strong>Not found: 4, 6. Cannot tell: 1, 2, 5. </strong>" in " ".join(page.split())
    assert "<h3>Finding 2: cannot tell</h3>" in page
    assert "To tell: an arch pooled by mean, and the same pooled by max, each with two seeds or more." in page
    assert "3 seeds, 25% of the training images" in page
    assert "validation top-1 95.6% (95.4 to 95.8)" in page
    assert '"findings"' in summary.to_json()


def test_numbers_have_their_units_and_differences_their_signs() -> None:
    found = Estimate(value=0.0123, low=-0.002, high=0.0266)
    assert estimate("validation top-1", found) == "1.2% (-0.2 to 2.7)"
    assert estimate("gap", found, signed=True) == "+1.2 points (-0.2 to +2.7)"
    assert estimate("fall", Estimate(value=0.0123)) == "1.23%"
    assert estimate("epochs", Estimate(value=-0.04)) == "0.0"
    assert estimate("epochs", Estimate(value=4.25, low=4.0, high=4.5), signed=True) == "+4.2 (+4.0 to +4.5)"
