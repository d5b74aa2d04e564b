"""Which representation an Accept header asks for."""

import pytest

from app.allowlist.representations import negotiate
from app.core.errors import NotAcceptable


@pytest.mark.parametrize(
    "accept",
    ["image/png", "text/html, application/xml;q=0.9", "*/*;q=0", "application/json;q=0", "text/plain;q=high", "text"],
)
def test_what_asks_for_none_of_the_formats_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)


@pytest.mark.parametrize("quality", ["\u00b2", "\u00b9.\u00b3", "1.2.3", "-1", "nan", "inf", "1e400", ""])
def test_a_quality_that_is_no_number_counts_for_nothing(quality: str) -> None:
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
