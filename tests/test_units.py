import pytest

from fvsearch.errors import ConfigError
from fvsearch.units import parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("8h", 28800), ("1h 2m 3s", 3723)])
def test_durations_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "1d", "-5m", "m", "1.5h"])
def test_durations_that_do_not_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a time must read as"):
        parse_duration(text)
