"""Granting and withdrawing the networks of registrations, and releasing held changes."""

from collections.abc import Collection
from uuid import UUID

from app.allowlist import publication_store, session_store, store
from app.allowlist.models import HeldChange
from app.allowlist.store import Cause
from app.core.database.batches import Rows
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import NotFound, SelfReview
from app.core.principal import Principal
from app.events import store as events
from app.events.store import NewEvent
from app.partners import store as partners


async def grant(tx: Transaction, registration_ids: Collection[UUID], wanted: Rows, cause: Cause) -> set[UUID]:
    """Grant the networks of registrations in the order of ``wanted``: all networks of a registration, or none.

    ``wanted`` is a statement over network, registration id and holder. Returns the registrations that were refused
    because one of their networks is granted to another registrant.
    """
    await store.cancel_withdrawals(tx, registration_ids)
    await store.grant(tx, wanted, cause)
    refused = await store.incomplete_grants(tx, wanted)
    # the entries of a refused registration are new, or their withdrawal was just cancelled
    await store.withdraw(tx, refused, "suspended", cause)
    await notify(tx, "allowlist_pending")
    return refused


async def withdraw(tx: Transaction, registration_ids: Collection[UUID], reason: str, cause: Cause) -> None:
    """Withdraw the networks of registrations; ``reason`` is published in the delta."""
    await store.withdraw(tx, registration_ids, reason, cause)
    await notify(tx, "allowlist_pending")


async def release(tx: Transaction, officer: Principal, held_id: UUID) -> HeldChange:
    """Release a held change, so that the next publication includes it; a second release changes nothing.

    Raises ``NotFound``, and ``SelfReview`` when a decision of the same person is part of it.
    """
    held = await publication_store.get_held(tx, held_id, lock=True)
    if held.released_at is None:
        deciders = await publication_store.deciders_of(tx, held_id)
        users = await partners.client_users(tx, officer.client_id, deciders)
        if own := users.possibly_own(deciders):
            detail = "The held change includes your own decision; another officer must release it."
            raise SelfReview(f"{detail} {users.explain(own)}".rstrip())
        await publication_store.release(tx, held, officer.client_id)
        details = {"held_id": str(held_id), "kind": held.kind, "count": held.count}
        await events.record(tx, officer, [NewEvent("allowlist.released", details=details)])
        await notify(tx, "allowlist_pending")
    return held


async def begin_session(tx: Transaction) -> UUID:
    """Give the feed a new session, so that every reader fetches the whole list. Raises ``NotFound`` without a feed."""
    session = await session_store.begin(tx)
    if session is None:
        raise NotFound("The row of allowlist_feed is missing: restore it from a backup.")
    await events.record(tx, None, [NewEvent("allowlist.session_begun", details={"session": str(session)})])
    await notify(tx, "allowlist_pending")
    await notify(tx, "allowlist_published")
    return session
