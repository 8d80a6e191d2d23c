from pathlib import Path

import pytest

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins, from_toml, suggest, to_builtins, to_toml
from fvsearch.study import Study

STAGE = {"depth": 1, "width": 32, "mlp_dim": 64, "num_heads": 2}


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (STAGE | {"widht": 3}, "unknown key `widht` (did you mean 'width'?) at stages[1] in here"),
        (STAGE | {"zzz": 3}, "unknown key `zzz`; the keys are depth, mlp_dim, num_heads, pool_stride, pooling, width at stages[1] in here"),
        (STAGE | {"width": "a"}, "expected `int`, got `str`, but the value is 'a' at stages[1].width in here"),
        (STAGE | {"pooling": "maxx"}, "must be one of mean, max, but got 'maxx' (did you mean 'max'?) at stages[1].pooling in here"),
        (STAGE | {"num_heads": 5}, "`width` must divide by `num_heads`, but got width=32, num_heads=5 at stages[1] in here"),
        ({"depth": 1}, "the key `width` is missing at stages[1] in here"),
    ],
)
def test_an_error_says_law_value_and_place(stage: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_builtins({"patch_size": 2, "stages": [STAGE, stage]}, Arch, source="here")
    assert sentence in str(caught.value)


def test_a_file_that_is_no_toml_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("name = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        from_toml(path, Study)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        from_toml(path, Study)
    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        from_toml(tmp_path / "absent.toml", Study)


def test_toml_round_trip(tmp_path: Path) -> None:
    arch = from_builtins({"patch_size": 2, "stages": [STAGE, STAGE | {"pool_stride": 2, "pooling": "max"}]}, Arch)
    path = tmp_path / "arch.toml"
    path.write_text(to_toml(arch))
    assert from_toml(path, Arch) == arch


def test_plain_values_hold_no_none_and_no_tuple() -> None:
    plain = to_builtins({"a": None, "b": (1, {"c": None})})
    assert plain == {"b": [1, {}]}


def test_suggest_is_silent_without_a_neighbour() -> None:
    assert suggest("qqqq", ["width", "depth"]) == ""
    assert suggest("dept", ["width", "depth"]) == " (did you mean 'depth'?)"
