from pathlib import Path

import msgspec
import pytest
from ledgers import STUDY, TRIALS, arch, fill
from rich.console import Console

from fvsearch.archs.rules import Rules
from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.library import load_study
from fvsearch.report.dry_run import dry_run_table
from fvsearch.study import Proposer, Study
from fvsearch.study.budgets import Budget


def shown(study: Study) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(dry_run_table(study))
    return capture.get()


def test_it_says_what_the_rules_leave() -> None:
    assert "rules" not in shown(STUDY)
    space = msgspec.structs.replace(STUDY.space, rules=Rules(widths_never_rise=True, max_depth=4, max_mlp_ratio=4.0))
    text = shown(msgspec.structs.replace(STUDY, space=space))
    assert "widths_never_rise, max_mlp_ratio = 4, max_depth = 4" in text
    assert f"of the {STUDY.space.size():,} that the domains span keep the rules" in text


def test_it_says_which_warm_starts_are_too_costly() -> None:
    starts = (arch(TRIALS[1].layout), arch(TRIALS[6].layout))
    study = msgspec.structs.replace(STUDY, engine=Proposer(warm_start=starts), budget=Budget(memory="0.9x"))
    text = shown(study)
    assert "evaluated first: 2 warm starts" in text
    assert f"1 warm start is over budget as predicted and left out: {TRIALS[6].layout}" in text


def test_it_looks_at_the_study_that_trials_come_from(tmp_path: Path) -> None:
    study = msgspec.structs.replace(STUDY, engine=Proposer(warm_start=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"holds no study: .* at engine\.warm_start"):
        shown(study)
    fill(Ledger.create(tmp_path, STUDY), TRIALS[:2], {}).close()
    assert "takes over what fits of the 2 trials of" in shown(study)


def test_an_engine_that_cannot_serve_the_study_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvsearch.engines.is_installed", lambda name: False)
    with pytest.raises(ConfigError, match="computes in PyTorch"):
        shown(msgspec.structs.replace(STUDY, engine=Proposer(sampler="gp")))


def test_it_names_what_proposes() -> None:
    assert "keras_tuner, grid" in shown(msgspec.structs.replace(STUDY, engine=Proposer(name="keras_tuner", oracle="grid")))


def test_a_mistake_in_a_source_that_ships_is_refused_and_a_function_may_be_written_later() -> None:
    def sourced(source: str, **options: object) -> Study:
        return msgspec.structs.replace(STUDY, data=msgspec.structs.replace(STUDY.data, source=source, options=options))

    with pytest.raises(ConfigError, match="did you mean 'shapes'"):
        shown(sourced("shape"))
    with pytest.raises(ConfigError, match="unknown key `sample`"):
        shown(sourced("shapes", sample=40))
    assert "later:images" in shown(sourced("later:images"))
    assert "not ready: the data source must name a module" in shown(sourced("later:images"))
    assert "not ready: the data source 'folder:later' must name a folder" in shown(sourced("folder:later"))
    with pytest.raises(ConfigError, match="did you mean 'folder'"):
        shown(sourced("foldr:later"))


@pytest.mark.parametrize(("trials", "told"), [(7, True), (8, False)])
def test_a_search_that_never_asks_its_engine_is_told(trials: int, told: bool) -> None:
    study = load_study("quickstart", [f"trials={trials}"])
    assert ("the engine is never asked: baseline, warm starts and starts are 7 archs" in shown(study)) == told


def test_the_front_engine_says_what_it_chooses_from() -> None:
    assert "the engine looks at all of them for each proposal" in shown(load_study("quickstart", ["engine.name=front"]))
