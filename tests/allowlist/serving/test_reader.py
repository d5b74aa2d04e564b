"""The list as a client reads it: formats, families, conditional requests, compression and digests."""

import hashlib
from base64 import b64encode
from datetime import datetime
from email.utils import parsedate_to_datetime
from uuid import uuid4

import pytest

from app.partners.rules import PartnerKind
from tests.support import cases, feed
from tests.support.service import Caller, Service

NETWORKS = ["203.99.160.5/32", "203.99.160.16/29", "2400:1460:1::/64"]
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
async def published(service: Service, pseb: Caller, officer: Caller) -> None:
    await cases.approved(pseb, officer, networks=NETWORKS[::-1])
    await service.publish()


async def test_before_the_first_publication_there_is_no_list_rather_than_an_empty_one(
    service: Service, nayatel: Caller
) -> None:
    await service.publish()
    for answer in (
        await nayatel.get("/v1/allowlist"),
        await nayatel.get("/v1/allowlist?format=text"),
        await nayatel.get("/v1/allowlist/check?address=203.99.160.5"),
        await nayatel.post("/v1/allowlist/checks", json={"addresses": ["203.99.160.5"]}),
        await nayatel.get(f"/v1/allowlist/delta?session={uuid4()}&since=0"),
        await nayatel.get("/v1/allowlist/deltas/1"),
        await nayatel.get("/v1/allowlist/manifest"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert (await nayatel.get("/v1/allowlist/publications")).json() == {"items": [], "next_cursor": None}


async def test_only_clients_with_the_scope_read_the_list(service: Service, published: None) -> None:
    other = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl", scopes=["events:read"])
    for path in (
        "",
        f"/delta?session={uuid4()}&since=1",
        "/manifest",
        "/check?address=8.8.8.8",
        "/snapshots/1",
        "/deltas/1",
        "/publications",
        "/publications/1",
    ):
        assert (await service.http.get(f"/v1/allowlist{path}")).status_code == 401
        answer = await other.get(f"/v1/allowlist{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_unusable_parameters_are_refused_and_unknown_media_types_not_acceptable(
    nayatel: Caller, published: None
) -> None:
    for query, pointer in (("format=xml", "format"), ("family=5", "family"), ("serial=1", "serial")):
        answer = await nayatel.get(f"/v1/allowlist?{query}")
        assert (answer.status_code, cases.codes(answer)) == (422, {f"/query/{pointer}": "invalid_value"})
    answer = await nayatel.get("/v1/allowlist", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    strange = await nayatel.get("/v1/allowlist", headers={"Accept": b"text/csv, text/plain;q=\xb2"})
    assert (strange.status_code, strange.headers["content-type"].partition(";")[0]) == (200, "text/csv")


async def test_each_format_has_the_same_networks_in_order(nayatel: Caller, published: None) -> None:
    expected = {
        "text": ("text/plain; charset=utf-8", "".join(f"{network}\n" for network in NETWORKS)),
        "csv": ("text/csv; charset=utf-8; header=present", "\r\n".join(["network", *NETWORKS, ""])),
    }
    for name, (media_type, body) in expected.items():
        accept = {"Accept": media_type.partition(";")[0]}
        for answer in (
            await nayatel.get(f"/v1/allowlist?format={name}"),
            await nayatel.get("/v1/allowlist", headers=accept),
        ):
            assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, media_type, body)
    json = (await nayatel.get("/v1/allowlist")).json()
    publication = (await nayatel.get("/v1/allowlist/publications/1")).json()
    assert (json["networks"], json["count"], json["serial"]) == (NETWORKS, 3, 1)
    assert (json["digest"], json["published_at"]) == (publication["digest"], publication["published_at"])


async def test_a_family_is_its_part_of_the_list_under_the_digest_of_the_whole(nayatel: Caller, published: None) -> None:
    whole = (await nayatel.get("/v1/allowlist")).json()
    for family, networks in ((4, NETWORKS[:2]), (6, NETWORKS[2:])):
        part = (await nayatel.get(f"/v1/allowlist?family={family}")).json()
        assert part == {**whole, "networks": networks, "count": len(networks)}
        text = await nayatel.get(f"/v1/allowlist?family={family}&format=text")
        assert text.text.splitlines() == networks


async def test_a_client_can_verify_the_list_by_its_digests(nayatel: Caller, published: None) -> None:
    text = await nayatel.get("/v1/allowlist?format=text")
    json = await nayatel.get("/v1/allowlist")
    assert hashlib.sha256(text.content).hexdigest() == json.json()["digest"]
    for answer in (text, json, await nayatel.get("/v1/allowlist?format=csv&family=6", headers=PLAIN)):
        of_body = b64encode(hashlib.sha256(answer.content).digest()).decode()
        assert answer.headers["Repr-Digest"] == f"sha-256=:{of_body}:"
    modified = parsedate_to_datetime(json.headers["Last-Modified"])
    assert modified == datetime.fromisoformat(json.json()["published_at"]).replace(microsecond=0)


async def test_the_list_is_compressed_for_clients_that_accept_gzip(nayatel: Caller, published: None) -> None:
    plain = await nayatel.get("/v1/allowlist", headers=PLAIN)
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip", "br, GZIP;q=0.5", "gzip; q=0.001"):
        answer = await nayatel.get("/v1/allowlist", headers={"Accept-Encoding": accepted})
        assert (answer.headers["content-encoding"], answer.content) == ("gzip", plain.content)
        assert answer.headers["ETag"] != plain.headers["ETag"]
        assert "Accept-Encoding" in answer.headers["Vary"]
    for refused in ("gzip;q=0", "gzip;q=0.000, br", "br", ""):
        answer = await nayatel.get("/v1/allowlist", headers={"Accept-Encoding": refused})
        assert "content-encoding" not in answer.headers, refused


async def test_the_tag_of_a_representation_gets_304_until_there_is_a_newer_serial(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller, published: None
) -> None:
    tags = {}
    for query in ("format=json", "format=text", "format=csv", "format=text&family=4", "format=text&family=6"):
        path = f"/v1/allowlist?{query}"
        tag = (await nayatel.get(path)).headers["ETag"]
        again = await nayatel.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        tags[path] = tag
    assert len(set(tags.values())) == len(tags)
    assert not any(tag.startswith("W/") for tag in tags.values())
    foreign = await nayatel.get(
        "/v1/allowlist?format=json", headers={"If-None-Match": tags["/v1/allowlist?format=csv"]}
    )
    assert foreign.status_code == 200

    await cases.approved(pseb, officer)
    await service.publish()
    for path, tag in tags.items():
        assert (await nayatel.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_the_date_of_a_list_gets_304_until_there_is_another(
    service: Service, nayatel: Caller, published: None
) -> None:
    path = "/v1/allowlist?format=text"
    await feed.execute(service, "UPDATE publications SET published_at = published_at - interval '1 hour'")
    await service.app.state.reader.refresh()
    date = (await nayatel.get(path)).headers["Last-Modified"]
    held = await nayatel.get(path, headers={"If-Modified-Since": date})
    assert (held.status_code, held.content) == (304, b"")
    for other in ("Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2099 00:00:00 GMT", "yesterday"):
        assert (await nayatel.get(path, headers={"If-Modified-Since": other})).status_code == 200, other
    with_tag = {"If-Modified-Since": date, "If-None-Match": '"other"'}
    assert (await nayatel.get(path, headers=with_tag)).status_code == 200
    await feed.granted(service, ["154.192.7.7/32"])
    await service.publish()
    assert (await nayatel.get(path, headers={"If-Modified-Since": date})).status_code == 200


async def test_the_second_list_of_one_second_is_sent_to_who_has_the_first(
    service: Service, nayatel: Caller, published: None
) -> None:
    path = "/v1/allowlist?format=text"
    await feed.granted(service, ["154.192.7.7/32"])
    await service.publish()
    await feed.execute(service, "UPDATE publications SET published_at = date_trunc('hour', now() - interval '2 hours')")
    await service.app.state.reader.refresh()
    date = (await nayatel.get(path)).headers["Last-Modified"]
    assert (await nayatel.get(path, headers={"If-Modified-Since": date})).status_code == 200


async def test_publications_are_listed_newest_first_page_by_page(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    for _ in range(3):
        await cases.approved(pseb, officer)
        await service.publish()
    first = await nayatel.get("/v1/allowlist/publications?limit=2")
    second = await nayatel.get(first.links["next"]["url"])
    assert [each["serial"] for each in first.json()["items"] + second.json()["items"]] == [3, 2, 1]
    assert second.json()["next_cursor"] is None
    for serial, status in ((4, 404), (0, 422), ("x", 422), (2**31, 422)):
        answer = await nayatel.get(f"/v1/allowlist/publications/{serial}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
