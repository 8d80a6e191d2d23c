import pytest

from fvsearch.errors import ConfigError
from fvsearch.units import parse_duration, show_joules, show_share


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("8h", 28800), ("1h 2m 3s", 3723)])
def test_durations_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "1d", "-5m", "m", "1.5h"])
def test_durations_that_do_not_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a time must read as"):
        parse_duration(text)


@pytest.mark.parametrize(("share", "text"), [(1, "100%"), (0.3449, "34.5%"), (0.08, "8%"), (0.00052, "0.052%"), (0, "0%")])
def test_shares_are_percent_with_three_figures(share: float, text: str) -> None:
    assert show_share(share) == text


@pytest.mark.parametrize(
    ("joules", "text"), [(0, "0.00 J"), (12.34, "12.3 J"), (900, "900 J"), (12_340, "12.3 kJ"), (1_260_000, "1.26 MJ (0.35 kWh)")]
)
def test_energy_is_joules_and_on_a_scale_of_bills_kilowatt_hours(joules: float, text: str) -> None:
    assert show_joules(joules) == text
