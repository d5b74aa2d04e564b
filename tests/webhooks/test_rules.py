"""Rules of webhooks: subscribed events, retries, concurrency, disabling."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.webhooks import rules

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("types", "name", "wanted"),
    [
        (["*"], "registration.approved", True),
        (["registration.*"], "registration.approved", True),
        (["registration.approved"], "registration.approved", True),
        (["bulk_upload.*", "registration.approved"], "registration.approved", True),
        (["registration.approved"], "registration.rejected", False),
        (["reg.*"], "registration.approved", False),
        (["registration.approved"], "registration.approved_later", False),
        ([], "registration.approved", False),
    ],
)
def test_an_event_matches_by_its_name_its_subject_or_the_wildcard(types: list[str], name: str, wanted: bool) -> None:
    assert rules.wants(types, name) is wanted


@given(st.floats(0, 1))
def test_ten_attempts_take_three_days_with_growing_delays(jitter: float) -> None:
    times = [NOW]
    while (again := rules.next_attempt(len(times), times[-1], jitter)) is not None:
        times.append(again)
    waits = [after - before for before, after in pairwise(times)]
    assert len(times) == rules.ATTEMPTS == 10
    assert waits == sorted(waits)
    assert waits[0] <= timedelta(seconds=6)
    assert 3 * DAY < times[-1] - times[0] < 4 * DAY


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 304, 307, 400, 404, 410, 429, 500, 503, 999])
def test_only_2xx_acknowledges_a_delivery(status: int | None) -> None:
    assert not rules.is_delivered(status)
    assert all(map(rules.is_delivered, (200, 201, 202, 204, 299)))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 400, 86_400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW + 30 * DAY, usegmt=True), 86_400),
        ("Sat, 21 Nov 2026 09:31:00 -0000", 60),
        ("Sat, 21 Nov 2026 14:31:00 +0500", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
    ],
)
def test_retry_after_is_honoured_for_a_day_at_most(header: str, seconds: int) -> None:
    assert rules.pause_until(header, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "-1", "1.5", "soon", "1e3", "\u0661", "x" * 9_000,
        format_datetime(NOW - DAY, usegmt=True), format_datetime(NOW, usegmt=True),
    ],
)  # fmt: skip
def test_what_retry_after_does_not_say_is_not_waited_for(header: str | None) -> None:
    assert rules.pause_until(header, NOW) is None


ABSURD_DATES = [
    "Fri, 31 Dec 99999 23:59:59 GMT", f"Fri, 31 Dec {'9' * 20} 23:59:59 GMT", f"Fri, {'9' * 20} Dec 2026 00:00:00 GMT",
    f"Fri, 31 Dec 2026 {'9' * 20}:00:00 GMT", f"Fri, 31 Dec 2026 23:59:59 +{'9' * 20}",
    "Fri, 31 Dec 2026 23:59:59 +2400", "Fri, 31 Dec 0000 23:59:59 GMT", "Fri, 31 Dec 0001 00:00:00 +2359",
]  # fmt: skip


@pytest.mark.parametrize("header", ["1e400", "-9" + "9" * 400, "\u0661\u0662", "\uff11", "0x10", "+5", *ABSURD_DATES])
def test_an_absurd_retry_after_is_ignored(header: str) -> None:
    assert rules.pause_until(header, NOW) is None


@given(st.text("0123456789 :+-,DecGMTFri", max_size=60) | st.text(max_size=60))
def test_any_retry_after_pauses_for_a_day_at_most(header: str) -> None:
    until = rules.pause_until(header, NOW)
    assert until is None or NOW <= until <= NOW + DAY


def test_concurrency_is_limited_by_partner_and_to_one_task_a_webhook() -> None:
    one, other = uuid4(), uuid4()
    of_one, of_other = ([(uuid4(), partner) for _ in range(40)] for partner in (one, other))
    chosen = rules.choose_webhooks([*of_one, *of_other], {})
    assert chosen == [
        *of_one[: rules.CONCURRENT_WEBHOOKS_OF_A_PARTNER],
        *of_other[: rules.CONCURRENT_WEBHOOKS_OF_A_PARTNER],
    ]
    busy = dict(chosen)
    assert rules.choose_webhooks([*of_one, *of_other], busy) == []
    del busy[of_one[0][0]]
    assert rules.choose_webhooks([of_one[1], of_one[20], of_one[21]], busy) == [of_one[20]]
    assert len(rules.choose_webhooks([(uuid4(), uuid4()) for _ in range(40)], busy)) == rules.CONCURRENT_WEBHOOKS - len(
        busy
    )


def test_a_webhook_is_disabled_by_410_or_after_five_days_without_a_success() -> None:
    assert rules.reason_to_disable([200, 410], None, NOW) == "gone"
    assert rules.reason_to_disable([500], NOW - 5 * DAY, NOW) == "failing"
    assert rules.reason_to_disable([500, None], NOW - 5 * DAY + timedelta(seconds=1), NOW) is None
    assert rules.reason_to_disable([500], None, NOW) is None
