from typing import Any

import pytest

from fvsearch.errors import ConfigError
from fvsearch.library import load_study, shipped
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study import Study
from fvsearch.study.budgets import Budget, Limit, parse_limit


def changed(**changes: Any) -> Study:
    """The quickstart with dotted keys set (`__` for the dot)."""
    content = to_builtins(load_study("quickstart"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for step in parents:
            place = place.setdefault(step, {})
        place[last] = value
    return from_builtins(content, Study)


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
        ({"data__image_size": 9}, "`image_size` must divide by `patch_size`, but got image_size=9x9, patch_size=2"),
        ({"data__image_size": [8, 9]}, "got image_size=8x9"),
        ({"data__validation": 0.0}, "`validation` must be above 0"),
        ({"data__validation": 0.6, "data__test": 0.4}, "must leave images to train on, but together they are 1"),
        ({"data__test": 1.0}, "`test` must be at least 0 and below 1"),
        ({"data__num_classes": 1}, "`num_classes` must be at least 2"),
        ({"recipe__epochs": 0}, "`epochs` must be at least 1"),
        ({"recipe__learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"recipe__clip_norm": -1.0}, "`clip_norm` must be above 0"),
        ({"recipe__dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"recipe__warmup_epochs": 99.0}, "`warmup_epochs` must not exceed `epochs`"),
        ({"recipe__dtype": "float16"}, "must be one of float32, mixed_bfloat16, but got 'float16'"),
        ({"budget__memory": "8"}, "`memory` must be a positive number with a unit"),
        ({"budget__batch_size": 0}, "`batch_size` must be at least 1"),
        ({"engine__population": 1}, "`population` must be at least 2"),
        ({"engine__oracle": "bayesian"}, "`oracle` is for the engine \"keras_tuner\", but got oracle='bayesian', name='optuna'"),
        ({"engine__scalar": "top1"}, '`scalar` is for the engine "keras_tuner"'),
        ({"resources": {"GPU": 2}}, "a worker trains on one GPU, or on a share of one, but got GPU=2 at resources; --workers says"),
        ({"resources": {"CPU": -1}}, "resources must be at least 0, but got CPU=-1 at resources"),
        ({"engine__name": "listed"}, '`archs` belongs to the engines "listed"'),
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


@pytest.mark.parametrize("name", shipped("studies"))
def test_shipped_studies_survive_plain_values(name: str) -> None:
    study = load_study(name)
    assert from_builtins(to_builtins(study), Study) == study


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


def test_costs_are_said_at_the_recipes_batch_unless_the_budget_says() -> None:
    assert changed().cost_batch_size == changed().recipe.batch_size
    assert changed(budget__batch_size=7).cost_batch_size == 7
    assert changed(recipe__accumulate=4).cost_batch_size == changed().recipe.batch_size // 4
