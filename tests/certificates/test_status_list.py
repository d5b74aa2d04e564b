"""The list of statuses follows every change within a minute, for everybody, and tells nothing of whom."""

import asyncio
import secrets
import time
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jws

from app.certificates import rules, status_list, store
from app.certificates.status_list import StatusLists
from app.core.database.engine import Database
from app.core.settings import Settings
from app.partners import store as partners
from tests.support import cases, certificates, postgres
from tests.support.certificates import STATUS_LIST
from tests.support.service import Caller, Service

pytestmark = pytest.mark.usefixtures("fast_list")
GROUNDS: dict[str, Any] = {"reason_codes": ["other"], "note": "A note", "legal_basis": "Section 5"}


async def read(service: Service) -> dict[str, Any]:
    found = await certificates.verified(service, (await service.http.get(STATUS_LIST)).text)
    assert found.header["typ"] == "statuslist+jwt"
    claims: dict[str, Any] = dict(found.claims)
    return claims


async def test_nothing_but_the_list_can_be_asked_for(service: Service) -> None:
    for query in ("?idx=5", "?time=0"):
        assert (await service.http.get(STATUS_LIST + query)).status_code == 422
    assert (await service.http.post(STATUS_LIST)).status_code == 405


async def test_the_list_is_a_status_list_token_that_everybody_may_read(service: Service) -> None:
    answer = await service.http.get(STATUS_LIST)
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=30"
    claims = await read(service)
    issuer = service.settings.public_url
    assert set(claims) == {"iss", "sub", "iat", "exp", "ttl", "status_list"}
    assert (claims["iss"], claims["sub"]) == (issuer, issuer + STATUS_LIST)
    assert claims["exp"] - claims["iat"] == 24 * 60 * 60
    assert claims["ttl"] == 30
    assert set(claims["status_list"]) == {"bits", "lst"}
    assert certificates.unpacked(claims["status_list"]["lst"]) == bytes(rules.BLOCK // 4)


async def test_who_has_the_list_is_answered_that_nothing_changed(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await certificates.signed(pseb, case)
    tag = (await service.http.get(STATUS_LIST)).headers["etag"]
    again = await service.http.get(STATUS_LIST, headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b"")
    assert (await cases.decide(officer, case, "suspend", **GROUNDS)).status_code == 201
    changed = await service.http.get(STATUS_LIST, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_the_list_is_compressed_for_who_takes_it_so(service: Service) -> None:
    plain, gzipped = [
        await service.http.get(STATUS_LIST, headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip")
    ]
    assert plain.text == gzipped.text
    assert (plain.headers.get("content-encoding"), gzipped.headers["content-encoding"]) == (None, "gzip")
    assert plain.headers["etag"] != gzipped.headers["etag"]
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_each_change_of_status_is_in_the_list(service: Service, pseb: Caller, officer: Caller) -> None:
    case, other = await cases.approved(pseb, officer), await cases.approved(pseb, officer)
    token, untouched = await certificates.signed(pseb, case), await certificates.signed(pseb, other)
    assert await certificates.status_of(service, token) == 0
    for action, expected in (("suspend", 2), ("reinstate", 0), ("suspend", 2), ("revoke", 1)):
        case = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
        answer = await cases.decide(officer, case, action, **GROUNDS)
        assert answer.status_code == 201, answer.text
        assert await certificates.status_of(service, token) == expected, action
    assert await certificates.status_of(service, untouched) == 0


@pytest.mark.parametrize(
    ("status", "expected"), [("lapsed", 0), ("expired", 1), ("superseded", 1), ("surrendered", 1), ("suspended", 2)]
)
async def test_a_certificate_follows_its_case(
    service: Service, pseb: Caller, officer: Caller, status: str, expected: int
) -> None:
    token = await certificates.signed(pseb, await cases.approved(pseb, officer))
    await postgres.execute(service.settings.database_url, f"UPDATE registrations SET status = '{status}'")
    assert await certificates.status_of(service, token) == expected


async def test_what_has_expired_needs_no_place_in_the_list(service: Service, pseb: Caller, officer: Caller) -> None:
    token = await certificates.signed(pseb, await cases.approved(pseb, officer))
    await postgres.execute(service.settings.database_url, "UPDATE registrations SET status = 'revoked'")
    assert await certificates.status_of(service, token) == 1
    await service.move_clock(timedelta(days=800))
    assert await certificates.status_of(service, token) == 0


async def test_the_list_does_not_tell_whose_or_how_many_certificates_there_are(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    before = (await read(service))["status_list"]
    for _ in range(3):
        await certificates.signed(pseb, await cases.approved(pseb, officer))
    assert (await read(service))["status_list"] == before


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indexes that are drawn next; at random when there are none left."""
    planned: list[int] = []
    monkeypatch.setattr(store, "randbelow", lambda size: planned.pop(0) if planned else secrets.randbelow(size))
    return planned


async def test_an_index_that_is_taken_is_drawn_again_and_never_given_to_another(
    service: Service, pseb: Caller, officer: Caller, draws: list[int]
) -> None:
    draws += [7, 7, 7, 9]
    one, two = [await certificates.signed(pseb, await cases.approved(pseb, officer)) for _ in range(2)]
    assert [certificates.index_of(each) for each in (one, two)] == [7, 9]
    await postgres.execute(service.settings.database_url, "UPDATE registrations SET status = 'revoked'")
    await service.move_clock(timedelta(days=800))
    await postgres.execute(service.settings.database_url, "UPDATE registrations SET status = 'approved'")
    draws += [7, 9, 11]
    third = await certificates.signed(pseb, await cases.approved(pseb, officer))
    assert certificates.index_of(third) == 11


async def test_indexes_are_spread_over_the_list(pseb: Caller, officer: Caller) -> None:
    found = [
        certificates.index_of(await certificates.signed(pseb, await cases.approved(pseb, officer))) for _ in range(8)
    ]
    assert max(found) < rules.BLOCK
    assert max(found) - min(found) > 1_000


async def test_requests_within_some_seconds_share_one_list_and_a_change_is_in_it_within_a_minute(
    service: Service, settings: Settings
) -> None:
    assert status_list.TTL_SECONDS + 20 < 60
    lists = StatusLists(service.app.state.database, settings.public_url, lambda _: False)
    lists._read._seconds = 20
    found = await asyncio.gather(*(lists.current() for _ in range(30)))
    assert all(each is found[0] for each in found)


async def test_without_a_database_the_last_list_is_served_unless_its_key_was_revoked(settings: Settings) -> None:
    database, revoked = Database(settings), set[str]()
    async with database.transaction() as tx:
        await partners.ensure_signing_key(tx)
    lists = StatusLists(database, settings.public_url, revoked.__contains__)
    last = await lists.current()
    await postgres.execute(settings.database_url, "ALTER TABLE certificates RENAME TO away")
    assert await lists.current() == last
    revoked.add(str(jws.extract_compact(last.signed.encode()).headers()["kid"]))
    with pytest.raises(Exception, match="certificates"):
        await lists.current()
    await database.close()


MANY = """
SET LOCAL session_replication_role = replica;
DROP INDEX certificates_current_key;
INSERT INTO certificates (idx, registration_id, expires_at, replaced_at)
SELECT n * 2, gen_random_uuid(), now() + interval '1 year', CASE WHEN random() < 0.16 THEN now() END
FROM generate_series(0, 99999) AS n;
INSERT INTO registrations (
    id, partner_id, client_id, applicant_id, subject, track, purpose, protocol, operator, status, due_at
)
SELECT registration_id, partner_id, client_id, applicant_id, subject, track, purpose, protocol, operator, status, due_at
FROM certificates, (SELECT * FROM registrations LIMIT 1) AS one;
"""


@pytest.mark.slow
async def test_a_hundred_thousand_certificates_are_listed_in_seconds(
    service: Service, settings: Settings, pseb: Caller, officer: Caller
) -> None:
    await cases.approved(pseb, officer)
    await postgres.execute(settings.database_url, MANY)
    lists = StatusLists(service.database, settings.public_url, lambda _: False)
    began = time.monotonic()
    found = await lists.current()
    assert time.monotonic() - began < 5
    packed = certificates.unpacked(found.statuses)
    assert len(packed) * 4 >= 200_000
    assert 10_000 < sum(packed.count(bytes((value,))) for value in (1, 16, 17)) < 20_000
    assert len(found.signed) < 25_000
