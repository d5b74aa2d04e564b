"""Public keys of clients; private and unusable keys are refused."""

import json
from typing import Any

import httpx
import pytest

from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service
from tests.support.signing import KEY, OTHER, claims_of, form_of, public, signed

JWKS = public(KEY)
ONLY = "private_key_jwt"


@pytest.fixture
async def path(admin: Caller, pseb: Caller) -> str:
    """The path of an association's client."""
    return f"/v1/partners/{pseb.credentials.partner_id}/clients/{pseb.credentials.id}"


async def _put(admin: Caller, path: str, **body: Any) -> httpx.Response:
    tag = (await admin.get(path)).headers["ETag"]
    return await admin.request("PUT", f"{path}/keys", json=body, headers={"If-Match": tag})


async def _by_key(service: Service, client_id: str) -> int:
    form = form_of(signed(claims_of(service, client_id)))
    return (await service.http.post("/oauth/token", data=form)).status_code


async def _by_secret(service: Service, client_id: str, secret: str) -> int:
    answer = await service.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret)
    )
    return answer.status_code


async def test_only_an_administrator_sets_keys_and_with_if_match(admin: Caller, pseb: Caller, path: str) -> None:
    refused = await pseb.request("PUT", f"{path}/keys", json={"jwks": JWKS}, headers={"If-Match": '"1"'})
    assert refused.status_code == 403
    for headers, status in (({}, 428), ({"If-Match": '"7"'}, 412)):
        answer = await admin.request("PUT", f"{path}/keys", json={"jwks": JWKS}, headers=headers)
        assert answer.status_code == status
    elsewhere = path.replace(str(pseb.credentials.partner_id), str(admin.credentials.partner_id))
    answer = await admin.request("PUT", f"{elsewhere}/keys", json={"jwks": JWKS}, headers={"If-Match": '"1"'})
    assert answer.status_code == 404


async def test_a_private_key_is_refused_without_being_repeated(admin: Caller, path: str) -> None:
    private = KEY.as_dict(private=True)
    for answer in (
        await _put(admin, path, jwks={"keys": [private]}),
        await admin.post(f"{path.rpartition('/')[0]}", json={"name": "new", "jwks": {"keys": [private]}}),
    ):
        assert (answer.status_code, cases.codes(answer)) == (422, {"/jwks": "private_key_sent"})
        assert str(private["d"]) not in answer.text
    assert (await admin.get(path)).json()["jwks"] is None


REFUSED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"jwks": {"keys": []}}, {"/jwks": "key_unusable"}),
    ({"jwks": {"keys": [{"kty": "RSA"}]}}, {"/jwks": "key_unusable"}),
    ({"jwks": []}, {"/jwks": "invalid_value"}),
    ({"jwks": "x"}, {"/jwks": "invalid_value"}),
    ({"jwks_uri": "http://keys.example.com/"}, {"/jwks_uri": "invalid_value"}),
    ({"jwks_uri": "https://keys.example.com/" + "x" * 2_000}, {"/jwks_uri": "invalid_value"}),
    ({"jwks": JWKS, "jwks_uri": "https://keys.example.com/"}, {"/jwks_uri": "invalid_value"}),
    ({"token_endpoint_auth_method": ONLY}, {"/jwks": "missing_field"}),
    ({"token_endpoint_auth_method": "none", "jwks": JWKS}, {"/token_endpoint_auth_method": "invalid_value"}),
    ({"keys": []}, {"/keys": "invalid_value"}),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED)
async def test_an_invalid_key_set_is_refused_with_a_pointer(
    admin: Caller, path: str, body: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = await _put(admin, path, **body)
    assert (answer.status_code, cases.codes(answer)) == (422, expected)


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/keys", "https://10.0.0.1/", "https://[::1]/", "https://localhost/", "https://a.example:8443/",
     "https://169.254.169.254/latest", "https://user:password@keys.example.com/"],
)  # fmt: skip
async def test_a_jwks_uri_of_an_internal_host_is_refused(admin: Caller, path: str, url: str) -> None:
    answer = await _put(admin, path, jwks_uri=url)
    assert (answer.status_code, answer.json()["code"]) == (422, "url_refused")
    new = await admin.post(path.rpartition("/")[0], json={"name": "new", "jwks_uri": url})
    assert (new.status_code, new.json()["code"]) == (422, "url_refused")


async def test_a_client_limited_to_its_keys_has_no_secret(service: Service, admin: Caller, path: str) -> None:
    body = {"name": "signer", "jwks": JWKS, "token_endpoint_auth_method": ONLY}
    made = (await admin.post(path.rpartition("/")[0], json=body)).json()
    assert made["client_secret"] is None
    assert await _by_key(service, made["client_id"]) == 200
    for secret in ("", "None", "null"):
        assert await _by_secret(service, made["client_id"], secret) == 401
    own = f"{path.rpartition('/')[0]}/{made['id']}"
    answer = await admin.post(f"{own}/rotate", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (409, "authenticates_otherwise")


async def test_limiting_a_client_to_its_keys_ends_its_secrets(
    service: Service, admin: Caller, pseb: Caller, path: str
) -> None:
    known = pseb.credentials
    rotated = (await admin.post(f"{path}/rotate", headers={"If-Match": '"1"'})).json()["client_secret"]
    assert (await _put(admin, path, jwks=JWKS, token_endpoint_auth_method=ONLY)).status_code == 200
    for lifted in (False, True):
        for secret in (known.client_secret, rotated):
            assert await _by_secret(service, known.client_id, secret) == 401
        assert await _by_key(service, known.client_id) == 200
        if not lifted:
            assert (await _put(admin, path, jwks=JWKS)).json()["token_endpoint_auth_method"] is None
    again = (await admin.post(f"{path}/rotate", headers={"If-Match": '"4"'})).json()
    assert again["previous_secret_expires_at"] is None
    assert await _by_secret(service, known.client_id, again["client_secret"]) == 200


async def test_keys_exist_beside_a_secret_and_are_replaced_or_removed(
    service: Service, admin: Caller, pseb: Caller, path: str
) -> None:
    known = pseb.credentials
    assert await _by_key(service, known.client_id) == 401
    shown = await _put(admin, path, jwks=JWKS)
    assert (shown.status_code, shown.json()["jwks"], shown.headers["ETag"]) == (200, JWKS, '"2"')
    assert await _by_key(service, known.client_id) == 200
    assert await _by_secret(service, known.client_id, known.client_secret) == 200
    for body in ({"jwks": public(OTHER)}, {}):
        assert (await _put(admin, path, **body)).status_code == 200
        assert await _by_key(service, known.client_id) == 401
    assert (await admin.get(path)).json()["jwks"] is None
    changes = [
        each for each in await wait_for_event(admin, "client.keys_changed") if each["name"] == "client.keys_changed"
    ]
    assert {each["actor_client_id"] for each in changes} == {str(admin.credentials.id)}
    assert str(KEY.as_dict()["x"]) not in json.dumps(changes)
