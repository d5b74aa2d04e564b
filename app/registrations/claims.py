"""Officers of a case: the clients that gave it content, and the one that has claimed it. Pure functions of values."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.partners.persons import ClientUsers


class Claimable(Protocol):
    """The clients of a case and its claim, as ``Case`` and the table's row have them."""

    @property
    def client_id(self) -> UUID:
        """The client that submitted it."""

    @property
    def content_by(self) -> Sequence[UUID]:
        """The clients that gave it content since."""

    @property
    def claimed_by(self) -> UUID | None:
        """The client of the officer who has claimed it."""

    @property
    def claim_ends_at(self) -> datetime | None:
        """The end of the claim; None for a claim without one."""


UNCLAIMED: dict[str, None] = {"claimed_by": None, "claim_ends_at": None}


class ClaimEnd(StrEnum):
    """The reason why a claim ended, if its officer neither decided the case nor gave it back."""

    TIME = "time"
    CLIENT_DISABLED = "client_disabled"
    ANOTHER_OFFICER = "another_officer"


def clients_of(case: Claimable) -> set[UUID]:
    """Return the clients that gave a case content or have claimed it."""
    return {case.client_id, *case.content_by, *((case.claimed_by,) if case.claimed_by else ())}


def own_content(case: Claimable, users: ClientUsers) -> set[UUID]:
    """Return the clients that gave a case content and may be used by the caller's own person."""
    return users.possibly_own((case.client_id, *case.content_by))


def claim_end(case: Claimable, users: ClientUsers, now: datetime) -> ClaimEnd | None:
    """Return why a claim that is still stored has ended; None while it is in force, or where there is none."""
    if case.claimed_by is None:
        return None
    if users.is_disabled(case.claimed_by):
        return ClaimEnd.CLIENT_DISABLED
    return ClaimEnd.TIME if case.claim_ends_at is not None and case.claim_ends_at <= now else None


def is_claimed_by_another(case: Claimable, users: ClientUsers, now: datetime) -> bool:
    """True while the claim of another officer keeps the caller from deciding a case."""
    is_others = case.claimed_by is not None and not users.is_surely_own(case.claimed_by)
    return is_others and claim_end(case, users, now) is None
