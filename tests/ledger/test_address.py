"""URLs of databases, and the passwords that must not be seen."""

from pathlib import Path

import pytest

from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.ledger.address import Address, Kept, keep, read_kept

SECRET = "s3cr t/@:%{}?"
QUOTED = "s3cr%20t%2F%40%3A%25%7B%7D%3F"
URL = f"postgresql://ann:{QUOTED}@host:5433/study"


@pytest.mark.parametrize("url", [URL, f"postgresql://ann@host:5433/study?password={QUOTED}", f"postgres://ann:{QUOTED}@host:5433/study"])
def test_what_is_shown_has_no_password(url: str) -> None:
    address = Address(url)
    assert address.shown == "postgresql://ann@host:5433/study"
    assert SECRET not in repr(address) and QUOTED not in repr(address)
    assert address.has_password


def test_what_connects_has_it() -> None:
    import sqlalchemy

    assert sqlalchemy.make_url(Address(URL).url).password == SECRET
    assert Address(URL).url.startswith("postgresql+psycopg://")


def test_other_settings_of_a_url_are_kept() -> None:
    address = Address("postgresql://ann@host/study?sslmode=require&connect_timeout=3&passfile=/home/ann/pass")
    assert address.shown == "postgresql://ann@host/study?connect_timeout=3&passfile=%2Fhome%2Fann%2Fpass&sslmode=require"
    assert "connect_timeout" not in address.connect_args and "tcp_user_timeout" in address.connect_args
    assert not address.has_password


@pytest.mark.parametrize("form", [SECRET, QUOTED, "s3cr+t%2F%40%3A%25%7B%7D%3F"])
def test_a_password_is_taken_out_of_a_text_in_every_form(form: str) -> None:
    assert Address(URL).clean(f"cannot connect with {form}!") == "cannot connect with ***!"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("runs/ledger.db", "--storage must be a database's URL, such as postgresql://user@host/name, but it is none"),
        ("postgresql://ann:hunter2@host", "must be a database's URL"),
        ("postgresql://ann:hunter2@host:no-port/name", "must be a database's URL"),
        (
            "ledger+foo://ann:hunter2@host/name",
            r"must name a database that SQLAlchemy knows, such as postgresql://, but got ledger\+foo://",
        ),
    ],
)
def test_what_is_no_url_is_one_sentence_that_does_not_repeat_it(url: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as raised:
        Address(url)
    assert "hunter2" not in str(raised.value)


def test_a_missing_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        MissingBackendError, match=r"postgresql://ann@host:5433/study is reached by psycopg, which is not installed; `pip in"
    ) as it:
        Address(URL)
    assert QUOTED not in str(it.value)


def test_a_folder_keeps_no_password_and_the_environment_has_it(tmp_path: Path) -> None:
    keep(tmp_path, Kept(url=Address(URL).shown, study_key="k"))
    assert SECRET not in (tmp_path / "storage.toml").read_text() and QUOTED not in (tmp_path / "storage.toml").read_text()
    kept = read_kept(tmp_path)
    assert kept is not None
    assert Address.of_folder(kept, {"FVSEARCH_STORAGE": URL}) == Address(URL)
    elsewhere = Address.of_folder(kept, {"FVSEARCH_STORAGE": "postgresql://ann:other@elsewhere/study"})
    assert not elsewhere.has_password and elsewhere.shown == kept.url
    assert not Address.of_folder(kept, {}).has_password
