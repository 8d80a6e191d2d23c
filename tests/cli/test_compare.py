"""`fvsearch compare` as its user meets it."""

import json
from pathlib import Path

import pytest
from ledgers import STUDY, TRIALS, fill
from test_cli import fvsearch

from fvsearch.ledger import Ledger
from fvsearch.study import Objective


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies that compare, and one that does not."""
    found = tmp_path_factory.mktemp("studies")
    others = STUDY.with_settings(objectives=(Objective(name="loss", direction="minimize"),))
    for name, study, trials in (("one", STUDY, TRIALS[:3]), ("two", STUDY, TRIALS), ("other", others, TRIALS[:3])):
        (found / name).mkdir()
        fill(Ledger.create(found / name, study), trials)
    return found


def test_a_table_on_the_terminal_and_a_page_where_one_is_asked_for(folder: Path) -> None:
    run = fvsearch("compare", "one", "two", "-o", "both.html", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "hypervolume" in run.stdout
    assert run.stdout.splitlines()[-1] == "page: both.html"
    assert (folder / "both.html").stat().st_size > 1e6
    assert "page:" not in fvsearch("compare", "one", "two", cwd=folder).stdout


def test_json_is_all_that_is_printed(folder: Path) -> None:
    document = json.loads(fvsearch("compare", "one", "two", "--json", cwd=folder).stdout)
    assert document["first"]["volume"]["over_trials"][-1]["value"] < document["second"]["volume"]["over_trials"][-1]["value"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["one", "other"], "two studies must have the same objectives to be compared, but one has maximize top1, minimize memory"),
        (["one", "nothing"], "nothing holds no study"),
        (["one", "two", "-o", "nowhere/page.html"], "cannot write nowhere/page.html"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, folder: Path) -> None:
    run = fvsearch("compare", *arguments, cwd=folder)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert sentence in run.stderr
    assert len(run.stderr.splitlines()) == 1
