from typing import Any

import pytest
from quickstart import changed

from fvsearch.errors import ConfigError
from fvsearch.study.budgets import Budget, Limit, parse_limit, violations

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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budget__memory": "8"}, "`memory` must be a positive number with a unit"),
        ({"budget__batch_size": 0}, "`batch_size` must be at least 1"),
    ],
)
def test_a_budget_states_its_laws(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**changes)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "limit"),
    [
        ("memory", "8 GiB", Limit(value=8 * 2**30, relative=False)),
        ("memory", "1.5MiB", Limit(value=1.5 * 2**20, relative=False)),
        ("memory", "12 GB", Limit(value=12e9, relative=False)),
        ("memory", "0.75x", Limit(value=0.75, relative=True)),
        ("throughput", "400 images/s", Limit(value=400, relative=False)),
        ("throughput", "1.25 x", Limit(value=1.25, relative=True)),
    ],
)
def test_limits_read_in_the_users_units(kind: str, text: str, limit: Limit) -> None:
    assert parse_limit(kind, text) == limit


@pytest.mark.parametrize(
    ("kind", "text"),
    [("memory", "8"), ("memory", "x"), ("memory", "-1x"), ("memory", "0x"), ("memory", "8 gib"), ("throughput", "8 GiB"), ("memory", "")],
)
def test_limits_that_do_not_read_are_refused(kind: str, text: str) -> None:
    with pytest.raises(ConfigError, match="must be a positive number with a unit"):
        parse_limit(kind, text)


def test_a_budget_knows_the_limits_that_are_set() -> None:
    assert Budget().limits() == {}
    assert Budget(memory="2x").limits() == {"memory": Limit(value=2, relative=True)}
