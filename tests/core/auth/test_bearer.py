"""Only a valid access token of this service is accepted, and only for its scopes."""

import asyncio
import base64
import json
import time
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import Key, OctKey, OKPKey, RSAKey

from app.core.auth.signatures import ALGORITHM
from app.core.settings import MAX_TOKEN_SECONDS
from app.partners import store
from app.partners.models import SigningKey
from tests.support.service import Caller, Service

PATH = "/v1/registrations"


def _claims(caller: Caller, **changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token of the caller's, with changes; None removes a claim."""
    issuer = caller.service.settings.public_url
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": str(caller.credentials.id),
        "partner_id": str(caller.credentials.partner_id),
        "partner_kind": "association",
        "scope": "registrations:read",
        "exp": int(time.time()) + 60,
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


async def _own_key(service: Service) -> Key:
    async with service.database.transaction(read_only=True) as tx:
        return await store.signing_key(tx)


def _signed(key: Key, claims: dict[str, Any], **header: Any) -> str:
    said = {"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt", **header}
    return jwt.encode(said, claims, key, algorithms=[ALGORITHM])


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def _read(service: Service, authorization: str | bytes) -> httpx.Response:
    headers: dict[str, Any] = {"Authorization": authorization}
    return await service.http.get(PATH, headers=headers)


def _unauthenticated(answer: httpx.Response) -> bool:
    challenge = answer.headers.get("WWW-Authenticate", "")
    return (answer.status_code, answer.json()["code"]) == (401, "unauthenticated") and challenge.startswith("Bearer ")


NO_TOKENS: list[str | bytes] = [
    "", "Bearer", "Bearer ", "Bearer  ", "Basic cHNlYjpwc2Vi", "Token x", "Bearer x", "Bearer a.b.c", "Bearer ...",
    b"Bearer \xff\xfe", "Bearer " + "x" * 10_000, f"Bearer {_part([])}.{_part({})}.x", "x",
    f"Bearer {_part({'alg': ALGORITHM, 'kid': {}})}.{_part({})}.x", f"Bearer {_part({'alg': ['x']})}.{_part({})}.x",
    f"Bearer {_part({'alg': ALGORITHM, 'crit': ['b64']})}.{_part({})}.", f"Bearer {_part(None)}.{_part(None)}.x",
    "Bearer " + base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=") + ".e30.x",
    "Bearer e30.e30.e30.e30.e30", "Bearer e30.e30.e30,Bearer e30.e30.e30",
]  # fmt: skip


async def test_what_is_no_token_is_refused_with_a_challenge(service: Service) -> None:
    assert _unauthenticated(await service.http.get(PATH))
    for authorization in NO_TOKENS:
        service.app.state.verifier._refreshed_at = float("-inf")
        assert _unauthenticated(await _read(service, authorization)), authorization[:80]


async def test_an_expired_token_is_refused_as_expired(service: Service, pseb: Caller) -> None:
    key = await _own_key(service)
    answer = await _read(service, f"Bearer {_signed(key, _claims(pseb, exp=int(time.time()) - 1))}")
    assert _unauthenticated(answer)
    assert "expired" in answer.json()["detail"]


async def test_a_token_that_was_good_a_moment_ago_is_refused_when_it_has_expired(
    service: Service, pseb: Caller
) -> None:
    ends = int(time.time()) + 2
    token = _signed(await _own_key(service), _claims(pseb, exp=ends))
    assert (await _read(service, f"Bearer {token}")).status_code == 200
    await asyncio.sleep(ends - time.time() + 0.01)
    assert _unauthenticated(await _read(service, f"Bearer {token}"))


async def test_a_token_signed_by_another_key_is_refused(service: Service, pseb: Caller) -> None:
    own = await _own_key(service)
    other = OKPKey.generate_key("Ed25519", auto_kid=True)
    for kid in (own.kid, other.kid, "unknown"):
        assert _unauthenticated(await _read(service, f"Bearer {_signed(other, _claims(pseb), kid=kid)}"))
    assert _unauthenticated(await _read(service, f"Bearer {_signed(other, _claims(pseb), jwk=other.as_dict())}"))


async def test_a_token_with_another_algorithm_is_refused(service: Service, pseb: Caller) -> None:
    own, claims = await _own_key(service), _claims(pseb)
    public = json.dumps(own.as_dict(private=False)).encode()
    header = {"kid": own.kid}
    tokens = [
        f"{_part({'alg': 'none', **header})}.{_part(claims)}.",
        f"{_part({'alg': 'NONE', **header})}.{_part(claims)}.",
        jwt.encode({"alg": "HS256", **header}, claims, OctKey.import_key(public)),
        jwt.encode({"alg": "RS256", **header}, claims, RSAKey.generate_key(2048)),
    ]
    for token in tokens:
        assert _unauthenticated(await _read(service, f"Bearer {token}")), token[:40]


async def test_a_token_that_was_altered_is_refused(service: Service, pseb: Caller) -> None:
    header, claims, signature = pseb.token.split(".")
    wider = json.loads(base64.urlsafe_b64decode(claims + "=="))
    wider["scope"] += " reviews:write"
    for token in (
        f"{header}.{_part(wider)}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.{claims}.{signature[::-1]}",
        pseb.token[:-10],
    ):
        assert _unauthenticated(await _read(service, f"Bearer {token}"))


CHANGES: list[dict[str, Any]] = [
    {"iss": "https://elsewhere.example"}, {"iss": None}, {"aud": "https://elsewhere.example"}, {"aud": None},
    {"exp": None}, {"exp": "soon"}, {"sub": None}, {"sub": "x"}, {"partner_id": None}, {"partner_kind": None},
    {"scope": None}, {"nbf": 4_000_000_000}, {"scope": ["registrations:read"]}, {"scope": {}}, {"scope": 5},
    {"sub": 5}, {"sub": []}, {"partner_id": {}}, {"partner_kind": []}, {"partner_kind": "owner"}, {"operator": {}},
    {"tokens_not_before": "x"}, {"tokens_not_before": []}, {"exp": 10**400}, {"exp": float("nan")},
    {"exp": float("inf")}, {"exp": True}, {"iat": "x"}, {"iat": float("nan")}, {"iat": -(10**400)},
]  # fmt: skip


async def test_a_token_of_another_issuer_or_without_its_claims_is_refused(service: Service, pseb: Caller) -> None:
    key = await _own_key(service)
    for change in CHANGES:
        assert _unauthenticated(await _read(service, f"Bearer {_signed(key, _claims(pseb, **change))}")), change
    assert (await _read(service, f"Bearer {_signed(key, _claims(pseb))}")).status_code == 200


async def test_a_token_with_a_longer_lifetime_than_any_issued_is_refused(service: Service, pseb: Caller) -> None:
    key, now = await _own_key(service), int(time.time())
    longer = [
        {"iat": now, "exp": now + MAX_TOKEN_SECONDS + 1},
        {"iat": now - MAX_TOKEN_SECONDS, "exp": now + 60},
        {"exp": now + MAX_TOKEN_SECONDS + 60},
        {"iat": now + 3_600, "exp": now + 3_660},
        {"iat": now + 60, "exp": now + 120},
        {"iat": 0, "exp": now + 60},
    ]
    for change in longer:
        assert _unauthenticated(await _read(service, f"Bearer {_signed(key, _claims(pseb, **change))}")), change
    for change in ({"iat": now, "exp": now + MAX_TOKEN_SECONDS}, {"iat": now + 5}, {"iat": now - 3_000}):
        assert (await _read(service, f"Bearer {_signed(key, _claims(pseb, **change))}")).status_code == 200, change


async def test_what_the_service_signed_for_another_purpose_is_no_token(service: Service, pseb: Caller) -> None:
    key = await _own_key(service)
    for kind in ("JWT", "allowlist-manifest", ""):
        assert _unauthenticated(await _read(service, f"Bearer {_signed(key, _claims(pseb), typ=kind)}")), kind


async def test_a_token_without_the_scope_is_forbidden_and_the_scope_named(service: Service, pseb: Caller) -> None:
    narrow = await service.token(pseb.credentials, "registrations:read")
    answer = await service.http.get("/v1/applicants", headers={"Authorization": f"Bearer {narrow}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "applicants:read" in answer.json()["detail"]
    assert (await _read(service, f"Bearer {narrow}")).status_code == 200


async def test_what_needs_a_token_does_not_say_whether_it_exists_without_one(service: Service) -> None:
    for path in (f"/v1/registrations/{uuid4()}", "/v1/registrations/x", "/v1/partners", "/v1/events", "/v1/allowlist"):
        assert (await service.http.get(path)).status_code == 401, path
    assert (await service.http.post("/v1/applicants", json={"kind": "x"})).status_code == 401


async def test_the_scheme_is_read_in_any_case_and_every_scope_is_needed_only_where_it_is_named(
    service: Service, pseb: Caller
) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert (await _read(service, f"{scheme} {pseb.token}")).status_code == 200
    narrow = await service.token(pseb.credentials, "allowlist:read")
    assert (await service.http.get("/v1/tracks", headers={"Authorization": f"Bearer {narrow}"})).status_code == 200


async def test_a_new_signing_key_is_learned_without_a_restart(service: Service, pseb: Caller) -> None:
    assert (await pseb.get(PATH)).status_code == 200
    service.app.state.verifier._refreshed_at = float("-inf")
    new = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    async with service.database.transaction() as tx:
        sealed = tx.keyring.seal_text("signing_keys.sealed_jwk", json.dumps(new.as_dict(private=True)))
        tx.add(SigningKey(kid=new.kid, sealed_jwk=sealed))
    await service.let_keys_settle()
    fresh = await service.token(pseb.credentials)
    assert json.loads(base64.urlsafe_b64decode(fresh.split(".")[0] + "=="))["kid"] == new.kid
    for token in (fresh, pseb.token):
        assert (await _read(service, f"Bearer {token}")).status_code == 200
