"""A URL that is accepted means the same to other parsers."""

from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.outbound.url_policy import AllowedTargets, Target, UrlRefused, is_address, parse_target
from app.core.validation.networks import is_routable, parse_address

NOTHING = AllowedTargets([])
SIGNS = st.sampled_from(
    [*"0127.xXaAfF:@/\\[]%?#&=-_ ~\t\n", "127", "::1", "//", "https:", "receiver.example", "。", "ﬀ"]
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://receiver.example", Target("https", "receiver.example", 443, "/")),
        ("HTTPS://Receiver.EXAMPLE:443/Hook?a=B", Target("https", "receiver.example", 443, "/Hook?a=B")),
        ("https://xn--4gbrim.example:/x", Target("https", "xn--4gbrim.example", 443, "/x")),
        ("https://a_b.receiver.example?x", Target("https", "a_b.receiver.example", 443, "/?x")),
        ("https://203.99.160.5/", Target("https", "203.99.160.5", 443, "/")),
        ("https://[2400:1460:0001::5]/a//b/../c", Target("https", "2400:1460:1::5", 443, "/a//b/../c")),
    ],
)
def test_a_public_url_is_taken_as_it_is_written(url: str, expected: Target) -> None:
    assert parse_target(url, NOTHING) == expected


@given(st.lists(SIGNS, max_size=12).map("".join), st.sampled_from(["https://", "https://receiver.example", ""]))
def test_what_is_taken_has_the_host_that_other_parsers_see_and_none_that_is_inside(rest: str, start: str) -> None:
    with suppress(UrlRefused):
        target = parse_target(start + rest, NOTHING)
        assert (target.scheme, target.port) == ("https", 443)
        assert httpx.URL(start + rest).host == urlsplit(start + rest).hostname == target.host
        assert not is_address(target.host) or is_routable(parse_address(target.host))


@given(st.ip_addresses())
def test_an_address_is_taken_when_it_is_routable(address: object) -> None:
    text = str(address)
    url = f"https://[{text}]/" if ":" in text else f"https://{text}/"
    if is_routable(parse_address(text)):
        assert parse_target(url, NOTHING).host == text
    else:
        with pytest.raises(UrlRefused):
            parse_target(url, NOTHING)
