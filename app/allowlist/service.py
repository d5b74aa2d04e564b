"""Granting networks to registrations and withdrawing them, and releasing what is held."""

from collections.abc import Collection
from uuid import UUID

from app.allowlist import feed_store, store
from app.allowlist.models import HeldChange
from app.allowlist.store import Cause
from app.core.database.batches import Rows
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import SelfReview
from app.core.principal import Principal
from app.events import store as events
from app.events.store import Happening
from app.partners import store as partners


async def grant(tx: Transaction, registration_ids: Collection[UUID], wanted: Rows, cause: Cause) -> set[UUID]:
    """Put the networks of registrations on the list, first come first served, all of a registration's or none.

    ``wanted`` gives them: network, registration id and holder. Gives the registrations that were refused because a
    network of theirs is granted to someone else.
    """
    await store.revive(tx, registration_ids)
    await store.grant(tx, wanted, cause)
    refused = await store.not_granted(tx, wanted)
    # what a refused registration did get was never published, or is what its suspension had withdrawn
    await store.withdraw(tx, refused, "suspended", cause)
    await notify(tx, "allowlist_pending")
    return refused


async def withdraw(tx: Transaction, registration_ids: Collection[UUID], reason: str, cause: Cause) -> None:
    """Take the networks of registrations off the list; ``reason`` is what the feed says."""
    await store.withdraw(tx, registration_ids, reason, cause)
    await notify(tx, "allowlist_pending")


async def release(tx: Transaction, officer: Principal, held_id: UUID) -> HeldChange:
    """Let a held change into the next publication; once released it stays so.

    Raises ``NotFound``, and ``SelfReview`` when a decision of the officer's own person is part of it.
    """
    held = await feed_store.get_held(tx, held_id, lock=True)
    if held.released_at is None:
        deciders = await feed_store.held_by(tx, held_id)
        users = await partners.client_users(tx, officer.client_id, deciders)
        if own := users.possibly_own(deciders):
            said = "The change that is held is your own; another officer must release it."
            raise SelfReview(f"{said} {users.explain(own)}".rstrip())
        await feed_store.release(tx, held, officer.client_id)
        details = {"held_id": str(held_id), "kind": held.kind, "count": held.count}
        await events.record(tx, officer, [Happening("allowlist.released", details=details)])
        await notify(tx, "allowlist_pending")
    return held
