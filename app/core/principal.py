"""The principal of a request: the authenticated client, its partner and scopes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

PartnerKind = Literal["regulator", "association", "operator"]

SCOPES = {
    "applicants:read": "Read applicants",
    "applicants:write": "Create and change applicants",
    "applicants:reveal": "Read a CNIC in full; its partner gets an event",
    "applicants:erase": "Erase personal data of applicants without an open case or a grant",
    "registrations:read": "Read registrations and their history",
    "registrations:write": "Submit, correct and withdraw registrations, upload files",
    "reviews:read": "Read review decisions",
    "reviews:write": "Claim cases and decide them",
    "allowlist:read": "Read the allowlist feed",
    "allowlist:confirm": "Confirm what the own enforcers have loaded",
    "allowlist:publish": "Release what the publisher holds",
    "disruptions:write": "Report that registered addresses are blocked",
    "disruptions:answer": "Acknowledge disruption reports and say what was found",
    "events:read": "Read the event log",
    "webhooks:manage": "Manage own webhooks",
    "clients:manage": "Manage the clients of the own partner, within the scopes of the token",
    "partners:admin": "Manage partners and their clients",
}


@dataclass(frozen=True)
class Principal:
    """An authenticated client, the partner it acts for, and the scopes of its token."""

    client_id: UUID
    partner_id: UUID
    partner_kind: PartnerKind
    operator: str | None
    scopes: frozenset[str]

    @property
    def sees_all(self) -> bool:
        """True for the regulator, which sees the cases of all partners."""
        return self.partner_kind == "regulator"

    @cached_property
    def id_texts(self) -> tuple[str, str]:
        """The ids of client and partner as texts, for log lines and quotas."""
        return str(self.client_id), str(self.partner_id)
