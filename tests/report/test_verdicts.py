from fvsearch.report.intervals import Estimate
from fvsearch.report.verdicts import all_of, is_above, is_below, is_within, of_finding, over_pairs


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(value=0.0, low=low, high=high)


def test_verdicts_of_differences() -> None:
    none = estimate(None, None)
    assert (is_above(none), is_below(none, 1.0), is_within(none, 1.0)) == ("cannot tell",) * 3
    assert [is_above(estimate(*bounds)) for bounds in [(0.001, 0.1), (-0.1, -0.001), (-0.009, 0.009), (-0.02, 0.009)]] == [
        "found",
        "not found",
        "tie",
        "cannot tell",
    ]
    assert [is_within(estimate(*bounds), 1.0) for bounds in [(-1, 1), (1.1, 2), (-2, -1.1), (0, 2)]] == [
        "found",
        "not found",
        "not found",
        "cannot tell",
    ]


def test_verdicts_together() -> None:
    assert all_of(["found", "found"]) == "found"
    assert all_of(["found", "cannot tell"]) == all_of([]) == "cannot tell"
    assert all_of(["cannot tell", "tie"]) == "not found"
    assert over_pairs(["cannot tell", "found", "tie"]) == "found"
    assert over_pairs(["tie", "cannot tell"]) == "tie"
    assert over_pairs(["tie", "not found"]) == "not found"
    assert over_pairs([]) == "cannot tell"
    assert of_finding(["found", "found"]) == "found"
    assert of_finding(["found", "cannot tell"]) == of_finding(["found", "not found"]) == "found in part"
    assert of_finding(["tie", "cannot tell"]) == "not found"
