"""Numbers as people read and write them."""

import re

from fvsearch.errors import ConfigError


def show_bytes(count: float) -> str:
    """13002342 -> `12.4 MiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(count) >= size:
            return f"{count / size:,.{_decimals(count / size)}f} {unit}"
    return f"{count:.0f} B"


def show_count(count: float) -> str:
    """86567656 -> `86.6 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= size:
            return f"{count / size:,.{_decimals(count / size)}f} {unit}"
    return f"{count:.0f}"


def show_throughput(rate: float) -> str:
    """4567.8 -> `4,568 images/s`."""
    return f"{rate:,.{_decimals(rate)}f} images/s"


def show_joules(joules: float) -> str:
    """1260000 -> `1.26 MJ (0.35 kWh)`, 900 -> `900 J`."""
    for unit, size in (("GJ", 1e9), ("MJ", 1e6), ("kJ", 1e3)):
        if joules >= size:
            hours = joules / 3.6e6
            shown = f"{joules / size:,.{_decimals(joules / size)}f} {unit}"
            return f"{shown} ({hours:,.{_decimals(hours)}f} kWh)" if hours >= 0.1 else shown
    return f"{joules:,.{_decimals(joules)}f} J"


def show_seconds(seconds: float) -> str:
    """3725 -> `1 h 02 min`, 75 -> `1 min 15 s`, 7.25 -> `7.2 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def parse_duration(text: str) -> float:
    """`90s`, `20m`, `1h30m` as seconds.

    Raises:
        ConfigError: The text is none of these, or no time at all.
    """
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip().replace(" ", ""))
    seconds = sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    if seconds == 0:
        raise ConfigError(f"a time must read as hours, minutes and seconds, such as 90s, 20m or 1h30m, but got {text!r}")
    return float(seconds)


def _decimals(value: float) -> int:
    """Decimals that leave about three digits."""
    return 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0


def show_share(share: float) -> str:
    """A share in percent, three figures of it: 34.5%."""
    return f"{100 * share:.3g}%"
