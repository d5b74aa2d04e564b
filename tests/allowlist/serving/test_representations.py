"""Content negotiation, and caching of representations."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.allowlist.formats import Selection
from app.allowlist.serving import representations
from app.allowlist.serving.representations import CachePolicy, Representation, Representations, list_tag, negotiate
from app.allowlist.snapshot import Snapshot, Version
from app.core.errors import NotAcceptable

LIST = Snapshot(UUID(int=1), 7, datetime(2026, 11, 1, tzinfo=UTC), [("39.32.0.0/24", 3)])


@pytest.mark.parametrize(
    "accept",
    ["image/png", "text/html, application/xml;q=0.9", "*/*;q=0", "application/json;q=0", "text/plain;q=high", "text"],
)
def test_an_accept_header_without_any_of_the_formats_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)


@pytest.mark.parametrize("quality", ["\u00b2", "\u00b9.\u00b3", "1.2.3", "-1", "nan", "inf", "1e400", ""])
def test_a_quality_that_is_not_a_number_counts_as_0(quality: str) -> None:
    assert negotiate(f"application/json;q={quality}, text/csv;q=0.1") == "csv"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/*", "text"),
        ("TEXT/CSV", "csv"),
        ("text/plain, application/json", "json"),
        ("text/plain;q=0.9, application/json;q=0.8", "text"),
        ("text/plain; charset=utf-8; q=0.5, text/csv; q=0.6", "csv"),
        ("text/*;q=0.5, text/csv", "csv"),
        ("text/*, text/plain;q=0", "csv"),
        ("*/*;q=0.1, application/json;q=0", "text"),
        ("text/html, */*;q=0.8", "json"),
    ],
)
def test_the_format_of_the_highest_quality_is_chosen_the_more_specific_range_first(accept: str, chosen: str) -> None:
    assert negotiate(accept) == chosen


async def test_a_failed_build_is_retried_by_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = Representations()
    with monkeypatch.context() as without:
        without.setattr(representations, "Representation", _fails)
        with pytest.raises(MemoryError):
            await cache.get_or_build(LIST, "text", Selection(), gzipped=False)
    encoded = await cache.get_or_build(LIST, "text", Selection(), gzipped=False)
    assert encoded.responses(CachePolicy("", "")).full.body == b"39.32.0.0/24\n"


def _fails(*_: object, **__: object) -> Representation:
    raise MemoryError


async def test_requests_share_a_representation_and_each_coding_has_another() -> None:
    cache = Representations()
    asked = [cache.get_or_build(LIST, "text", Selection(), gzipped=False) for _ in range(5)]
    first, *others = await asyncio.gather(*asked)
    again = await cache.get_or_build(LIST, "text", Selection(), gzipped=False)
    assert all(each is first for each in (*others, again))
    gzipped = await cache.get_or_build(LIST, "text", Selection(), gzipped=True)
    assert (gzipped.sha256, gzipped.etag != first.etag) == (first.sha256, True)


def test_a_list_tag_distinguishes_the_lists_of_one_serial() -> None:
    def tag(version: Version, name: str = "json", *selected: Any, gzipped: bool = False) -> str:
        return list_tag(version, name, Selection(*selected), gzipped=gzipped)

    of = LIST.version
    others = [
        of._replace(session=UUID(int=2)),
        of._replace(serial=8),
        of._replace(digest="0" * 64),
        of._replace(published_at=datetime(2026, 11, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ]
    selections = [tag(of, "text", *each) for each in ((4, True), (None, True), (4, False, 100), (4, False, 100, 2))]
    tags = [tag(of), tag(of, "text"), tag(of, "text", 4), *selections, tag(of, gzipped=True), *map(tag, others)]
    assert len(set(tags)) == len(tags)
    assert tag(of) == tag(Snapshot(UUID(int=1), 7, of.published_at, [("39.32.0.0/24", 1)]).version)
    assert f"{of.session}-7-{of.digest[:16]}-" in tag(of)
    assert all(re.fullmatch(r'"[!#-~]+"', each) for each in tags)  # RFC 9110, 8.8.3


async def test_the_responses_under_two_cache_policies_differ_in_cache_control_only() -> None:
    encoded = await Representations().get_or_build(LIST, "text", Selection(), gzipped=False)
    long, short = (encoded.responses(CachePolicy(control, "Accept")) for control in ("immutable", "no-cache"))
    assert set(long.full.raw_headers) - set(short.full.raw_headers) == {(b"cache-control", b"immutable")}
    assert len(long.full.raw_headers) == len(short.full.raw_headers)
    assert dict(long.not_modified.headers) == {"cache-control": "immutable", "vary": "Accept", "etag": encoded.etag}
