"""Outcomes, packed and unpacked."""

import pytest

from fvsearch.engines.base import Completed, Failed, Infeasible, Outcome, Stopped
from fvsearch.search.outcomes import Outcomes

KINDS = (
    Completed(values=(0.5, 1e9), constraints={"memory": -0.25}),
    Completed(values=(0.5,)),
    Infeasible(constraints={"memory": 0.25, "throughput": -1.0}),
    Stopped(epochs=3, values=(0.125, 7.0)),
    Failed(reason="the loss became NaN"),
)


@pytest.mark.parametrize("outcome", KINDS)
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    outcomes = Outcomes()
    outcomes["0123456789ab"] = None
    assert "0123456789ab" in outcomes and outcomes["0123456789ab"] is None
    outcomes["0123456789ab"] = outcome
    assert outcomes["0123456789ab"] == outcome and len(outcomes) == 1
    assert "ba9876543210" not in outcomes
