"""Keys of clients and issuers, assertions and tokens signed with them, and an identity provider."""

import json
import time
from asyncio import StreamWriter
from typing import Any
from uuid import uuid4

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from app.core.auth.signatures import Registry
from app.partners.login.assertions import ASSERTION_TYPE
from tests.support.receiver import Received, Receiver
from tests.support.service import Service

_RSA = RSAKey.generate_key(3072, {"kid": "rsa"})
KEYS: dict[str, Key] = {
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed-2"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "PS256": _RSA,
    "RS256": RSAKey.import_key({**_RSA.as_dict(private=True), "kid": "rsa-2"}),
}
KEY, OTHER = KEYS["Ed25519"], KEYS["EdDSA"]


def public(*keys: Key) -> dict[str, Any]:
    """A key set with the public halves."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def signed(claims: dict[str, Any], key: Key = KEY, alg: str = "Ed25519", **header: Any) -> str:
    """A token; a claim or header parameter that is None is left out."""
    named = {"alg": alg, "kid": key.kid, "typ": "JWT", **header}
    registry = Registry(algorithms=[alg], strict_check_header=False)
    payload = json.dumps({name: value for name, value in claims.items() if value is not None})
    protected = {name: value for name, value in named.items() if value is not None}
    return jws.serialize_compact(protected, payload, key, registry=registry)


def claims_of(service: Service, client_id: str, **changes: Any) -> dict[str, Any]:
    """Return the claims of a valid assertion, with changes."""
    now = int(time.time())
    sound = {"iss": client_id, "sub": client_id, "aud": service.settings.public_url, "iat": now, "exp": now + 60}
    return {**sound, "jti": str(uuid4()), **changes}


def form_of(assertion: str, **changes: Any) -> dict[str, Any]:
    """The form that asks for a token by an assertion."""
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


class Provider:
    """An identity provider on a real server: discovery, keys, tokens. ``asked`` are the paths that were fetched."""

    def __init__(self, receiver: Receiver, scheme: str = "https") -> None:
        self.url = f"{scheme}://127.0.0.1:{receiver.port}"
        self.keys: list[Key] = [KEY]
        self.status = 200
        self.discovered: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self._receiver = receiver
        receiver.respond = self._respond

    @property
    def asked(self) -> list[str]:
        return [each.path for each in self._receiver.received]

    def token(self, key: Key = KEY, **changes: Any) -> str:
        """An access token of an officer's, with changes."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": "register", "sub": "officer-1", "iat": now, "exp": now + 300}
        header = changes.pop("header", {})
        return signed({**claims, "groups": ["officers"], **changes}, key, **header)

    def configured(self, **changes: Any) -> dict[str, Any]:
        """Return the setting that configures this issuer, with changes."""
        sound = {
            "issuer": self.url,
            "audience": "register",
            "partner": "pta",
            "scopes": {"officers": ["registrations:read", "reviews:read", "reviews:write", "partners:admin"]},
            "internal": True,
        }
        return {**sound, **changes}

    async def _respond(self, request: Received, writer: StreamWriter) -> None:
        found = {"/keys": public(*self.keys), "/.well-known/openid-configuration": self.discovered}.get(request.path)
        body = json.dumps(found).encode()
        status = self.status if found is not None else 404
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
