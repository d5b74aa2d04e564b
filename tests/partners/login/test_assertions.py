"""Client authentication by assertions (RFC 7523): audience, lifetime, single use."""

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey
from sqlalchemy import select

from app.core.validation.preconditions import ANY_VERSION
from app.partners import service as partners
from app.partners import store
from app.partners.login.assertions import ASSERTION_TYPE
from app.partners.models import UsedAssertion
from app.partners.schemas import ClientKeys
from app.worker import Worker
from tests.support import postgres
from tests.support.service import Caller, Credentials, Service
from tests.support.signing import KEY, KEYS, OTHER, claims_of, form_of, public, signed


async def _given_keys(service: Service, credentials: Credentials, **body: Any) -> None:
    async with service.database.transaction() as tx:
        client = await store.find_client(tx, credentials.client_id)
        assert client
        await partners.set_keys(tx, None, client, ANY_VERSION, ClientKeys(**body))


@pytest.fixture
async def client(service: Service) -> Credentials:
    """A client of an association with a key of every type."""
    made = await service.credentials("pseb")
    await _given_keys(service, made, jwks=public(*KEYS.values()))
    return made


async def _ask(service: Service, assertion: str, **changes: Any) -> httpx.Response:
    return await service.http.post("/oauth/token", data=form_of(assertion, **changes))


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json().keys() == {"error", "error_description"}
    return answer.status_code, answer.json()["error"]


async def _used(service: Service) -> int:
    async with service.database.transaction(read_only=True) as tx:
        rows = await tx.execute(select(UsedAssertion))
        return len(rows.all())


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NOW = int(time.time())
REFUSED_CLAIMS: list[dict[str, Any]] = [
    {"aud": ["http://127.0.0.1:8000/oauth/token", "https://elsewhere.example"]}, {"aud": ["http://127.0.0.1:8000", 5]},
    {"aud": "http://127.0.0.1:8000/oauth/token/"}, {"aud": [["http://127.0.0.1:8000"]]},
    {"aud": "http://127.0.0.1:8000/"}, {"aud": []}, {"aud": None}, {"aud": {}}, {"iss": "someone"}, {"iss": None},
    {"iss": 5}, {"exp": None}, {"exp": NOW - 3600}, {"exp": NOW + 3600 + 600}, {"exp": str(NOW + 60)}, {"exp": True},
    {"exp": 10**400}, {"exp": float("nan")}, {"nbf": NOW + 3600}, {"iat": NOW + 3600}, {"iat": "x"}, {"nbf": "x"},
    {"jti": None}, {"jti": ""}, {"jti": 5}, {"jti": "x" * 256}, {"jti": "a\x00b"}, {"jti": "\ud800"}, {"jti": ["x"]},
]  # fmt: skip


async def test_an_assertion_with_wrong_claims_is_refused_and_its_jti_stays_unused(
    service: Service, client: Credentials
) -> None:
    assert service.settings.public_url == "http://127.0.0.1:8000"
    for change in REFUSED_CLAIMS:
        answer = await _ask(service, signed(claims_of(service, client.client_id, **change)))
        assert _error(answer) == (401, "invalid_client"), change
    assert await _used(service) == 0


async def test_assertions_of_unknown_clients_and_keys_get_the_same_response(
    service: Service, client: Credentials
) -> None:
    claims = claims_of(service, client.client_id)
    stranger = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
    other = await service.credentials("pasha")
    assertions = [
        signed(claims_of(service, "nobody.0123456789ab")),
        signed(claims_of(service, "nobody\x00")),
        signed(claims_of(service, other.client_id)),
        signed({**claims, "sub": None}),
        signed({**claims, "sub": ["x"]}),
        signed(claims, KEYS["EdDSA"], kid=KEY.kid),
        signed(claims, kid="unknown"),
        signed(claims, kid=None),
        signed(claims, stranger, "HS256", kid=KEY.kid),
        signed(claims, KEYS["RS256"], "RS512"),
        f"{_part({'alg': 'none', 'kid': KEY.kid})}.{_part(claims)}.",
        signed(claims)[:-8],
        signed(claims, jwk=OTHER.as_dict(private=False)).rsplit(".", 1)[0] + ".AAAA",
    ]
    answers = [await _ask(service, each) for each in assertions]
    assert {_error(answer) for answer in answers} == {(401, "invalid_client")}
    assert len({answer.content for answer in answers}) == 1
    assert await _used(service) == 0


ODD = [
    "x", "...", "a.b.c", "." * 50, "e30.e30.e30", "é", "\x00", "A" * 10_000, "W10.W10.W10",
    f"eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiZWQifQ.{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.x",
]  # fmt: skip


async def test_a_malformed_assertion_is_an_invalid_client(service: Service) -> None:
    for assertion in ODD:
        assert _error(await _ask(service, assertion)) == (401, "invalid_client"), assertion[:60]


async def test_an_assertion_beside_another_method_or_without_its_type_is_refused(
    service: Service, client: Credentials
) -> None:
    assertion = signed(claims_of(service, client.client_id))
    login = (client.client_id, client.client_secret)
    answers = [
        await service.http.post("/oauth/token", data=form_of(assertion), auth=login),
        await _ask(service, assertion, client_secret=client.client_secret),
        await _ask(service, assertion, client_assertion_type=None),
        await _ask(
            service, assertion, client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
        ),
        await service.http.post("/oauth/token", data=form_of("", client_assertion=None)),
    ]
    assert {_error(answer) for answer in answers} == {(400, "invalid_request")}
    assert (await _ask(service, assertion)).status_code == 200


async def test_a_client_id_that_differs_from_the_assertion_is_refused(service: Service, client: Credentials) -> None:
    assertion = signed(claims_of(service, client.client_id))
    assert _error(await _ask(service, assertion, client_id="someone")) == (401, "invalid_client")
    assert (await _ask(service, assertion, client_id=client.client_id)).status_code == 200


async def test_a_disabled_client_cannot_authenticate_by_its_keys(
    service: Service, admin: Caller, client: Credentials
) -> None:
    path = f"/v1/partners/{client.partner_id}/clients/{client.id}/disable"
    assert (await admin.post(path, headers={"If-Match": "*"})).status_code == 200
    assert _error(await _ask(service, signed(claims_of(service, client.client_id)))) == (401, "invalid_client")


async def test_an_assertion_of_another_type_of_token_is_refused(service: Service, client: Credentials) -> None:
    for typ, status in (("at+jwt", 401), ("client-authentication+jwt", 200), ("JWT", 200), (None, 200)):
        assertion = signed(claims_of(service, client.client_id), typ=typ)
        assert (await _ask(service, assertion)).status_code == status, typ


async def test_an_assertion_is_accepted_once_by_any_number_of_processes(service: Service, client: Credentials) -> None:
    other = Service(service.settings)
    assertion = signed(claims_of(service, client.client_id))
    answers = await asyncio.gather(*(_ask(each, assertion) for each in (service, other) * 4))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    assert "jti" in next(answer for answer in answers if answer.status_code == 401).json()["error_description"]
    await other.close()


async def test_two_clients_may_use_the_same_jti(service: Service, client: Credentials) -> None:
    other = await service.credentials("pasha")
    await _given_keys(service, other, jwks=public(KEY))
    for who in (client, other):
        answer = await _ask(service, signed(claims_of(service, who.client_id, jti="1")))
        assert answer.status_code == 200


async def test_an_assertion_for_an_hour_addressed_to_the_token_endpoint_is_accepted_once(
    service: Service, client: Credentials
) -> None:
    endpoint = f"{service.settings.public_url}/oauth/token"
    for aud in (endpoint, [endpoint], [service.settings.public_url, endpoint]):
        claims = claims_of(service, client.client_id, aud=aud, exp=int(time.time()) + 3600)
        assert (await _ask(service, signed(claims))).status_code == 200, aud
        assert (await _ask(service, signed(claims))).status_code == 401, aud


async def test_the_id_of_the_key_may_be_left_out_by_a_client_with_one_key(service: Service) -> None:
    only = await service.credentials("pasha")
    await _given_keys(service, only, jwks=public(KEY))
    for key, status in ((OTHER, 401), (KEY, 200)):
        answer = await _ask(service, signed(claims_of(service, only.client_id), key, kid=None))
        assert answer.status_code == status
    assert _error(await _ask(service, signed(claims_of(service, only.client_id), kid="")))[0] == 401


@pytest.mark.parametrize("alg", KEYS)
async def test_a_client_gets_a_token_by_each_algorithm_that_the_metadata_lists(
    service: Service, client: Credentials, alg: str
) -> None:
    listed = (await service.http.get("/.well-known/oauth-authorization-server")).json()
    assert alg in listed["token_endpoint_auth_signing_alg_values_supported"]
    assert "private_key_jwt" in listed["token_endpoint_auth_methods_supported"]
    claims = claims_of(service, client.client_id, aud=[listed["issuer"]])
    answer = await _ask(service, signed(claims, KEYS[alg], alg), scope="registrations:read")
    assert (answer.status_code, answer.json()["scope"]) == (200, "registrations:read")
    caller = Caller(service, client, answer.json()["access_token"])
    assert (await caller.get("/v1/registrations")).status_code == 200
    assert form_of("x")["client_assertion_type"] == ASSERTION_TYPE


async def test_the_worker_deletes_expired_assertions(service: Service, client: Credentials) -> None:
    for jti in ("old", "young"):
        assert (await _ask(service, signed(claims_of(service, client.client_id, jti=jti)))).status_code == 200
    statement = "UPDATE used_assertions SET expires_at = now() - interval '1 hour' WHERE jti = 'old'"
    await postgres.execute(service.settings.database_url, statement)
    worker = Worker(service.settings)
    await worker._sweep()
    await worker._database.close()
    assert await _used(service) == 1
