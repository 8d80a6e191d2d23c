"""TOML that nobody meant: studies, spaces, transfer studies, runs and recipes, mutated or no TOML at all, are a record or a sentence."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import tomli_w
from hostility import damaged, fuzzed, mutations, require_sentence, sentences

from fvsearch.costs.formula import predict
from fvsearch.errors import ConfigError
from fvsearch.library import load_recipe, load_space, load_study, load_transfer
from fvsearch.library._files import files
from fvsearch.records import from_toml, to_builtins, to_toml
from fvsearch.study import Study
from fvsearch.training.run import Run, load_run
from fvsearch.weights.card import ModelCard

RUN = {
    "name": "a-run",
    "arch": "B1(17, h32, m64, a2)-1(9, h32, m64, a2)",
    "patch_size": 2,
    "data": {"source": "digits", "image_size": 8, "channels": 1, "num_classes": 10, "options": {}},
    "recipe": {"base": "digits", "epochs": 2, "augmentation": {"flip": True}},
}
CARD = {
    "arch": {"patch_size": 2, "stages": [{"depth": 1, "width": 32, "mlp_dim": 64, "num_heads": 2}]},
    "image_size": [8, 8],
    "channels": 1,
    "num_classes": 10,
    "evidence": {"keep": "last"},
}
WHOLE_STUDY = to_builtins(load_study("reinvestment-shapes"))


def content_of(folder: str, name: str) -> dict[str, Any]:
    return tomllib.loads(files(folder)[name].read_text())


DOORS: dict[str, tuple[dict[str, Any], Callable[[Path], Any]]] = {
    "study": (content_of("studies", "quickstart"), lambda path: load_study(str(path))),
    "written study": (WHOLE_STUDY, lambda path: load_study(str(path))),
    "kept study": (WHOLE_STUDY, lambda path: from_toml(path, Study)),
    "space": (content_of("spaces", "reinvestment-shapes"), lambda path: load_space(str(path))),
    "transfer study": (content_of("studies", "transfer-shapes"), lambda path: load_transfer(str(path))),
    "recipe": (content_of("recipes", "pixel-cifar"), lambda path: load_recipe(str(path))),
    "run": (RUN, load_run),
    "card": (CARD, lambda path: from_toml(path, ModelCard)),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_mutated_document_is_a_record_or_a_sentence(door: str, tmp_path: Path) -> None:
    document, load = DOORS[door]
    path = tmp_path / "x.toml"

    @hypothesis.settings(fuzzed, max_examples=120)
    @hypothesis.given(mutations(document))
    def holds(changed: dict[str, Any]) -> None:
        path.write_text(tomli_w.dumps(changed))
        with sentences():
            record = load(path)
            # What is taken can be written, and is then the same.
            path.write_text(to_toml(record))
            assert str(from_toml(path, type(record))) == str(record)
            if isinstance(record, Study | Run):
                arch = record.baseline if isinstance(record, Study) else record.arch
                predict(arch, image_shape=record.data.image_shape, num_classes=record.data.num_classes, batch_size=1)

    holds()


@pytest.mark.parametrize("door", DOORS)
def test_damaged_bytes_are_a_record_or_a_sentence(door: str, tmp_path: Path) -> None:
    document, load = DOORS[door]
    path = tmp_path / "x.toml"

    @hypothesis.settings(fuzzed, max_examples=40)
    @hypothesis.given(damaged(tomli_w.dumps(document).encode()))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        with sentences():
            load(path)

    holds()


NO_TOML = {
    "nothing": b"",
    "binary": bytes(range(256)),
    "UTF-16": "name = 'x'".encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbfname = 'x'",
    "latin-1": "name = 'é'".encode("latin-1"),
    "NUL": b"name = 'a\0b'",
    "an escape of a terminal": b'name = "a"\ndescription = "\\u001b[31mred"',
    "deep lists": b"name = " + b"[" * 100_000 + b"]" * 100_000,
    "deep tables": b"name = " + b"{a = " * 50_000 + b"1" + b"}" * 50_000,
    "dotted": b".".join([b"a"] * 2_000) + b" = 1",
    "a number of a million digits": b"trials = " + b"9" * 1_000_000,
    "a line of megabytes": b"name = '" + b"x" * 5_000_000 + b"'",
    "a key of megabytes": b"x" * 5_000_000 + b" = 1",
    "many keys": b"\n".join(b"k%d = 1" % number for number in range(50_000)),
    "JSON": b'{"name": "x"}',
    "a pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a list": b"[[name]]\n[[name]]",
    "a study's name is a table": b"[name]\nx = 1",
}


@pytest.mark.parametrize("kind", NO_TOML)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_document_is_a_sentence(kind: str, door: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(NO_TOML[kind])
    with pytest.raises(ConfigError) as caught:
        DOORS[door][1](path)
    require_sentence(caught.value)
    assert "x.toml" in str(caught.value)
