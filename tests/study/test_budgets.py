import pytest

from fvsearch.study.budgets import Budget, violations

BASELINE = {"memory": 1000.0, "throughput": 50.0}


@pytest.mark.parametrize(
    ("budget", "costs", "expected"),
    [
        (Budget(memory="0.5x"), {"memory": 600.0}, {"memory": 0.2}),
        (Budget(memory="0.5x"), {"memory": 500.0}, {"memory": 0.0}),
        (Budget(memory="1 KiB"), {"memory": 512.0}, {"memory": -0.5}),
        (Budget(throughput="2x"), {"throughput": 75.0}, {"throughput": 0.25}),
        (Budget(throughput="100 images/s"), {"throughput": 150.0}, {"throughput": -0.5}),
        (Budget(memory="1x", throughput="1x"), {"memory": 1000.0, "throughput": 50.0}, {"memory": 0.0, "throughput": 0.0}),
        (Budget(memory="1x", throughput="1x"), {"memory": 1000.0}, {"memory": 0.0}),
        (Budget(), {"memory": 9e9}, {}),
    ],
)
def test_violations_are_dimensionless_and_at_most_zero_within(budget: Budget, costs: dict[str, float], expected: dict[str, float]) -> None:
    assert violations(budget, costs, BASELINE) == pytest.approx(expected)
