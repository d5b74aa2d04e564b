"""The token endpoint's responses and errors (RFC 6749), which never reveal whether a client exists."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.core.principal import SCOPES
from app.partners.login.assertions import ASSERTION_TYPE
from app.partners.rules import ALLOWED, OF_OTHERS, PartnerKind
from tests.support.service import BASE_URL, Caller, Credentials, Service

GRANT = {"grant_type": "client_credentials"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def credentials(service: Service) -> Credentials:
    """A client of an association."""
    return await service.credentials("pseb")


def _basic(client_id: str | bytes, secret: str | bytes) -> dict[str, Any]:
    pair = b":".join(part if isinstance(part, bytes) else part.encode() for part in (client_id, secret))
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def _ask(service: Service, form: dict[str, Any] = GRANT, **headers: Any) -> httpx.Response:
    return await service.http.post("/oauth/token", data=form, headers=headers)


def _refused(answer: httpx.Response, status: int, error: str) -> bool:
    assert answer.headers["content-type"] == "application/json", answer.text
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers.get("WWW-Authenticate", "").startswith("Basic ") == (status == 401)
    return (answer.status_code, answer.json()["error"]) == (status, error)


async def test_a_missing_or_unsupported_grant_type_is_refused(service: Service, credentials: Credentials) -> None:
    who = _basic(credentials.client_id, credentials.client_secret)
    assert _refused(await _ask(service, {}, **who), 400, "invalid_request")
    assert _refused(await _ask(service, {"grant_type": ""}, **who), 400, "invalid_request")
    assert _refused(await service.http.post("/oauth/token", json=GRANT, headers=who), 400, "invalid_request")
    for other in ("password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "é"):
        assert _refused(await _ask(service, {"grant_type": other}, **who), 400, "unsupported_grant_type")


async def test_an_unknown_client_and_a_wrong_secret_get_the_same_response(
    service: Service, credentials: Credentials
) -> None:
    right_id, right_secret = credentials.client_id, credentials.client_secret
    pairs = [(right_id, "wrong"), (right_id, ""), ("unknown", right_secret), ("", ""), (right_id, right_secret + " "),
             (right_id.upper(), right_secret), (right_id, right_secret.swapcase())]  # fmt: skip
    answers = [await _ask(service, **_basic(*pair)) for pair in pairs]
    answers += [await _ask(service, {**GRANT, "client_id": one, "client_secret": two}) for one, two in pairs]
    answers.append(await _ask(service))
    assert all(_refused(answer, 401, "invalid_client") for answer in answers)
    assert len({answer.content for answer in answers}) == 1


ODD_HEADERS: list[str | bytes] = [
    "Basic", "Basic ", "Basic !!!", "Basic x", b"Basic \xff\xfe", "Basic " + "A" * 20_000, "Bearer x", "Digest x",
    _basic(b"\xff\xfe", b"\x00")["Authorization"], _basic("a\x00b", "c")["Authorization"],
    _basic("a%00b", "%00")["Authorization"], _basic("%ED%A0%80", "%ED%A0%80")["Authorization"],
    _basic("é", "ü")["Authorization"], _basic("%", "%zz")["Authorization"], "Basic " + "cHNlYg==",
]  # fmt: skip
ODD_FORMS = [
    b"\xff\x00=1", b"&&&", b"=", b"%", b"grant_type", b"grant_type=%00",
    b"grant_type=client_credentials&client_id=%00",
    b"grant_type=client_credentials&client_id=a%00b&client_secret=%ff%fe",
    b"grant_type=client_credentials&client_id=%ed%a0%80&client_secret=%ed%a0%80",
    b"grant_type=client_credentials&client_id=" + b"a" * 100_000, b"a=1&" * 3_000, b"\x00" * 100,
]  # fmt: skip


async def test_a_malformed_header_is_an_invalid_client(service: Service) -> None:
    for authorization in ODD_HEADERS:
        answer = await _ask(service, Authorization=authorization)
        assert _refused(answer, 401, "invalid_client"), authorization[:80]


async def test_a_malformed_form_is_a_client_error(service: Service) -> None:
    for body in ODD_FORMS:
        answer = await service.http.post("/oauth/token", content=body, headers=FORM)
        assert answer.status_code in (400, 401, 413, 422), body[:80]


TWICE = ["grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type", "unknown"]


@pytest.mark.parametrize("name", TWICE)
async def test_a_repeated_parameter_is_refused_even_with_the_same_value(
    service: Service, credentials: Credentials, name: str
) -> None:
    sound = {**GRANT, "client_id": credentials.client_id, "client_secret": credentials.client_secret}
    for again in ("x", sound.get(name, "x"), ""):
        pairs = [*sound.items(), *([] if name in sound else [(name, "x")]), (name, again)]
        answer = await service.http.post("/oauth/token", content=urlencode(pairs), headers=FORM)
        assert _refused(answer, 400, "invalid_request"), (name, again)
        assert repr(name) in answer.json()["error_description"]


async def test_two_authentication_methods_in_one_request_are_refused(
    service: Service, credentials: Credentials
) -> None:
    one, two = credentials.client_id, credentials.client_secret
    assertion = {"client_assertion": "a.b.c", "client_assertion_type": ASSERTION_TYPE}
    for authorization in (_basic(one, two), _basic(one, "wrong"), {"Authorization": "Basic !!!"}):
        for also in ({"client_id": one, "client_secret": two}, {"client_secret": two}, assertion):
            assert _refused(await _ask(service, {**GRANT, **also}, **authorization), 400, "invalid_request"), also
    for part in ({}, {"client_assertion": ""}, {"client_assertion_type": ""}):
        form = {**GRANT, "client_id": one, "client_secret": two, **assertion, **part}
        assert _refused(await _ask(service, form), 400, "invalid_request"), part


async def test_a_client_id_that_differs_from_the_basic_credentials_is_refused(
    service: Service, credentials: Credentials
) -> None:
    other = await service.credentials("pasha")
    who = _basic(credentials.client_id, credentials.client_secret)
    for client_id in (other.client_id, "nobody", credentials.client_id.upper()):
        assert _refused(await _ask(service, {**GRANT, "client_id": client_id}, **who), 400, "invalid_request")
    for client_id in (credentials.client_id, ""):  # one without a value counts as absent
        assert (await _ask(service, {**GRANT, "client_id": client_id}, **who)).status_code == 200


async def test_a_disabled_client_gets_no_token(service: Service, admin: Caller, credentials: Credentials) -> None:
    path = f"/v1/partners/{credentials.partner_id}/clients/{credentials.id}/disable"
    who = _basic(credentials.client_id, credentials.client_secret)
    assert (await _ask(service, **who)).status_code == 200
    assert (await admin.post(path, headers={"If-Match": '"1"'})).status_code == 200
    assert _refused(await _ask(service, **who), 401, "invalid_client")


async def test_a_scope_that_the_client_does_not_hold_is_refused_even_beside_one_that_it_holds(
    service: Service, credentials: Credentials
) -> None:
    who = _basic(credentials.client_id, credentials.client_secret)
    for scope in ("reviews:write", "registrations:read reviews:write", "nothing", " ", "*", "é", "a" * 999):
        assert _refused(await _ask(service, {**GRANT, "scope": scope}, **who), 400, "invalid_scope"), scope


async def test_a_client_gets_a_bearer_token_by_basic_or_by_form(service: Service, credentials: Credentials) -> None:
    one, two = credentials.client_id, credentials.client_secret
    by_basic = await _ask(service, **_basic(one, two))
    by_form = await _ask(service, {**GRANT, "client_id": one, "client_secret": two})
    encoded = await _ask(service, **_basic(one.replace(".", "%2E"), two))  # RFC 6749, 2.3.1
    for answer in (by_basic, by_form, encoded):
        assert answer.status_code == 200
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
        body = answer.json()
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)


async def test_a_token_has_the_requested_scopes_or_by_default_all(service: Service, credentials: Credentials) -> None:
    who = _basic(credentials.client_id, credentials.client_secret)
    every = (await _ask(service, **who)).json()
    assert every["scope"].split() == sorted(ALLOWED[PartnerKind.ASSOCIATION] - {"clients:manage"})
    narrow = (await _ask(service, {**GRANT, "scope": "events:read  allowlist:read events:read"}, **who)).json()
    assert narrow["scope"] == "allowlist:read events:read"


async def test_a_partners_kind_limits_the_scopes_of_its_tokens(service: Service) -> None:
    regulator = await service.token(await service.credentials("pta", PartnerKind.REGULATOR))
    operator = await service.token(await service.credentials("ptcl", PartnerKind.OPERATOR, operator="ptcl"))
    scopes = [
        json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["scope"] for token in (regulator, operator)
    ]
    unnamed = {"partners:admin", "clients:manage"}
    assert scopes[0].split() == sorted(ALLOWED[PartnerKind.REGULATOR] - OF_OTHERS - unnamed)
    assert scopes[1].split() == sorted(ALLOWED[PartnerKind.OPERATOR] - {"clients:manage"})


async def test_the_metadata_names_the_endpoint_and_the_keys(service: Service) -> None:
    answer = await service.http.get("/.well-known/oauth-authorization-server")
    body = answer.json()
    issuer = service.settings.public_url
    assert body["issuer"] == issuer
    assert (body["token_endpoint"], body["jwks_uri"]) == (f"{issuer}/oauth/token", f"{issuer}/.well-known/jwks.json")
    assert body["grant_types_supported"] == ["client_credentials"]
    methods = {"client_secret_basic", "client_secret_post", "private_key_jwt"}
    assert set(body["token_endpoint_auth_methods_supported"]) == methods
    signing = {"Ed25519", "EdDSA", "ES256", "PS256", "RS256"}
    assert set(body["token_endpoint_auth_signing_alg_values_supported"]) == signing
    assert set(body["scopes_supported"]) == set(SCOPES)
    assert BASE_URL not in answer.text  # the issuer is a setting, whatever host the caller names


async def test_the_published_keys_verify_a_token_and_are_public_only(
    service: Service, credentials: Credentials
) -> None:
    body = (await service.http.get("/.well-known/jwks.json")).json()
    (key,) = body["keys"]
    assert key.keys() == {"kty", "crv", "x", "use", "kid"}  # some libraries refuse an alg of RFC 9864
    assert (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")
    token = await service.token(credentials)
    decoded = jwt.decode(token, KeySet.import_key_set(body), algorithms=["Ed25519"])
    claims = decoded.claims
    assert (decoded.header["kid"], decoded.header["typ"]) == (key["kid"], "at+jwt")
    assert (claims["iss"], claims["aud"]) == (service.settings.public_url, service.settings.public_url)
    assert (claims["sub"], claims["client_id"]) == (str(credentials.id), credentials.client_id)
    assert claims["exp"] - claims["iat"] == 600
