"""The officers of a case: those who gave it content, and the one who has claimed it. Pure functions of values."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.partners.persons import ClientUsers


class Claimable(Protocol):
    """What it takes to tell whose case it is: ``Case``, or the row itself."""

    @property
    def client_id(self) -> UUID:
        """The client that submitted it."""

    @property
    def content_by(self) -> Sequence[UUID]:
        """The clients that gave it content since."""

    @property
    def claimed_by(self) -> UUID | None:
        """The client of the officer who has it."""

    @property
    def claim_ends_at(self) -> datetime | None:
        """The end of that officer's claim; None where it has no end by time."""


UNCLAIMED: dict[str, None] = {"claimed_by": None, "claim_ends_at": None}


class ClaimEnd(StrEnum):
    """Why a claim ended, when its officer neither decided nor gave the case back."""

    TIME = "time"
    CLIENT_DISABLED = "client_disabled"
    ANOTHER_OFFICER = "another_officer"


def clients_of(case: Claimable) -> set[UUID]:
    """The clients that gave a case content or have claimed it."""
    return {case.client_id, *case.content_by, *((case.claimed_by,) if case.claimed_by else ())}


def own_content(case: Claimable, users: ClientUsers) -> set[UUID]:
    """The clients that gave a case content and may be the caller's own person's."""
    return users.possibly_own((case.client_id, *case.content_by))


def ended(case: Claimable, users: ClientUsers, now: datetime) -> ClaimEnd | None:
    """Why the claim of a case holds no longer, although nobody has taken it off the case yet; None while it holds."""
    if case.claimed_by is None:
        return None
    if users.is_disabled(case.claimed_by):
        return ClaimEnd.CLIENT_DISABLED
    return ClaimEnd.TIME if case.claim_ends_at is not None and case.claim_ends_at <= now else None


def is_claimed_by_another(case: Claimable, users: ClientUsers, now: datetime) -> bool:
    """Tell whether the claim of another officer keeps the caller from a case."""
    is_others = case.claimed_by is not None and not users.is_surely_own(case.claimed_by)
    return is_others and ended(case, users, now) is None
