"""The token endpoint, its metadata and its keys; its errors are OAuth's, not problems."""

import base64
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Request, Response

from app.core.db import Reading
from app.core.errors import PayloadTooLarge, TooManyRequests
from app.core.problems import documented
from app.core.responses import json_answer
from app.core.security import SCOPES
from app.core.settings import Settings
from app.partners import rules, service, store
from app.partners.models import Client
from app.partners.schemas import Token, TokenError

router = APIRouter(tags=["tokens"])
NEVER_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
EXAMPLE_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "use": "sig",
    "alg": "Ed25519",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
}
MAY_FAIL: dict[int | str, dict[str, Any]] = {
    400: {"model": TokenError, "description": "`invalid_request`, `unsupported_grant_type`, `invalid_scope`"},
    401: {"model": TokenError, "description": "`invalid_client`"},
}


def _refused(error: str, description: str, status: int = 400) -> Response:
    challenge = {"WWW-Authenticate": 'Basic realm="ip-registration"'} if status == 401 else {}
    return json_answer(TokenError(error=error, error_description=description), status, **NEVER_KEPT, **challenge)


def _basic_credentials(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not base64, not ASCII, or not UTF-8 within
        return None
    return unquote_plus(client_id), unquote_plus(secret)


@router.post(
    "/oauth/token",
    summary="Get an access token",
    response_model=Token,
    responses=documented(PayloadTooLarge, TooManyRequests) | MAY_FAIL,
)
async def issue_token(
    request: Request,
    session: Reading,
    grant_type: Annotated[str, Form(description="`client_credentials`", examples=["client_credentials"])] = "",
    scope: Annotated[
        str | None, Form(description="Absent: all scopes of the client", examples=["registrations:read"])
    ] = None,
    client_id: Annotated[str | None, Form(description="Or by HTTP Basic", examples=["pseb.0123456789ab"])] = None,
    client_secret: Annotated[str | None, Form(description="Or by HTTP Basic", examples=["the secret"])] = None,
) -> Response:
    """OAuth 2.0 client credentials (RFC 6749, 4.4). The client sends its id and secret by HTTP Basic or in the form."""
    if not grant_type:
        return _refused("invalid_request", "Send a form with grant_type=client_credentials.")
    if grant_type != "client_credentials":
        return _refused("unsupported_grant_type", "Only client_credentials is supported.")
    given = _basic_credentials(request.headers.get("authorization", "")) or (client_id or "", client_secret or "")
    client = await _known(session, *given)
    if client is None:
        return _refused("invalid_client", "Unknown client or wrong secret.", 401)
    scopes = rules.granted_scopes(client.scopes, scope)
    if scopes is None:
        return _refused("invalid_scope", f"This client holds: {' '.join(client.scopes)}.")
    settings: Settings = request.app.state.settings
    key = await store.signing_key(session)
    token = service.access_token(client, scopes, key, issuer=settings.public_url, seconds=settings.token_seconds)
    body = Token(access_token=token, expires_in=settings.token_seconds, scope=" ".join(scopes))
    return json_answer(body, **NEVER_KEPT)


async def _known(session: Reading, client_id: str, client_secret: str) -> Client | None:
    if not client_id.isascii() or not client_id.isprintable():
        return None
    return await service.known_client(session, client_id, client_secret)


def _metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": list(SCOPES),
    }


def _example(body: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": body}}}}


@router.get(
    "/.well-known/oauth-authorization-server",
    summary="Metadata of the token endpoint",
    responses=documented() | _example(_metadata("https://register.example.pk")),
)
async def metadata(request: Request) -> dict[str, Any]:
    """OAuth 2.0 authorization server metadata (RFC 8414)."""
    return _metadata(request.app.state.settings.public_url)


@router.get(
    "/.well-known/jwks.json",
    summary="The keys that sign tokens",
    responses=documented() | _example({"keys": [EXAMPLE_KEY]}),
)
async def keys(session: Reading) -> dict[str, Any]:
    """The public keys as a JSON Web Key Set (RFC 7517)."""
    return dict((await store.public_keys(session)).as_dict(private=False))
