"""OAuth 2.0 token endpoint, its metadata and its key set; errors are OAuth's (RFC 6749, section 5.2), not problems."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Form, Request, Response
from joserfc import jwt
from joserfc.jwk import Key, KeySet
from uuid_utils.compat import uuid7

from app.core.auth import signatures
from app.core.auth.bearer import ACCESS, decode_unverified
from app.core.errors import PayloadTooLarge, RequestTimeout, TooManyRequests, UnsupportedEncoding
from app.core.http.dependencies import database_of
from app.core.http.problems import problem_responses
from app.core.http.responses import json_response
from app.core.http.strict_route import StrictRoute
from app.core.limits.http import count_failed_login, count_token
from app.core.limits.shared_read import SharedRead
from app.core.principal import SCOPES
from app.core.settings import Settings
from app.core.validation.schemas import MAX_NAME_LENGTH
from app.partners import rules, store
from app.partners.key_sets import SIGNING_ALGORITHMS
from app.partners.login.assertions import ASSERTION_TYPE, AssertionRefused
from app.partners.login.basic import decode_credentials
from app.partners.login.client_authentication import TOKEN_PATH, ClientAuthenticator
from app.partners.models import Client
from app.partners.schemas import Token, TokenError

router = APIRouter(tags=["tokens"], route_class=StrictRoute)
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
EXAMPLE_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "use": "sig",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
}
# Where Postman and others look for the example of a form; they fill in the credentials.
EXAMPLE_FORM = {"application/x-www-form-urlencoded": {"example": {"grant_type": "client_credentials"}}}
OAUTH_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": TokenError, "description": "`invalid_request`, `unsupported_grant_type`, `invalid_scope`"},
    401: {"model": TokenError, "description": "`invalid_client`"},
}


def _error_response(error: str, description: str, status: int = 400) -> Response:
    challenge = {"WWW-Authenticate": 'Basic realm="ip-registration"'} if status == 401 else {}
    return json_response(TokenError(error=error, error_description=description), status, **NO_STORE, **challenge)


def _basic_credentials(header: str) -> tuple[str, str] | None:
    """Return client id and secret of HTTP Basic, form-decoded (RFC 6749, section 2.3.1); None without HTTP Basic.

    Malformed credentials give two empty texts, which authenticate nobody.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    client_id, secret = decode_credentials(encoded.strip()) or ("", "")
    return unquote_plus(client_id), unquote_plus(secret)


class _TokenRequestRefused(Exception):
    """The request is refused with an OAuth error; the arguments are those of ``_error_response``."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error, description, status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _FormCredentials:
    """Credentials of a client in the form."""

    client_id: Annotated[
        str | None, Form(description="Or by HTTP Basic, or in the assertion", examples=["pseb.0123456789ab"])
    ] = None
    client_secret: Annotated[str | None, Form(description="Or by HTTP Basic", examples=["the secret"])] = None
    client_assertion_type: Annotated[str | None, Form(description="With an assertion", examples=[ASSERTION_TYPE])] = (
        None
    )
    client_assertion: Annotated[
        str | None,
        Form(description="A JWT that the client signed (RFC 7523, 2.2), instead of a secret", examples=["eyJ..."]),
    ] = None


@router.post(
    TOKEN_PATH,
    summary="Get an access token",
    response_model=Token,
    responses=problem_responses(PayloadTooLarge, RequestTimeout, UnsupportedEncoding, TooManyRequests) | OAUTH_ERRORS,
    openapi_extra={"requestBody": {"content": EXAMPLE_FORM}},
)
async def issue_token(
    request: Request,
    credentials: Annotated[_FormCredentials, Depends()],
    grant_type: Annotated[str, Form(description="`client_credentials`", examples=["client_credentials"])] = "",
    scope: Annotated[
        str | None, Form(description="Absent: all scopes of the client", examples=["registrations:read"])
    ] = None,
) -> Response:
    """OAuth 2.0 client credentials (RFC 6749, 4.4).

    The client sends its id and secret by HTTP Basic or in the form, or an assertion that it signed (`private_key_jwt`).
    """
    try:
        await _check_form(request, grant_type)
        client = await _authenticate(request, credentials)
    except _TokenRequestRefused as refused:
        if refused.status == 401:
            await count_failed_login(request, _claimed_client_id(request, credentials))
        return _error_response(*refused.args)
    await count_token(request, str(client.id))
    scopes = rules.granted_scopes(client.scopes, scope)
    if scopes is None:
        return _error_response("invalid_scope", f"The client's scopes are: {' '.join(client.scopes)}.")
    settings: Settings = request.app.state.settings
    async with database_of(request).transaction(read_only=True) as tx:
        key = await store.signing_key(tx)
    token = sign_access_token(client, scopes, key, issuer=settings.public_url, seconds=settings.token_seconds)
    body = Token(access_token=token, expires_in=settings.token_seconds, scope=" ".join(scopes))
    return json_response(body, **NO_STORE)


def sign_access_token(client: Client, scopes: list[str], key: Key, *, issuer: str, seconds: int) -> str:
    """Return a signed access token (JWT with the claims of RFC 9068) that lasts ``seconds``.

    ``tokens_not_before`` is the client's last revocation when it authenticated, so that a revocation in between also
    revokes this token.
    """
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": str(client.id),
        "client_id": client.client_id,
        "partner_id": str(client.partner_id),
        "partner_kind": client.partner.kind,
        "operator": client.partner.operator,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + seconds,
        "jti": str(uuid7()),
        "tokens_not_before": client.not_before,
    }
    header = {"alg": signatures.algorithm_of(key), "kid": key.kid, "typ": ACCESS}
    return jwt.encode(header, claims, key, registry=signatures.REGISTRY)


async def _check_form(request: Request, grant_type: str) -> None:
    """Refuse repeated parameters (RFC 6749, section 3.2) and other grants. Raises ``_TokenRequestRefused``."""
    for name, times in Counter(name for name, _ in (await request.form()).multi_items()).items():
        if times > 1:
            raise _TokenRequestRefused(
                "invalid_request", f"The parameter {name[:MAX_NAME_LENGTH]!r} is sent {times} times."
            )
    if not grant_type:
        raise _TokenRequestRefused("invalid_request", "Send a form with grant_type=client_credentials.")
    if grant_type != "client_credentials":
        raise _TokenRequestRefused("unsupported_grant_type", "Only client_credentials is supported.")


async def _authenticate(request: Request, credentials: _FormCredentials) -> Client:
    """Return the client, authenticated by exactly one method (RFC 6749, section 2.3). Raises ``_TokenRequestRefused``.

    A malformed request is refused before a client is looked up.
    """
    clients: ClientAuthenticator = request.app.state.client_authenticator
    basic = _basic_credentials(request.headers.get("authorization", ""))
    by_assertion = bool(credentials.client_assertion or credentials.client_assertion_type)
    if sum((basic is not None, bool(credentials.client_secret), by_assertion)) > 1:
        raise _TokenRequestRefused("invalid_request", "Send one of HTTP Basic, client_secret and client_assertion.")
    if basic and credentials.client_id not in (None, "", basic[0]):
        raise _TokenRequestRefused(
            "invalid_request", "The client_id differs from that of the Authorization header. Leave it out."
        )
    if not by_assertion:
        found = await clients.by_secret(*(basic or (credentials.client_id or "", credentials.client_secret or "")))
        if found is None:
            raise _TokenRequestRefused("invalid_client", "Unknown client or wrong secret.", 401)
        return found
    if not credentials.client_assertion or credentials.client_assertion_type != ASSERTION_TYPE:
        raise _TokenRequestRefused(
            "invalid_request", f"Send client_assertion with client_assertion_type={ASSERTION_TYPE}."
        )
    try:
        return await clients.by_assertion(credentials.client_assertion, credentials.client_id or None)
    except AssertionRefused as refused:
        raise _TokenRequestRefused("invalid_client", str(refused), 401) from None


def _claimed_client_id(request: Request, credentials: _FormCredentials) -> str:
    """Return the client id that a request claims, by whichever method."""
    basic = _basic_credentials(request.headers.get("authorization", ""))
    claimed = (
        decode_unverified(credentials.client_assertion).claims.get("sub") if credentials.client_assertion else None
    )
    return basic[0] if basic else credentials.client_id or str(claimed)


def _metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "scopes_supported": list(SCOPES),
    }


def _example(body: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": body}}}}


@router.get(
    "/.well-known/oauth-authorization-server",
    summary="Metadata of the token endpoint",
    responses=problem_responses() | _example(_metadata("https://register.example.pk")),
)
async def metadata(request: Request) -> dict[str, Any]:
    """OAuth 2.0 authorization server metadata (RFC 8414)."""
    return _metadata(request.app.state.settings.public_url)


@router.get(
    "/.well-known/jwks.json",
    summary="The keys that sign tokens",
    responses=problem_responses() | _example({"keys": [EXAMPLE_KEY]}),
)
async def keys(request: Request) -> dict[str, Any]:
    """The public keys as a JSON Web Key Set (RFC 7517)."""
    read: SharedRead[KeySet] = request.app.state.public_keys
    return dict((await read.get()).as_dict(private=False))
