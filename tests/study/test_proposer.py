from typing import Any

import pytest
from quickstart import changed

from fvsearch.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"engine__population": 1}, "`population` must be at least 2"),
        ({"engine__oracle": "bayesian"}, "`oracle` is for the engine \"keras_tuner\", but got oracle='bayesian', name='front'"),
        ({"engine__scalar": "top1"}, '`scalar` is for the engine "keras_tuner"'),
        ({"engine__name": "listed"}, '`archs` belongs to the engines "listed"'),
    ],
)
def test_a_proposer_states_its_laws(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**changes)
    assert sentence in str(caught.value)
