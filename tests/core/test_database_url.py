"""A URL of the database names one server or several, in the forms of libpq and of SQLAlchemy."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.database_url import parse
from tests.support.postgres import settings_for

LOGIN = "postgresql+asyncpg://u:p%40ss@"
TWO = ["one:5432", "two:6432"]


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        (f"{LOGIN}one:5432,two:6432/d", TWO),
        (f"{LOGIN}/d?host=one:5432&host=two:6432", TWO),
        (f"{LOGIN}/d?host=one,two&port=5432,6432", TWO),
        (f"{LOGIN}/d?host=one&host=two&port=5432&port=6432", TWO),
        (f"{LOGIN}one,two/d?port=6432", ["one:6432", "two:6432"]),
        (f"{LOGIN}one/d", ["one:5432"]),
        (f"{LOGIN}[::1]:6432,[2001:db8::1]/d", ["::1:6432", "2001:db8::1:5432"]),
        (f"{LOGIN}/d?host=/run/a&host=/run/b", ["/run/a:5432", "/run/b:5432"]),
        (f"{LOGIN}/d?host=%2Frun%2Fa", ["/run/a:5432"]),
        (f"{LOGIN}/d", []),
    ],
)
def test_servers_are_listed_in_the_order_of_the_url(
    url: str, servers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGTARGETSESSIONATTRS"):
        monkeypatch.delenv(name, raising=False)
    found = parse(f"{url}{'&' if '?' in url else '?'}target_session_attrs=read-write&sslmode=require&connect_timeout=2")
    assert [str(each) for each in found.servers] == servers
    assert (found.attributes, found.connect_seconds) == ("read-write", 2.0)
    assert (found.username, found.password) == ("u", "p@ss")
    assert found.dsn == "postgresql://u:p%40ss@/d?sslmode=require"


def test_servers_that_the_url_does_not_name_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "one,two")
    monkeypatch.setenv("PGPORT", "5432,6432")
    assert [str(each) for each in parse("postgresql:///d").servers] == TWO


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hidden@one/d",
        "hidden",
        "postgresql://u:hidden@one,two,three/d?port=1,2",
        "postgresql://u:hidden@one:x/d",
        "postgresql://u:hidden@one:70000/d",
        "postgresql://u:hidden@:5432/d",
        "postgresql://u:hidden@one/d?target_session_attrs=master",
        "postgresql://u:hidden@one/d?connect_timeout=soon",
    ],
)
def test_a_url_that_cannot_work_is_refused_at_the_start_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings_for(url)
    (error,) = refused.value.errors()
    assert error["loc"] == ("database_url",)
    assert "hidden" not in error["msg"]


@given(st.text(max_size=60))
def test_a_url_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse(f"postgresql://{text}").dsn.startswith("postgresql://")
