import pytest

from fvsearch.report.findings.quantities import epochs_to_reach, fall


def test_the_fall_of_a_curve_and_the_epochs_to_its_share() -> None:
    curve = tuple({"top1": score} for score in (0.4, 0.8, 0.7, 0.9, 1.0))
    assert fall(curve) == pytest.approx(0.1 / 4)
    assert epochs_to_reach(curve, 0.6) == pytest.approx(1.5)
    assert epochs_to_reach(curve, 0.2) == pytest.approx(0.5)
    assert epochs_to_reach(curve, 1.0) == 5
    assert epochs_to_reach(({"top1": 0.0},)) == 0
