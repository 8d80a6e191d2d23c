from typing import Any

import pytest
from quickstart import changed

from fvsearch.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data__image_size": 9}, "`image_size` must divide by `patch_size`, but got image_size=9x9, patch_size=2"),
        ({"data__image_size": [8, 9]}, "got image_size=8x9"),
        ({"data__validation": 0.0}, "`validation` must be above 0"),
        ({"data__validation": 0.6, "data__test": 0.4}, "must leave images to train on, but together they are 1"),
        ({"data__test": 1.0}, "`test` must be at least 0 and below 1"),
        ({"data__num_classes": 1}, "`num_classes` must be at least 2"),
    ],
)
def test_data_states_its_laws(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**changes)
    assert sentence in str(caught.value)
