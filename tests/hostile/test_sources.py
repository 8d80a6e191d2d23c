"""What a study that somebody sent may have run: functions of the user's own, and nothing that is on every machine."""

from pathlib import Path

import msgspec
import pytest
from hostility import refused, require_sentence

from fvsearch.data import check_source, load
from fvsearch.errors import ConfigError
from fvsearch.study import Data

DATA = Data(source="digits", image_size=8, channels=1, num_classes=10)
QUICK = ("run", "quickstart", "--out", "out")


@pytest.mark.parametrize(
    "source",
    [
        "os:system",
        "subprocess:run",
        "pickle:loads",
        "shutil:rmtree",
        "builtins:exec",
        "joblib:load",
        "numpy:load",
        "keras.saving:load_model",
    ],
)
def test_a_function_that_is_on_every_machine_is_refused(source: str) -> None:
    data = msgspec.structs.replace(DATA, source=source, options={"command": "true"})
    for door in (check_source, load):
        with pytest.raises(ConfigError) as caught:
            door(data)
        require_sentence(caught.value)
        assert "must be a function of yours" in str(caught.value) or "there is no" in str(caught.value)


def test_a_study_file_runs_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(*QUICK, "--set", "data.source=os:system", "--set", "data.options.command=touch pwned", "--backend", "jax")
    assert "'os' is Python's own library" in said
    assert not list(tmp_path.iterdir())


def test_a_module_of_ones_own_may_be_called_as_it_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpyish.py").write_text("def images(): ...\n")
    check_source(msgspec.structs.replace(DATA, source="numpyish:images"))


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/b", "..", ".hidden", "", "x" * 101, "a\nb", "a\0b"])
def test_a_name_leads_out_of_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "study.toml"
    study.write_text('name = "x"\n')
    assert "name" in refused(
        "run", "quickstart", "--set", f"name={name!r}" if "\0" not in name and "\n" not in name else 'name="a\\u0000b"'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
