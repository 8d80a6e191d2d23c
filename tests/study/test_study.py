from typing import Any

import pytest
from quickstart import changed

from fvsearch.errors import ConfigError
from fvsearch.library import load_study, shipped
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study import Proposer, Study


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "a/b"}, "`name` must be letters, digits"),
        ({"trials": 0}, "`trials` must be at least 1"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"repeats": 0}, "`repeats` must be at least 1"),
        ({"objectives": []}, "`objectives` must name one that training tells"),
        ({"objectives": [{"name": "memory", "direction": "minimize"}]}, "costs alone need no search"),
        ({"objectives": [{"name": "top1", "direction": "maximize"}] * 2}, "`objectives` must differ"),
    ],
)
def test_a_study_states_its_laws(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**changes)
    assert sentence in str(caught.value)


def test_a_study_without_a_space_is_listed() -> None:
    content = to_builtins(load_study("quickstart"))
    del content["space"]
    with pytest.raises(ConfigError, match="`space` must be given, except"):
        from_builtins(content, Study)


def test_a_study_without_an_engine_has_front() -> None:
    content = to_builtins(load_study("quickstart", ["engine.name=optuna"]))
    del content["engine"]
    assert from_builtins(content, Study).engine == Proposer(name="front")


@pytest.mark.parametrize("name", shipped("studies"))
def test_shipped_studies_survive_plain_values(name: str) -> None:
    study = load_study(name)
    assert from_builtins(to_builtins(study), Study) == study


def test_costs_are_said_at_the_recipes_batch_unless_the_budget_says() -> None:
    assert changed().cost_batch_size == changed().recipe.batch_size
    assert changed(budget__batch_size=7).cost_batch_size == 7
    assert changed(recipe__accumulate=4).cost_batch_size == changed().recipe.batch_size // 4
