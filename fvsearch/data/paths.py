"""Paths that a study names, and names of files as messages show them: what a disk holds need be no text."""

import re
from pathlib import Path

from fvsearch.errors import ConfigError
from fvsearch.records import CONTROLS, show_value

LONGEST = 200
"""Characters of a name that a message shows."""


def named_path(named: str, place: str) -> Path:
    """The path that a text names, its `~` expanded; whether anything lies there is not said.

    Args:
        named: By the user.
        place: Of the text, for an error.

    Raises:
        ConfigError: The system takes it for no path, or there is no such home folder.
    """
    try:
        path = Path(named).expanduser()
        path.is_dir()  # of what is only not there it raises nothing
    except OSError as error:
        raise ConfigError(
            f"a path must be one that the system can look at, but got {show_value(named)} at {place}: {error.strerror}"
        ) from None
    except RuntimeError:
        raise ConfigError(
            f"a path that begins with ~ must name a user with a home folder, but got {show_value(named)} at {place}"
        ) from None
    return path


def shown_name(name: str) -> str:
    """A file's name in printable characters, the others as backslashes tell them, and the end of it where it is long."""
    text = CONTROLS.sub(_escaped, name.replace("\n", "\\n").replace("\t", "\\t")).encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"
