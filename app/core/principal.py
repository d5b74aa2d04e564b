"""The principal of a request: its client, the partner that the client acts for, and the scopes it holds."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

PartnerKind = Literal["regulator", "association", "operator"]

SCOPES = {
    "applicants:read": "Read applicants",
    "applicants:write": "Make and change applicants",
    "applicants:reveal": "See a CNIC in full, which its partner is told",
    "applicants:erase": "Erase the personal data of applicants of whom nothing is open or in force",
    "registrations:read": "Read registrations and their history",
    "registrations:write": "Submit, correct and withdraw registrations, upload files",
    "reviews:read": "Read review decisions",
    "reviews:write": "Claim cases and decide them",
    "allowlist:read": "Read the allowlist feed",
    "allowlist:publish": "Release what the publisher holds",
    "events:read": "Read the event log",
    "webhooks:manage": "Manage one's webhooks",
    "partners:admin": "Manage partners and their clients",
}


@dataclass(frozen=True)
class Principal:
    """The client that acts, and the partner it acts for, as its token says."""

    client_id: UUID
    partner_id: UUID
    partner_kind: PartnerKind
    operator: str | None
    scopes: frozenset[str]

    @property
    def sees_all(self) -> bool:
        """Whether the caller's business is every partner's case."""
        return self.partner_kind == "regulator"

    @cached_property
    def named(self) -> tuple[str, str]:
        """The client and the partner as log lines and quotas name them."""
        return str(self.client_id), str(self.partner_id)
