"""How far costs are from a budget: dimensionless, at most 0 where the budget is met."""

from collections.abc import Mapping

from fvsearch.study import Budget, Limit


def allowed(kind: str, limit: Limit, baseline: Mapping[str, float]) -> float:
    """A limit in bytes or images/s.

    Args:
        kind: "memory" or "throughput".
        limit: As the user set it.
        baseline: The baseline's costs by kind, from the same source (formula or device) as what is compared with it.
    """
    return limit.value * baseline[kind] if limit.relative else limit.value


def violations(budget: Budget, costs: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """By "memory" and "throughput", where the budget sets them and the cost is known: how far it is broken.

    `memory / limit - 1`, for it is an upper limit, and `1 - throughput / limit`, for it is a lower one.
    """
    found = {}
    for kind, limit in budget.limits().items():
        if kind in costs:
            share = costs[kind] / allowed(kind, limit, baseline)
            found[kind] = share - 1 if kind == "memory" else 1 - share
    return found


def is_met(found: Mapping[str, float]) -> bool:
    """Whether no budget is broken, by what `violations` found."""
    return all(value <= 0 for value in found.values())
