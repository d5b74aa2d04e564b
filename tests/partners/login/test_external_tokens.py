"""Tokens of external identity providers: verification, mapped scopes, and one client for each user."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey

from app.core.principal import SCOPES
from app.partners.login import remote_keys
from app.partners.rules import ALLOWED, PartnerKind
from tests.support import cases, postgres
from tests.support.receiver import Authority, Receiver, receiving
from tests.support.service import Caller, Service
from tests.support.signing import KEY, KEYS, OTHER, Provider, bearer

CASES = "/v1/registrations"
Configured = Callable[..., Awaitable[Service]]


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """The provider's https server."""
    async with receiving(Authority(tmp_path).server("127.0.0.1")) as receiver:
        yield receiver


@pytest.fixture
def provider(receiver: Receiver) -> Provider:
    """An identity provider."""
    return Provider(receiver)


@asynccontextmanager
async def _configured(url: str, directory: Path, *issuers: dict[str, Any]) -> AsyncIterator[Service]:
    service = Service(
        postgres.settings_for(url, external_issuers=json.dumps(issuers), outbound_ca_file=directory / "ca.pem")
    )
    yield service
    await service.close()


@pytest.fixture
async def service(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Service]:
    """A service that accepts the provider's tokens, with the regulator as a partner."""
    async with _configured(database_url, tmp_path, provider.configured()) as service:
        await service.credentials("pta", PartnerKind.REGULATOR, client="desk")
        yield service


async def _get(service: Service, token: str, path: str = CASES) -> httpx.Response:
    return await service.http.get(path, headers=bearer(token))


async def _people(admin: Caller) -> dict[str, dict[str, Any]]:
    """The clients of the provider's users, by subject."""
    partner = admin.credentials.partner_id
    listed = (await admin.get(f"/v1/partners/{partner}/clients")).json()["items"]
    return {each["external_subject"]: each for each in listed if each["external_issuer"]}


NOW = int(time.time())
REFUSED: list[dict[str, Any]] = [
    {"aud": "elsewhere"}, {"aud": None}, {"aud": ["elsewhere"]}, {"aud": "Register"}, {"exp": None}, {"exp": "soon"},
    {"exp": NOW - 60}, {"nbf": NOW + 3600}, {"iat": NOW + 3600}, {"sub": None}, {"sub": 5}, {"sub": ""},
    {"sub": "x" * 256}, {"sub": "a\x00"}, {"sub": "\ud800"}, {"header": {"typ": "logout+jwt"}},
    {"header": {"kid": None}}, {"header": {"kid": "unknown"}}, {"key": OTHER},
]  # fmt: skip


async def test_a_token_of_another_audience_time_or_signer_is_refused(
    service: Service, provider: Provider, admin: Caller
) -> None:
    for change in REFUSED:
        answer = await _get(service, provider.token(**change))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), change
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert await _people(admin) == {}


@pytest.mark.parametrize(("asked", "sound", "refused"), [
    ({}, {}, [{"iat": NOW - 3600}, {"exp": NOW + 86_400}, {"iat": None}]),
    ({"max_token_seconds": 300}, {}, [{"iat": NOW - 1}]),
    ({"acr": ["loa2", "loa3"]}, {"acr": "loa3"}, [{}, {"acr": "loa1"}, {"acr": ["loa2"]}, {"acr": {}}]),
    ({"amr": ["pwd", "otp"]}, {"amr": ["otp", "pwd", "x"]}, [{}, {"amr": ["pwd"]}, {"amr": "pwd otp"}, {"amr": 5}]),
])  # fmt: skip
async def test_a_token_of_too_long_a_lifetime_or_too_weak_a_login_is_refused(
    database_url: str, tmp_path: Path, provider: Provider, asked: dict[str, Any], sound: dict[str, Any],
    refused: list[dict[str, Any]],
) -> None:  # fmt: skip
    async with _configured(database_url, tmp_path, provider.configured(**asked)) as service:
        await service.credentials("pta", PartnerKind.REGULATOR, client="desk")
        for claims in refused:
            assert (await _get(service, provider.token(**claims))).status_code == 401, claims
        assert (await _get(service, provider.token(**sound))).status_code == 200


async def test_a_token_with_a_forged_signature_is_refused(service: Service, provider: Provider) -> None:
    token = provider.token()
    header, claims, _ = token.split(".")
    as_secret = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
    for forged in (
        f"{header}.{claims}.",
        token[:-6],
        provider.token(KEYS["EdDSA"], header={"kid": KEY.kid}),
        provider.token(as_secret, header={"alg": "HS256", "kid": KEY.kid}),
    ):
        assert (await _get(service, forged)).status_code == 401
    assert (await _get(service, token)).status_code == 200


async def test_a_token_of_an_unconfigured_issuer_is_refused_without_fetching_keys(
    service: Service, provider: Provider
) -> None:
    async with receiving() as elsewhere:
        stranger = Provider(elsewhere)
        issuers: tuple[object, ...] = (stranger.url, provider.url + "/", provider.url.upper(), ["x"], {})
        for issuer in issuers:
            assert (await _get(service, provider.token(iss=issuer))).status_code == 401
        assert (elsewhere.accepted, provider.asked) == (0, [])


async def test_a_providers_key_cannot_sign_tokens_of_the_service(service: Service, provider: Provider) -> None:
    own = service.settings.public_url
    claims: dict[str, Any] = {"iss": own, "aud": own, "partner_kind": "regulator", "scope": " ".join(SCOPES)}
    assert (await _get(service, provider.token(**claims))).status_code == 401


@pytest.mark.parametrize("groups", [None, [], ["others"], "others", {"officers": 1}, [["officers"]], 5, "officers x"])
async def test_a_user_without_a_mapped_scope_is_refused_and_not_stored(
    service: Service, provider: Provider, admin: Caller, groups: Any
) -> None:
    answer = await _get(service, provider.token(groups=groups))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await _people(admin) == {}


@pytest.mark.parametrize("kind", PartnerKind)
async def test_no_mapping_gives_scopes_beyond_the_partners_kind(
    database_url: str, tmp_path: Path, provider: Provider, kind: PartnerKind
) -> None:
    issuer = provider.configured(partner="bound", scopes={"officers": list(SCOPES)})
    async with _configured(database_url, tmp_path, issuer) as service:
        await service.credentials("bound", kind, operator="nayatel" if kind == PartnerKind.OPERATOR else None)
        principal = await service.app.state.external[provider.url].verify(provider.token())
    assert principal.scopes == ALLOWED[kind]
    assert principal.partner_kind == kind


async def test_a_disabled_user_is_refused_at_once(service: Service, provider: Provider, admin: Caller) -> None:
    assert (await _get(service, provider.token())).status_code == 200
    person = (await _people(admin))["officer-1"]
    path = f"/v1/partners/{person['partner_id']}/clients/{person['id']}"
    assert (await admin.post(f"{path}/disable", headers={"If-Match": '"1"'})).status_code == 200
    assert (await _get(service, provider.token())).status_code == 401
    assert (await _get(service, provider.token(sub="officer-2"))).status_code == 200


async def test_a_user_learns_who_it_is_and_which_scopes_its_token_has(service: Service, provider: Provider) -> None:
    body = (await _get(service, provider.token(), "/v1/me")).json()
    assert (body["client"]["external_issuer"], body["client"]["scopes"]) == (provider.url, [])
    assert (body["partner"]["name"], body["partner"]["kind"]) == ("pta", "regulator")
    assert body["scopes"] == sorted(provider.configured()["scopes"]["officers"])


async def test_a_partner_whose_users_come_from_a_provider_keeps_the_name_that_the_settings_have(
    service: Service, admin: Caller
) -> None:
    other = (await admin.post("/v1/partners", json={"name": "other", "kind": "association"})).headers["Location"]
    for path, name in ((f"/v1/partners/{admin.credentials.partner_id}", "new"), (other, "pta")):
        answer = await admin.patch(path, json={"name": name}, headers={"If-Match": "*"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name")


async def test_a_user_of_a_provider_cannot_get_a_secret_or_keys(
    service: Service, provider: Provider, admin: Caller
) -> None:
    assert (await _get(service, provider.token())).status_code == 200
    person = (await _people(admin))["officer-1"]
    path = f"/v1/partners/{person['partner_id']}/clients/{person['id']}"
    for answer in (
        await admin.post(f"{path}/rotate", headers={"If-Match": '"1"'}),
        await admin.request("PUT", f"{path}/keys", json={}, headers={"If-Match": '"1"'}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "authenticates_otherwise")
    login = {"grant_type": "client_credentials", "client_id": person["client_id"], "client_secret": ""}
    assert (await service.http.post("/oauth/token", data=login)).status_code == 401


async def test_while_the_provider_is_down_its_tokens_get_503(
    service: Service, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.status = 500
    answer = await _get(service, provider.token())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    provider.status = 200
    monkeypatch.setattr(remote_keys, "REFETCH_SECONDS", -1.0)
    assert (await _get(service, provider.token())).status_code == 200


@pytest.mark.parametrize("change", [{"issuer": "https://elsewhere.example"}, {"jwks_uri": "https://127.0.0.1/keys"},
                                    {"jwks_uri": None}, {"jwks_uri": "x"}])  # fmt: skip
async def test_a_discovery_document_of_another_issuer_or_of_an_internal_url_is_not_followed(
    service: Service, provider: Provider, change: dict[str, Any]
) -> None:
    provider.discovered.update(change)
    assert (await _get(service, provider.token())).status_code == 503
    assert provider.asked == ["/.well-known/openid-configuration"]


async def test_an_internal_provider_is_not_contacted_unless_configured_as_internal(
    database_url: str, tmp_path: Path, provider: Provider, receiver: Receiver
) -> None:
    async with _configured(database_url, tmp_path, provider.configured(internal=False)) as service:
        assert (await _get(service, provider.token())).status_code == 503
        assert receiver.accepted == 0


async def test_without_its_partner_a_provider_s_tokens_are_refused(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    async with _configured(database_url, tmp_path, provider.configured(partner="nobody")) as service:
        assert (await _get(service, provider.token())).status_code == 401


async def test_each_user_of_a_provider_is_one_client(service: Service, provider: Provider, admin: Caller) -> None:
    answers = await asyncio.gather(*(_get(service, provider.token(sub=f"officer-{n % 2}")) for n in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    people = await _people(admin)
    assert people.keys() == {"officer-0", "officer-1"}
    assert len({each["id"] for each in people.values()}) == 2
    assert all(each["scopes"] == [] and each["external_issuer"] == provider.url for each in people.values())
    assert (await _get(service, provider.token(sub="officer-0"))).status_code == 200
    assert await _people(admin) == people


async def test_decisions_name_the_officer_of_the_external_token(
    service: Service, provider: Provider, admin: Caller, pseb: Caller
) -> None:
    case = await cases.submitted(pseb)
    one = Caller(service, admin.credentials, provider.token(sub="officer-1"))
    decided = await one.post(
        "/v1/review-decisions",
        json={"registration_id": case["id"], "action": "approve"},
        headers={"If-Match": f'"{case["version"]}"'},
    )
    assert decided.status_code == 201, decided.text
    person = (await _people(admin))["officer-1"]
    assert person["id"] in decided.text


async def test_scopes_are_mapped_from_a_path_a_text_or_a_list(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    mapping = {"reader": ["registrations:read"], "judge": ["reviews:write", "reviews:read"]}
    tried: list[tuple[Any, dict[str, Any], set[str]]] = [
        (["realm_access", "roles"], {"realm_access": {"roles": ["reader", "x", 5]}}, {"registrations:read"}),
        ("roles", {"roles": ["reader", "judge"]}, {"registrations:read", "reviews:write", "reviews:read"}),
        ("https://pta.example/role", {"https://pta.example/role": "judge"}, {"reviews:write", "reviews:read"}),
        ("scope", {"scope": "openid reader"}, {"registrations:read"}),
    ]
    for claim, given, expected in tried:
        issuer = provider.configured(scopes=mapping, scope_claim=claim, subject_claim="oid")
        async with _configured(database_url, tmp_path, issuer) as service:
            if claim == ["realm_access", "roles"]:
                await service.credentials("pta", PartnerKind.REGULATOR)
            verifier = service.app.state.external[provider.url]
            principal = await verifier.verify(provider.token(oid="a-1", groups=None, **given))
            assert principal.scopes == expected


async def test_a_configured_jwks_uri_replaces_discovery_and_may_have_keys_of_any_usable_type(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    provider.keys = list(KEYS.values())
    issuer = provider.configured(jwks_uri=f"{provider.url}/keys")
    async with _configured(database_url, tmp_path, issuer) as service:
        await service.credentials("pta", PartnerKind.REGULATOR)
        for alg, key in KEYS.items():
            token = provider.token(key, header={"alg": alg, "typ": "at+jwt"}, aud=["register", "account"])
            assert (await _get(service, token)).status_code == 200, alg
    assert provider.asked == ["/keys"]


async def test_an_internal_provider_may_use_plain_http_beside_another_provider(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    async with receiving() as plain:
        second = Provider(plain, "http")
        issuers = (provider.configured(), second.configured(scopes={"officers": ["registrations:read"]}))
        async with _configured(database_url, tmp_path, *issuers) as service:
            made = await service.credentials("pta", PartnerKind.REGULATOR)
            admin = await service.admin()
            for each in (provider, second):
                assert (await _get(service, each.token())).status_code == 200
            assert (await _get(service, second.token(), "/v1/partners")).status_code == 403
            listed = (await admin.get(f"/v1/partners/{made.partner_id}/clients")).json()["items"]
            assert len([each for each in listed if each["external_subject"] == "officer-1"]) == 2
