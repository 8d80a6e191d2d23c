"""The tables of trained archs that benchmarks/search.py replays: well formed, and of this version's costs and seeds."""

import json
from pathlib import Path
from typing import Any

import pytest

from fvsearch import load_study
from fvsearch.archs.layout import format_layout
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import Done, Infeasible, Suggestion, make_engine
from fvsearch.study import Study
from fvsearch.training.segment import derive_seed

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TABLES = BENCHMARKS / "tables"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module", params=sorted(path.stem for path in TABLES.glob("*.jsonl")))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def study(name: str) -> Study:
    return load_study(str(TABLES / f"{name}.toml"))


@pytest.fixture(scope="module")
def lines(name: str) -> Rows:
    return [json.loads(line) for line in (TABLES / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def rows(lines: Rows) -> Rows:
    return [line for line in lines if "arch" in line]


def test_it_says_where_it_is_from(lines: Rows) -> None:
    assert "provenance" in lines[0]
    for line in lines:
        if "provenance" in line:
            assert {"command", "date", "backend", "device", "processor", "versions"} <= set(line["provenance"])


def test_every_arch_is_there_with_every_repeat(rows: Rows) -> None:
    trainings = {(row["arch"], row["repeat"]) for row in rows}
    archs = {arch for arch, _ in trainings}
    assert len(trainings) == len(rows) == 2 * len(archs)
    assert len(archs) >= 100


def test_layout_params_and_seed_name_one_arch(study: Study, rows: Rows) -> None:
    assert study.space is not None
    for row in rows:
        arch = study.space.arch(row["params"])
        assert format_layout(arch, study.data.image_shape[:2]) == row["arch"]
        assert study.space.params(arch) == row["params"]
        assert derive_seed(study.seed, arch.arch_hash, row["repeat"]) == row["seed"]
    assert study.baseline in [study.space.arch(row["params"]) for row in rows]


def test_every_epoch_is_kept(study: Study, rows: Rows) -> None:
    for row in rows:
        assert len(row["top1"]) == len(row["loss"]) == study.recipe.epochs
        assert all(0 <= top1 <= 1 for top1 in row["top1"])
        assert all(loss > 0 for loss in row["loss"])
        assert row["measured"]["memory"] > 0 and row["measured"]["seconds_per_step"] > 0


def test_predicted_costs_are_todays(study: Study, rows: Rows) -> None:
    assert study.space is not None
    predictor = Predictor(study)
    for row in rows:
        # As many digits as are kept.
        assert predictor.costs(study.space.arch(row["params"])) == pytest.approx(row["predicted"], rel=1e-5)


def test_archs_are_spread_over_cost(rows: Rows) -> None:
    memory = sorted(row["predicted"]["memory"] for row in rows)
    assert memory[-1] > 8 * memory[0]
    tenth = len(memory) // 10
    # Evenly over the logarithm the dearest tenth would begin at 8 ** 0.9 of the cheapest; drawn evenly, archs crowd in the middle.
    assert memory[tenth] < 2 * memory[0] and memory[-tenth] > 0.5 * memory[-1]


def test_an_engine_over_a_list_has_each_arch_once(study: Study, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from _from_list import FromList

    assert study.space is not None
    archs = list(dict.fromkeys(study.space.arch(row["params"]) for row in rows))[:12]
    engine = FromList(make_engine(study), study, archs)
    taken = []
    while isinstance(answer := engine.ask(), Suggestion):
        taken.append(answer.params["index"])
        engine.tell(answer.params, Infeasible(constraints={"memory": 1.0}))
    assert isinstance(answer, Done)
    assert sorted(map(int, taken)) == list(range(12))
