"""Scopes of partners, clients and tokens, and the kinds and states of changes of clients."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from app.core.errors import FieldError, InvalidValue
from app.core.principal import SCOPES


class PartnerKind(StrEnum):
    """Kind of a partner."""

    REGULATOR = "regulator"
    ASSOCIATION = "association"
    OPERATOR = "operator"


class AuthMethod(StrEnum):
    """Authentication method that a client is limited to at the token endpoint (RFC 7591, section 2)."""

    PRIVATE_KEY_JWT = "private_key_jwt"


class ChangeAction(StrEnum):
    """Action of a change that needs a second person."""

    CREATE = "create"
    ROTATE = "rotate"
    KEYS = "keys"
    CHANGE = "change"


class ChangeStatus(StrEnum):
    """Status of a change that needs a second person."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class ChangeOutcome(StrEnum):
    """Decision on a change that needs a second person."""

    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


CHANGE_LIFETIME = timedelta(hours=72)  # a request of a Friday can be confirmed on Monday
ADMIN = "partners:admin"
MANAGE = "clients:manage"
ALLOWED: dict[str, frozenset[str]] = {
    PartnerKind.REGULATOR: frozenset(SCOPES),
    PartnerKind.ASSOCIATION: frozenset(
        (
            "applicants:read",
            "applicants:write",
            "applicants:erase",
            "registrations:read",
            "registrations:write",
            "allowlist:read",
            "disruptions:write",
            "events:read",
            "webhooks:manage",
            MANAGE,
        )
    ),
    PartnerKind.OPERATOR: frozenset(
        (
            "allowlist:read",
            "allowlist:confirm",
            "registrations:read",
            "disruptions:answer",
            "events:read",
            "webhooks:manage",
            MANAGE,
        )
    ),
}
# Scopes of which a client of the regulator makes no use, and which it has only when they are named.
OF_OTHERS = frozenset({"allowlist:confirm", "disruptions:write", "disruptions:answer"})


def default_scopes(kind: str) -> list[str]:
    """Return the default scopes of a client: all of use to its partner's kind, without those for access to clients."""
    unused = OF_OTHERS if kind == PartnerKind.REGULATOR else frozenset()
    return sorted(ALLOWED[kind] - {ADMIN, MANAGE} - unused)


def adds_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """True when a client can authenticate by a key of ``after`` that ``before`` did not have.

    Both have the members ``jwks`` and ``jwks_uri``. Another URL counts as a new key.
    """
    old = (before["jwks"] or {}).get("keys", [])
    new = (after["jwks"] or {}).get("keys", [])
    return after["jwks_uri"] not in (None, before["jwks_uri"]) or any(key not in old for key in new)


def refused_scopes(kind: str, scopes: Iterable[str]) -> list[FieldError]:
    """Return an error for each scope that a client of a partner of ``kind`` cannot have."""
    return [
        InvalidValue.at(f"/scopes/{index}", f"A client of a partner of kind {kind} cannot have the scope {scope!r}.")
        for index, scope in enumerate(scopes)
        if scope not in ALLOWED[kind]
    ]


def granted_scopes(client_scopes: Iterable[str], requested: str | None) -> list[str] | None:
    """Return the scopes of a token: the requested ones, by default all of the client (RFC 6749, section 3.3).

    None when the client lacks a requested scope.
    """
    own = set(client_scopes)
    granted = set(requested.split()) if requested else own
    return sorted(granted) if granted and granted <= own else None


def mapped_scopes(mapping: Mapping[str, Iterable[str]], claims: Mapping[str, Any], path: Sequence[str]) -> set[str]:
    """Return the scopes of an external token: ``mapping`` of the values at ``path`` in its claims.

    The claim is a list or one value; ``scope`` and ``scp`` may be space-separated (RFC 9068, section 2.2.3).
    """
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        found = found.split() if path[-1] in ("scope", "scp") else [found]
    values = found if isinstance(found, list) else []
    return {scope for value in values if isinstance(value, str) for scope in mapping.get(value, ())}
