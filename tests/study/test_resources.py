from typing import Any

import pytest
from quickstart import changed

from fvsearch.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"resources": {"GPU": 2}}, "a worker trains on one GPU, or on a share of one, but got GPU=2 at resources; --workers says"),
        ({"resources": {"CPU": -1}}, "resources must be at least 0, but got CPU=-1 at resources"),
    ],
)
def test_resources_are_at_least_nothing_and_at_most_a_gpu(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**changes)
    assert sentence in str(caught.value)
