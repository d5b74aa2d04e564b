"""The scopes that a partner of each kind may hold, those that a token gets, and which changes give a client more."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from app.core.errors import FieldError, InvalidValue
from app.core.principal import SCOPES


class PartnerKind(StrEnum):
    """What a partner is."""

    REGULATOR = "regulator"
    ASSOCIATION = "association"
    OPERATOR = "operator"


class AuthMethod(StrEnum):
    """What a client is held to at the token endpoint (RFC 7591, 2); held to none, it takes what it has."""

    PRIVATE_KEY_JWT = "private_key_jwt"


class ChangeAction(StrEnum):
    """What a change does that waits for a second person."""

    CREATE = "create"
    ROTATE = "rotate"
    KEYS = "keys"
    CHANGE = "change"


class ChangeStatus(StrEnum):
    """Where a change stands that needs a second person."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class ChangeOutcome(StrEnum):
    """How a person settled such a change."""

    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


CHANGE_LASTS = timedelta(hours=72)  # so that one asked for on a Friday can be confirmed on a Monday
ADMIN = "partners:admin"
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
            "events:read",
            "webhooks:manage",
        )
    ),
    PartnerKind.OPERATOR: frozenset(("allowlist:read", "registrations:read", "events:read", "webhooks:manage")),
}


def default_scopes(kind: str) -> list[str]:
    """The scopes of a client that names none: all that its partner's kind may hold but the administrator's."""
    return sorted(ALLOWED[kind] - {ADMIN})


def adds_keys(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether ``wanted`` lets a client prove itself by a key that it could not before.

    Both have the members ``jwks`` and ``jwks_uri``. A key at another address counts as new.
    """
    known = (held["jwks"] or {}).get("keys", [])
    new = (wanted["jwks"] or {}).get("keys", [])
    return wanted["jwks_uri"] not in (None, held["jwks_uri"]) or any(key not in known for key in new)


def refused_scopes(kind: str, scopes: Iterable[str]) -> list[FieldError]:
    """An error for each scope that a partner of ``kind`` may not hold."""
    return [
        InvalidValue.at(f"/scopes/{index}", f"A partner of kind {kind} cannot hold {scope!r}.")
        for index, scope in enumerate(scopes)
        if scope not in ALLOWED[kind]
    ]


def granted_scopes(held: Iterable[str], asked: str | None) -> list[str] | None:
    """The scopes of a token: those asked for (RFC 6749, 3.3), all when none are; None when one is not held."""
    own = set(held)
    wanted = set(asked.split()) if asked else own
    return sorted(wanted) if wanted and wanted <= own else None


def mapped_scopes(mapping: Mapping[str, Iterable[str]], claims: Mapping[str, Any], path: Sequence[str]) -> set[str]:
    """The scopes of an external token: those that ``mapping`` gives for what stands at ``path`` in its claims.

    That is a list of values or one value; in ``scope`` and ``scp`` a text holds several (RFC 9068, 2.2.3).
    """
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        found = found.split() if path[-1] in ("scope", "scp") else [found]
    values = found if isinstance(found, list) else []
    return {scope for value in values if isinstance(value, str) for scope in mapping.get(value, ())}
