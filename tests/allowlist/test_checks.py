"""Checks of addresses against the newest list."""

from ipaddress import ip_address

import pytest

from tests.support import cases
from tests.support.service import Caller, Service

CHECK, CHECKS = "/v1/allowlist/check", "/v1/allowlist/checks"
MALFORMED = [
    "",
    "203.99.160",
    "203.99.160.05",
    "203.99.160.5/32",
    "203.99.160.5:80",
    "٢٠٣.99.160.5",
    "2400::1::2",
    "fe80::1%eth0",
]


@pytest.fixture
async def published(service: Service, pseb: Caller, officer: Caller) -> None:
    await cases.approved(pseb, officer, networks=["203.99.160.16/29", "2400:1460:1::/64"])
    await service.publish()


async def test_a_malformed_address_is_refused_at_its_parameter(nayatel: Caller, published: None) -> None:
    for text in MALFORMED:
        answer = await nayatel.get(CHECK, params={"address": text})
        assert (answer.status_code, cases.codes(answer)) == (422, {"/query/address": "network_malformed"}), text
    for query, expected in (
        ("", {"/query/address": "missing_field"}),
        ("?address=%00", {"/query/address": "invalid_value"}),
        (f"?address={'1' * 61}", {"/query/address": "invalid_value"}),
        ("?address=8.8.8.8&at=now", {"/query/at": "invalid_value"}),
    ):
        answer = await nayatel.get(f"{CHECK}{query}")
        assert (answer.status_code, cases.codes(answer)) == (422, expected)


async def test_each_malformed_address_of_many_is_named_by_its_pointer(nayatel: Caller, published: None) -> None:
    sent = ["203.99.160.17", *MALFORMED[1:], "2400:1460:1::1"]
    answer = await nayatel.post(CHECKS, json={"addresses": sent})
    expected = {f"/addresses/{index}": "network_malformed" for index in range(1, len(MALFORMED))}
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    for body, expected in (
        ({}, {"/addresses": "missing_field"}),
        ({"addresses": []}, {"/addresses": "missing_field"}),
        ({"addresses": "8.8.8.8"}, {"/addresses": "invalid_value"}),
        ({"addresses": ["8.8.8.8", 7, None]}, {"/addresses/1": "invalid_value", "/addresses/2": "invalid_value"}),
        ({"addresses": ["8.8.8.8"] * 10_001}, {"/addresses": "invalid_value"}),
        ({"addresses": ["8.8.8.8"], "serial": 1}, {"/serial": "invalid_value"}),
    ):
        answer = await nayatel.post(CHECKS, json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, expected)


async def test_an_address_is_allowed_by_the_network_that_contains_it(nayatel: Caller, published: None) -> None:
    since = (await nayatel.get("/v1/allowlist/publications/1")).json()["published_at"]
    held = {"allowed": True, "serial": 1, "since_serial": 1, "since": since}
    free = {"allowed": False, "network": None, "serial": 1, "since_serial": None, "since": None}
    v4, v6 = held | {"network": "203.99.160.16/29"}, held | {"network": "2400:1460:1::/64"}
    for asked, expected in (
        ("203.99.160.15", free),
        ("203.99.160.16", v4),
        (" 203.99.160.23 ", v4),
        ("203.99.160.24", free),
        ("10.0.0.1", free),
        ("2400:1460:1::", v6),
        ("2400:1460:0001:0000:FFFF:FFFF:FFFF:FFFF", v6),
        ("2400:1460:1:1::", free),
        ("::203.99.160.16", free),
        ("::ffff:203.99.160.16", free),
    ):
        answer = await nayatel.get(CHECK, params={"address": asked})
        assert (answer.status_code, answer.json()) == (200, expected | {"address": str(ip_address(asked.strip()))})
        together = await nayatel.post(CHECKS, json={"addresses": [asked]})
        assert together.json() == {"serial": 1, "items": [answer.json()]}


async def test_ten_thousand_addresses_are_checked_in_one_request_in_its_order(nayatel: Caller, published: None) -> None:
    asked = [f"203.99.{160 + n // 250}.{n % 250}" for n in range(10_000)][::-1]
    answer = (await nayatel.post(CHECKS, json={"addresses": asked})).json()
    assert [each["address"] for each in answer["items"]] == asked
    allowed = {each["address"] for each in answer["items"] if each["allowed"]}
    assert allowed == {f"203.99.160.{host}" for host in range(16, 24)}
