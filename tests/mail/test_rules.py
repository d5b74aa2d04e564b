"""Rules of mail: retries, replies of servers, and the URL of a server."""

from datetime import UTC, datetime, timedelta

import pytest

from app.events.catalogue import NAMES
from app.mail import rules

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "url",
    ["", "mail.example", "http://mail.example", "smtp://", "smtp://mail.example/inbox", "smtp://m.example?tls=no"],
)
def test_a_server_is_given_by_a_url_of_smtp(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL is smtp://"):
        rules.server_of(url)


@pytest.mark.parametrize(
    ("url", "port", "use_tls", "start_tls"),
    [
        ("smtp://mail.example", 25, False, None),
        ("smtp://mail.example:2525", 2525, False, None),
        ("smtp://u:p@mail.example", 587, False, True),
        ("smtps://mail.example", 465, True, False),
        ("smtps://u:p@mail.example:4650", 4650, True, False),
    ],
)
def test_a_password_is_sent_by_tls_alone(url: str, port: int, use_tls: bool, start_tls: bool | None) -> None:
    server = rules.server_of(url)
    assert (server["port"], server["use_tls"], server["start_tls"]) == (port, use_tls, start_tls)


def test_a_password_may_have_any_character() -> None:
    server = rules.server_of("smtp://it%40pta:a%2Fb%3Ac%20d@mail.example")
    assert (server["username"], server["password"]) == ("it@pta", "a/b:c d")


def test_attempts_are_further_apart_each_time_and_end() -> None:
    times = [rules.next_attempt(attempts, NOW) for attempts in range(1, 7)]
    assert times == [NOW + delay for delay in rules.RETRY_DELAYS] + [None]
    assert list(rules.RETRY_DELAYS) == sorted(rules.RETRY_DELAYS)


def test_a_reply_of_the_five_hundreds_is_for_good() -> None:
    assert [code for code in (250, 421, 450, 452, 500, 550, 554) if rules.is_permanent(code)] == [500, 550, 554]


def test_the_date_of_a_notice_goes_before_that_of_the_approval() -> None:
    effective = NOW + timedelta(days=3)
    details = {"expires_at": NOW.isoformat(), "effective_at": effective.isoformat()}
    assert [rules.date_of(each) for each in (details, {"expires_at": NOW.isoformat()}, {"effective_at": None}, {})] == [
        effective, NOW, None, None,
    ]  # fmt: skip


def test_every_event_that_people_are_told_of_is_in_the_catalogue() -> None:
    assert set(rules.EVENTS) <= set(NAMES)
