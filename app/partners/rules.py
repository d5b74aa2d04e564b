"""Which scopes a partner of each kind may hold."""

from collections.abc import Iterable
from enum import StrEnum

from app.core.errors import FieldError, InvalidValue
from app.core.security import SCOPES


class PartnerKind(StrEnum):
    """What a partner is."""

    REGULATOR = "regulator"
    ASSOCIATION = "association"
    OPERATOR = "operator"


ALLOWED: dict[str, frozenset[str]] = {
    PartnerKind.REGULATOR: frozenset(SCOPES),
    PartnerKind.ASSOCIATION: frozenset(
        (
            "applicants:read",
            "applicants:write",
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
