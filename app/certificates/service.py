"""Issuing certificates: their claims, and their signature by the service's key."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc.jwk import Key

from app.certificates import store
from app.certificates.errors import NotInForce
from app.certificates.rules import MAX_QR_BYTES, networks_digest, valid_until
from app.core.auth import signatures
from app.core.database.transaction import Transaction
from app.partners import store as partners
from app.registrations.models import Registration
from app.registrations.rules import LISTED

TYPE = "registration-certificate+jwt"  # RFC 8725, 3.11: it is no access token, manifest or checkpoint
STATUS_LIST_PATH = "/v1/certificates/status-list"
VERIFY_PATH = "/verify"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The claims of a certificate, which name no person, and the key that signs them."""

    claims: dict[str, Any]
    key: Key

    @property
    def signed(self) -> str:
        """The certificate as a JWS in compact serialization (RFC 7515)."""
        return _sign(self.claims, self.key)

    @property
    def link(self) -> str:
        """The URL of the page that verifies the certificate, with the certificate in its fragment.

        A browser sends no fragment, so the certificate is in no log. Above ``MAX_QR_BYTES``, ``networks_digest`` stands
        in the place of ``networks``.
        """
        page = f"{self.claims['iss']}{VERIFY_PATH}#"
        link = page + self.signed
        if len(link) <= MAX_QR_BYTES:
            return link
        claims = {name: value for name, value in self.claims.items() if name != "networks"}
        return page + _sign({**claims, "networks_digest": networks_digest(self.claims["networks"])}, self.key)


def _sign(claims: dict[str, Any], key: Key) -> str:
    return signatures.sign(TYPE, json.dumps(claims, separators=(",", ":")).encode(), key)


def check_in_force(case: Registration) -> None:
    """Raise ``NotInForce`` for a case that is not in force."""
    if case.status not in LISTED:
        raise NotInForce(f"This case is {case.status.replace('_', ' ')}.")


async def issue(tx: Transaction, case: Registration, issuer: str) -> Certificate:
    """Issue the certificate of a case in force, in a transaction of the service. Raises ``NotInForce``.

    All certificates of a case share one index of the status list. The key that signs stays published as long as the
    certificate may be valid.
    """
    networks = await store.networks_of(tx, case.id)
    if not networks:
        raise NotInForce("Its networks were given back.")
    now = await tx.now()
    expires_at = valid_until(case.expires_at, now)
    key = await partners.signing_key(tx)
    await partners.publish_key_until(tx, str(key.kid), expires_at)
    index = await store.index_for(tx, case.id, expires_at)
    claims = {
        "iss": issuer,
        "sub": str(case.id),
        "networks": list(networks),
        "track": case.track,
        "operator": case.operator,
        "valid_from": _numeric_date(case.decided_at or case.submitted_at),
        "exp": _numeric_date(expires_at),
        "iat": _numeric_date(now),
        "status": {"status_list": {"idx": index, "uri": issuer + STATUS_LIST_PATH}},
    }
    return Certificate(claims, key)


def _numeric_date(time: datetime) -> int:
    """Return a time as whole seconds since the epoch (RFC 7519, section 2)."""
    return int(time.timestamp())
