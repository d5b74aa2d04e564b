"""Which scopes a partner of each kind may hold, and which of them a token gets."""

from collections.abc import Iterable, Mapping, Sequence
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
