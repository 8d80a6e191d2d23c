"""The laws of what a worker is to have of a Ray cluster: a study's `resources`, and a transfer study's."""

import math
from collections.abc import Mapping

from fvsearch.errors import ConfigError


def require_resources(resources: Mapping[str, float]) -> None:
    """The laws of what a worker is to have of a cluster.

    Raises:
        ConfigError: It is less than nothing, or more GPUs than a training has use for.
    """
    for name, amount in resources.items():
        if not 0 <= amount < math.inf:
            raise ConfigError(f"resources must be at least 0, but got {name}={amount:g} at resources")
    if resources.get("GPU", 0.0) > 1:
        raise ConfigError(
            f"a worker trains on one GPU, or on a share of one, but got GPU={resources['GPU']:g} at resources; --workers says how many "
            "train side by side"
        )
