"""Conditional and range requests."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from fastapi import Request, Response

from app.core.errors import RangeNotSatisfiable
from app.core.http.conditional import is_unmodified_since, parse_date, requested_range

TAG, OTHER = '"one"', '"other"'
MODIFIED = datetime(2026, 11, 21, 9, 30, 0, 500_000, UTC)
DATE = format_datetime(MODIFIED, usegmt=True)


def request(**fields: str) -> Request:
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Request({"type": "http", "headers": headers})


def whole(body: bytes = b"0123456789") -> Response:
    return Response(body, headers={"ETag": TAG, "Last-Modified": DATE, "Cache-Control": "immutable"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"range": "bytes=0-3"}, (b"0123", "bytes 0-3/10")),
        ({"range": "bytes=4-"}, (b"456789", "bytes 4-9/10")),
        ({"range": "bytes=-3"}, (b"789", "bytes 7-9/10")),
        ({"range": "bytes=-99"}, (b"0123456789", "bytes 0-9/10")),
        ({"range": "bytes=8-99"}, (b"89", "bytes 8-9/10")),
        ({"range": "Bytes=9-9", "if_range": TAG}, (b"9", "bytes 9-9/10")),
        ({"range": "bytes=9-9", "if_range": DATE}, (b"9", "bytes 9-9/10")),
    ],
)
def test_a_range_is_the_part_of_the_representation(fields: dict[str, str], expected: Any) -> None:
    part = requested_range(request(**fields), whole())
    assert (part.status_code, part.body, part.headers["content-range"]) == (206, *expected)
    assert part.headers["content-length"] == str(len(part.body))
    assert (part.headers["etag"], part.headers["cache-control"]) == (TAG, "immutable")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"range": "bytes=5-3"},
        {"range": "bytes=-"},
        {"range": "bytes=a-b"},
        {"range": "lines=0-3"},
        {"range": "bytes=0-1, 3-4"},
        {"range": "bytes=0-3", "if_range": OTHER},
        {"range": "bytes=0-3", "if_range": f"W/{TAG}"},
        {"range": "bytes=50-", "if_range": OTHER},
    ],
)
def test_what_is_no_single_range_of_this_representation_gets_the_whole(fields: dict[str, str]) -> None:
    full = whole()
    assert requested_range(request(**fields), full) is full


@pytest.mark.parametrize(("asked", "body"), [("10-", b"0123456789"), ("-0", b"0123456789"), ("0-", b""), ("-1", b"")])
def test_a_range_behind_the_end_is_refused_with_the_size(asked: str, body: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        requested_range(request(range=f"bytes={asked}"), whole(body))
    assert refused.value.size == len(body)


@pytest.mark.parametrize("text", ["", "x", "0", "Sat, 99 Foo 99999", "9" * 5_000, "\xff"])
def test_what_is_no_date_is_ignored(text: str) -> None:
    assert parse_date(text) is None
    assert not is_unmodified_since(request(if_modified_since=text), MODIFIED)


def test_all_three_forms_of_a_date_are_read() -> None:
    expected = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert parse_date(text) == expected


def test_a_date_counts_from_its_second_on_unless_there_is_a_tag_or_it_is_to_come() -> None:
    published = datetime.now(UTC) - timedelta(hours=1)

    def since(seconds: int, **more: str) -> bool:
        date = format_datetime((published + timedelta(seconds=seconds)).astimezone(UTC), usegmt=True)
        return is_unmodified_since(request(if_modified_since=date, **more), published)

    assert since(0)
    assert since(60)
    assert not since(-1)
    assert not since(7_200)
    assert not since(0, if_none_match=OTHER)
    assert not is_unmodified_since(request(if_modified_since=DATE), None)
