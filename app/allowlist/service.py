"""Granting networks to registrations and withdrawing them."""

from collections import Counter
from collections.abc import Collection, Sequence
from uuid import UUID

from app.allowlist import store
from app.allowlist.store import Grant
from app.core.db import WriteSession
from app.core.doorbell import ring


async def grant(session: WriteSession, grants: Sequence[Grant]) -> set[UUID]:
    """Put networks on the list, first come first served, all of a registration's or none.

    Gives the registrations that were refused because a network of theirs is granted to someone else.
    """
    wanted = Counter(each.registration_id for each in grants)
    await store.revive(session, wanted)
    await store.grant(session, grants)
    have = await store.count_granted(session, wanted)
    refused = {registration_id for registration_id, count in wanted.items() if have.get(registration_id, 0) < count}
    # what a refused registration did get was never published, or is what its suspension had withdrawn
    await store.withdraw(session, refused, "suspended")
    await ring(session, "allowlist_pending")
    return refused


async def withdraw(session: WriteSession, registration_ids: Collection[UUID], reason: str) -> None:
    """Take the networks of registrations off the list; ``reason`` is what the feed says."""
    await store.withdraw(session, registration_ids, reason)
    await ring(session, "allowlist_pending")
