"""Where a ledger is kept that several coordinators share: a database's URL, whose password no text of ours holds."""

import os
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.files import write_atomically
from fvsearch.records import Record, from_toml, to_toml

VARIABLE = "FVSEARCH_STORAGE"
"""Of the environment: a URL that no list of processes shows, as it does a command line."""

STUDY_FILE, LEDGER_FILE, ADDRESS_FILE = "study.toml", "ledger.db", "storage.toml"
"""Of a study's folder: its definition, and its ledger, or what is kept of where that is."""

ANSWERS_WITHIN = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's, unless the URL says otherwise: a server that is gone without a word is noticed within a minute, not in a quarter of an hour."""

_SECRET = re.compile("pass(?!file)|secret|token", re.IGNORECASE)


class Kept(Record, frozen=True, kw_only=True):
    """What a folder keeps of where its ledger is.

    Attributes:
        url: Without a password.
        study_key: Of the study there, made with it: one of the same name that was made anew is another.
    """

    url: str
    study_key: str


class Address:
    """A database, as a user names it.

    Args:
        text: A URL such as postgresql://user:password@host/name. A password may be left to libpq: PGPASSWORD, or ~/.pgpass.

    Raises:
        ConfigError: It is no URL, or of no database that is known.
        MissingBackendError: What connects to it is not installed.

    Attributes:
        shown: The URL without its password.
    """

    def __init__(self, text: str) -> None:
        import sqlalchemy

        text = re.sub("^postgres(ql)?://", "postgresql+psycopg://", text)
        try:
            self._url = sqlalchemy.make_url(text)
            if not self._url.database:
                raise ValueError
            self._url.get_dialect()
        except sqlalchemy.exc.NoSuchModuleError:
            name = self._url.drivername
            raise ConfigError(f"--storage must name a database that SQLAlchemy knows, such as postgresql://, but got {name}://") from None
        except (sqlalchemy.exc.ArgumentError, ValueError):
            # Not repeated: what does not read may be a password's fault.
            raise ConfigError("--storage must be a database's URL, such as postgresql://user@host/name, but it is none") from None
        try:
            self._url.get_dialect().import_dbapi()
        except ImportError:
            extra = '`pip install "fvsearch[postgresql]"` installs it' if self._url.get_backend_name() == "postgresql" else "install it"
            raise MissingBackendError(
                f"{self.shown} is reached by {self._url.get_driver_name()}, which is not installed; {extra}"
            ) from None

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    @classmethod
    def of_folder(cls, kept: Kept, environment: Mapping[str, str] = os.environ) -> "Address":
        """That of the folder's ledger: with the password that the environment's URL has, if it is of the same database."""
        address = cls(kept.url)
        if VARIABLE in environment and (told := cls(environment[VARIABLE])).shown == address.shown:
            return told
        return address

    @property
    def shown(self) -> str:
        """As it may be shown, and kept."""
        query = {name: value for name, value in self._url.query.items() if not _SECRET.search(name)}
        shown = self._url.set(query=query)._replace(password=None)
        return shown.render_as_string(hide_password=False).replace("postgresql+psycopg://", "postgresql://")

    @property
    def has_password(self) -> bool:
        """Whether the URL itself holds one."""
        return bool(self._secrets)

    @property
    def url(self) -> str:
        """The whole URL, for whoever connects."""
        return self._url.render_as_string(hide_password=False)

    @property
    def connect_args(self) -> dict[str, Any]:
        """What else is told to whoever connects."""
        if self._url.get_backend_name() == "postgresql" and self._url.get_driver_name().startswith("psycopg"):
            return {name: value for name, value in ANSWERS_WITHIN.items() if name not in self._url.query}
        return {"timeout": 60} if self._url.get_backend_name() == "sqlite" else {}

    def clean(self, text: str) -> str:
        """A text in which no password of this address stands, in whatever form."""
        for secret in self._secrets:
            for form in {secret, urllib.parse.quote(secret), urllib.parse.quote_plus(secret), urllib.parse.quote(secret, safe="")}:
                text = text.replace(form, "***")
        return text

    @property
    def _secrets(self) -> list[str]:
        values = [value for name, value in self._url.query.items() if _SECRET.search(name)]
        flat = [one for value in values for one in ([value] if isinstance(value, str) else value)]
        return [secret for secret in (self._url.password, *flat) if secret]


def read_kept(folder: Path) -> Kept | None:
    """What a folder keeps of where its ledger is; none where the ledger is in the folder itself.

    Raises:
        ConfigError: The file does not read.
    """
    path = folder / ADDRESS_FILE
    return from_toml(path, Kept) if path.exists() else None


def keep(folder: Path, kept: Kept) -> None:
    """Keep in a folder where its ledger is."""
    if read_kept(folder) != kept:
        write_atomically(folder / ADDRESS_FILE, to_toml(kept).encode())
