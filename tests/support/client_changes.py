"""Changes of a regulator's clients: requests, confirmations, and what is read afterwards."""

from typing import Any

import httpx

from app.partners.rules import ALLOWED, PartnerKind
from tests.support.service import Caller, Credentials, Service
from tests.support.signing import KEYS, public

GRANT = {"grant_type": "client_credentials"}
ANY = {"If-Match": "*"}
ADMINS = sorted(ALLOWED[PartnerKind.REGULATOR])


def regulator_path(caller: Caller) -> str:
    return f"/v1/partners/{caller.credentials.partner_id}"


def client_path(credentials: Credentials) -> str:
    return f"/v1/partners/{credentials.partner_id}/clients/{credentials.id}"


async def pending_change(answer: httpx.Response) -> dict[str, Any]:
    """The pending change of a 202 response."""
    assert answer.status_code == 202, answer.text
    change: dict[str, Any] = answer.json()
    assert change["status"] == "pending"
    assert answer.headers["Location"] == f"/v1/partners/{change['partner_id']}/client-changes/{change['id']}"
    return change | {"path": answer.headers["Location"]}


async def confirm(caller: Caller, change: dict[str, Any]) -> httpx.Response:
    return await caller.post(f"{change['path']}/confirm")


def status_and_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def token_status(service: Service, login: dict[str, Any]) -> int:
    auth = (login["oauth_client_id"], login["client_secret"])
    return (await service.http.post("/oauth/token", data=GRANT, auth=auth)).status_code


async def read_client(caller: Caller, credentials: Credentials) -> Any:
    return (await caller.get(client_path(credentials))).json()


async def request_changes(caller: Caller, credentials: Credentials) -> list[httpx.Response]:
    """Responses to one request of each change that extends the client's access."""
    path = client_path(credentials)
    return [
        await caller.post(f"{path}/rotate?overlap_seconds=0", headers=ANY),
        await caller.request("PUT", f"{path}/keys", json={"jwks": public(KEYS["Ed25519"])}, headers=ANY),
        await caller.request("PUT", f"{path}/keys", json={"jwks_uri": "https://keys.example.com/"}, headers=ANY),
        await caller.patch(path, json={"scopes": ADMINS}, headers=ANY),
        await caller.patch(path, json={"person": "somebody else"}, headers=ANY),
    ]
