"""Certificates as those read them who verify them: by ``joserfc``, the published keys, and a decoder of QR codes."""

import json
import zlib
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import urldefrag

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

from app.core.auth.signatures import Registry
from tests.support.service import Caller, Service

ALGORITHMS = ["Ed25519", "EdDSA", "ES256"]
STATUS_LIST = "/v1/certificates/status-list"
LARGE = 1_000_000  # bytes of a payload, more than ``joserfc`` reads unless it is told


async def get(caller: Caller, case: dict[str, Any], form: str = "jws") -> httpx.Response:
    """Ask for the certificate of a case."""
    return await caller.get(f"/v1/registrations/{case['id']}/certificate?format={form}")


async def signed(caller: Caller, case: dict[str, Any]) -> str:
    """Return the certificate of a case in force."""
    answer = await get(caller, case)
    assert answer.status_code == 200, answer.text
    return answer.text


async def published_keys(service: Service) -> KeySet:
    """Return the keys that anybody can fetch."""
    return KeySet.import_key_set((await service.http.get("/.well-known/jwks.json")).json())


async def verified(service: Service, token: str) -> jwt.Token:
    """Verify a signature by the published keys, as a stranger does."""
    registry = Registry(algorithms=ALGORITHMS)  # joserfc warns of the older name of Ed25519
    registry.max_payload_length = LARGE
    return jwt.decode(token, await published_keys(service), registry=registry)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a certificate without verification."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def index_of(token: str) -> int:
    """Return the index of a certificate in the status list."""
    index: int = claims_of(token)["status"]["status_list"]["idx"]
    return index


def unpacked(lst: str) -> bytes:
    """Return the packed statuses of a list, four in a byte."""
    return zlib.decompress(urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))


async def status_of(service: Service, token: str) -> int:
    """Return the status of a certificate in the present list, verified."""
    listed = (await verified(service, (await service.http.get(STATUS_LIST)).text)).claims
    index = index_of(token)
    assert listed["status_list"]["bits"] == 2
    return unpacked(listed["status_list"]["lst"])[index // 4] >> index % 4 * 2 & 3


def certificate_in(link: str) -> str:
    """Return the certificate in the fragment of a link to the page that verifies it."""
    page, fragment = urldefrag(link)
    assert page.endswith("/verify"), link
    return fragment
