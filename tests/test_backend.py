import json
from pathlib import Path

import pytest

from fvsearch import backend
from fvsearch.backend import choose_backend
from fvsearch.errors import ConfigError, MissingBackendError


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    found = {"jax", "tensorflow", "torch"}
    monkeypatch.setattr(backend, "is_installed", lambda name: name in found)
    return found


def test_the_option_wins_over_the_environment(installed: set[str]) -> None:
    assert choose_backend("torch", {"KERAS_BACKEND": "jax"}) == "torch"
    assert choose_backend(None, {"KERAS_BACKEND": "tensorflow"}) == "tensorflow"


def test_keras_config_is_asked_then_what_is_installed(installed: set[str], tmp_path: Path) -> None:
    home = {"KERAS_HOME": str(tmp_path)}
    assert choose_backend(None, home) == "jax"
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    assert choose_backend(None, home) == "torch"
    installed.remove("torch")
    assert choose_backend(None, home) == "jax"
    (tmp_path / "keras.json").write_text("{")
    assert choose_backend(None, home) == "jax"


def test_a_missing_backend_is_told_how_to_get_it(installed: set[str], tmp_path: Path) -> None:
    installed.remove("torch")
    with pytest.raises(MissingBackendError, match=r'pip install "fvsearch\[torch\]"'):
        choose_backend("torch", {})
    installed.clear()
    with pytest.raises(MissingBackendError, match="no backend is installed"):
        choose_backend(None, {"KERAS_HOME": str(tmp_path)})


def test_an_unknown_backend_is_refused(installed: set[str]) -> None:
    with pytest.raises(ConfigError, match=r"one of jax, tensorflow, torch, but got 'tensorflw' \(did you mean 'tensorflow'\?\)"):
        choose_backend(None, {"KERAS_BACKEND": "tensorflw"})
